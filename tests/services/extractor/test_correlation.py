import numpy as np

from services.extractor.boxes import iou
from services.extractor.engines.correlation import CorrelationTracker


def test_the_filter_moves_a_detected_box_along_with_the_face(engine, portrait):
    def window(step):
        return np.ascontiguousarray(portrait[25 + step : 217 + step, 130 + 2 * step : 322 + 2 * step])

    box = engine.detect(window(0))[0]
    tracker = CorrelationTracker(window(0), box)
    for step in range(1, 12):
        found = tracker.update(window(step))
        assert found is not None and iou(found, box - (2 * step, step, 0, 0)) > 0.85


def test_the_filter_says_when_the_face_is_gone(engine, moving_face):
    frames = moving_face(2)
    tracker = CorrelationTracker(frames[0], engine.detect(frames[0])[0])
    assert tracker.update(frames[1]) is not None
    assert tracker.update(np.random.default_rng(0).integers(0, 256, frames[0].shape, dtype=np.uint8)) is None
