"""Create the bucket of the development store. The chart runs this after an installation or upgrade."""

import sys
import time

from facefoundry.errors import FaceFoundryError, Unavailable
from facefoundry.settings import StoreSettings, read
from facefoundry.storage.store import Store

store = Store(read(StoreSettings))
while True:
    try:
        store.make_bucket()
        break
    except Unavailable as error:
        print(f"Waiting for the store: {error.message}", flush=True)
        time.sleep(2)
    except FaceFoundryError as error:
        sys.exit(error.message)
print(f"The bucket {store.bucket} exists.")
