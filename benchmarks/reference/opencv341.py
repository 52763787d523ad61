"""FF++'s reading and conversion of faces, run by OpenCV 3.4.1 itself.

`benchmarks.fidelity` starts this script with an interpreter of Python 3.6. It uses no newer syntax and imports nothing
of the project. Frames and faces are uint8 or float32 BGR, matrices map frame points to the mean face's unit square.

    python3.6 opencv341.py read FRAMES.npy INPUTS.npz OUTPUTS.npz
    python3.6 opencv341.py convert FRAMES.npy INPUTS.npz OUTPUTS.npz
"""

import sys
from typing import Any

import cv2
import numpy as np

PASTE = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC


def read(frame: Any, matrix: Any) -> Any:
    """Return the network's input, uint8 [64, 64, 3], and the training crop, uint8 [256, 256, 3]."""
    to_crop = matrix * 160
    to_crop[:, 2] += 48
    return {"faces": cv2.warpAffine(frame, matrix * 64, (64, 64)), "crops": cv2.warpAffine(frame, to_crop, (256, 256))}


def convert(frame: Any, matrix: Any, landmarks: Any, face: Any) -> Any:
    """Put a face, float32 [64, 64, 3] in [0, 1], on its frame.

    Returns the box (x, y, width, height), which is FF++'s mask, and the frame. If there is no mask, or OpenCV fails,
    the box is empty.
    """
    size = frame.shape[1::-1]
    square, hull, warped = np.zeros(frame.shape), np.zeros(frame.shape), frame.copy()
    cv2.warpAffine(np.ones((64, 64, 3)), matrix * 64, size, square, PASTE, cv2.BORDER_TRANSPARENT)
    cv2.fillConvexPoly(hull, cv2.convexHull(landmarks.astype(np.int32)), (1, 1, 1))
    levels = np.clip(cv2.blur(square * hull, (2, 2)) * 365, 0, 255).astype(np.uint8)
    pixels = np.clip(face * 255, 0, 255).astype(np.uint8)
    cv2.warpAffine(pixels, matrix * 64, size, warped, PASTE, cv2.BORDER_TRANSPARENT)
    rows, columns = np.nonzero(levels[:, :, 0] == 255)
    nothing = {"boxes": np.zeros(4, np.int64), "outputs": frame}
    if min(np.ptp(rows) if len(rows) else 0, np.ptp(columns) if len(columns) else 0) < 3:
        return nothing
    left, top, width, height = columns.min(), rows.min(), np.ptp(columns), np.ptp(rows)
    center = int(left + width // 2), int(top + height // 2)
    try:
        output = cv2.seamlessClone(warped, frame, levels, center, cv2.NORMAL_CLONE)
    except cv2.error:
        return nothing
    return {"boxes": np.array([left, top, width, height]), "outputs": output}


def main() -> None:
    """Run one command of the module's docstring."""
    command, frames, inputs, outputs = sys.argv[1:]
    step: Any = {"read": read, "convert": convert}[command]
    names = {"read": ["matrices"], "convert": ["matrices", "landmarks", "made"]}[command]
    save: Any = np.savez
    given = np.load(inputs)
    rows = zip(np.load(frames, mmap_mode="r"), *(given[name] for name in names))  # noqa: B905  strict is of Python 3.10
    made = [step(np.array(frame), *values) for frame, *values in rows]
    save(outputs, **{name: np.stack([values[name] for values in made]) for name in made[0]})


if __name__ == "__main__":
    main()
