"""The first frame of a video as Chromium draws it, by selenium."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from selenium import webdriver

from tests.readers.made import Frames

PROGRAM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")

_DRAW = """
const [address, done] = arguments, video = document.createElement('video'), canvas = document.createElement('canvas');
video.muted = true;
video.preload = 'auto';
video.onerror = () => done('');
video.onloadeddata = () => { video.currentTime = 0.02; };
video.onseeked = () => setTimeout(() => {
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  done(canvas.toDataURL('image/png').split(',')[1]);
}, 500);
video.src = address;
document.body.appendChild(video);
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Browser:
    """A headless Chromium that shows the files of a folder."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self._driver, self._address = driver, address
        self.version = str(driver.capabilities["browserVersion"]).split(".")[0]

    def first_frame(self, path: Path) -> Frames:
        """Return the first frame, uint8 [1, h, w, 3] RGB."""
        self._driver.get(f"{self._address}/")
        drawn = self._driver.execute_async_script(_DRAW, f"{self._address}/{path.name}")
        if not drawn:
            raise ValueError("it cannot be played")
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(drawn), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return np.ascontiguousarray(picture[None, :, :, ::-1], np.uint8)


@contextmanager
def browse(folder: Path) -> Iterator[Browser]:
    """Serve a folder on the loopback address and open it in a browser."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = str(PROGRAM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    try:
        driver.set_script_timeout(60)
        yield Browser(driver, f"http://127.0.0.1:{server.server_port}")
    finally:
        driver.quit()
        server.shutdown()
