"""Completes the index of trainings: an earlier version, which knew no index, may have begun some of them.

Such a version may also run beside this one for the minutes of a rollout. So every replica looks at all trainings once
after its start, some at a time.
"""

from __future__ import annotations

from facefoundry.errors import DataLoss
from facefoundry.storage.store import Store
from facefoundry.telemetry import logger
from services.trainer.training_store import TrainingStore

__all__ = ["IndexRepair"]

_FOLDER = "trainings/"
_log = logger(__name__)


class IndexRepair:
    """Writes the missing entries of the index, once for every training.

    Args:
        store: The object store.
        at_once: How many trainings one call looks at, 1 to 1000.
    """

    def __init__(self, store: Store, at_once: int = 500) -> None:
        self._store = store
        self._documents = TrainingStore(store)
        self._at_once = at_once
        self._after = _FOLDER
        self._is_done = False

    def once(self) -> None:
        """Look at the next trainings, by two requests for each; do nothing after the last one.

        Raises:
            Unavailable: the store does not answer. The next call looks at the same trainings again.
        """
        if self._is_done:
            return
        folders = self._store.objects(_FOLDER, folder=True, limit=self._at_once, after=self._after)
        for found in folders:
            prefix = found.key.removesuffix("/")
            if prefix != found.key:
                self._complete(prefix)
            self._after = f"{prefix}0"  # "0" follows "/", so this comes right after all keys of the folder
        self._is_done = len(folders) < self._at_once

    def _complete(self, prefix: str) -> None:
        try:
            attempt = self._documents.find(prefix)
        except DataLoss as error:
            _log.warning("index_not_completed", detail=error.message)
            return
        if attempt is not None and not self._documents.index.has(attempt, ""):
            self._documents.index.put(attempt, self._documents.labels(prefix))
            _log.event("index_completed", training=prefix)
