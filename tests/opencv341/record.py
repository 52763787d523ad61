"""Record what OpenCV 3.4.1, which FF++ pins, makes of small generated inputs.

The file beside this script, `outputs.npz`, is what it wrote; tests compare the product with it. The script runs under
Python 3.6 with opencv-python 3.4.1.15 and NumPy 1.19, so it uses no newer syntax and imports nothing of the project:

    python3.6 tests/opencv341/record.py tests/opencv341/outputs.npz

Every value has a key `<kind>/<number>/<name>`; what all cases of a kind share has the number `all`. A name such as
`output-frame` holds the difference modulo 256 of two pictures, which compresses better. Inputs are stored too, so that
no test needs to generate them again. The steps of the kind `face` are FF++'s conversion, in its order; those of the
kind `sample` are its augmentation.
"""

import sys

import cv2
import numpy as np

INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "transparent": cv2.BORDER_TRANSPARENT,
}
PASTE = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC


def picture(random, width, height, channels=3):
    """Return smooth shapes with some grain, uint8; it compresses better than noise."""
    coarse = random.randint(0, 256, (4, 5, channels)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    grain = random.randint(-6, 7, ((height + 1) // 2, (width + 1) // 2, channels)).repeat(2, axis=0).repeat(2, axis=1)
    made = np.clip(smooth.reshape(height, width, channels) + grain[:height, :width], 0, 255).astype(np.uint8)
    return made if channels > 1 else made[:, :, 0]


def similarity(size, center, side, degrees):
    """Return the matrix from pixels of a frame to a square of `size` pixels that lies on it, turned."""
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * size / side
    return np.column_stack([linear, size / 2 - linear.dot(center)])


def affine(random):
    """Warps of 32x28 pixels onto 48x40, in both directions, over all four edges."""
    number = 0
    for kind in ("uint8", "float32", "float64"):
        for interpolation in ("linear", "cubic"):
            for border in ("constant", "replicate", "transparent"):
                for inverse in (True, False):
                    source = picture(random, 32, 28, 3 if kind == "uint8" else 1)
                    if kind != "uint8":
                        source = (source / 255.0).astype(kind)
                    center, side, degrees = random.uniform(12, 32, 2), random.uniform(20, 50), random.uniform(-40, 40)
                    matrix = similarity(30, center, side, degrees)
                    if not inverse:
                        matrix = cv2.invertAffineTransform(matrix)
                    target = np.full((40, 48, *source.shape[2:]), 0.5 if kind != "uint8" else 99, source.dtype)
                    flags = INTERPOLATIONS[interpolation] | (cv2.WARP_INVERSE_MAP if inverse else 0)
                    output = cv2.warpAffine(source, matrix, (48, 40), target.copy(), flags, BORDERS[border])
                    yield (
                        f"affine/{number}",
                        {
                            "source": source,
                            "matrix": matrix,
                            "target": target,
                            "interpolation": interpolation,
                            "border": border,
                            "inverse": inverse,
                            "output": output,
                        },
                    )
                    number += 1


def remap(random):
    """Pictures read along maps whose points lie inside and outside."""
    for number, (kind, border) in enumerate(
        (kind, border) for kind in ("uint8", "float64") for border in ("constant", "replicate")
    ):
        source = picture(random, 48, 40, 3 if kind == "uint8" else 1)
        source = source if kind == "uint8" else source / 255.0
        x, y = (cv2.resize(random.uniform(-9, 54, (4, 4)), (30, 24)).astype(np.float32) for _ in range(2))
        output = cv2.remap(source, x, y, cv2.INTER_LINEAR, borderMode=BORDERS[border])
        yield f"remap/{number}", {"source": source, "x": x, "y": y, "border": border, "output": output}


def resize(random):
    """The maps of the augmentation, from 5x5, and crops of other sizes to the one that FF++ trains on."""
    cases = [(random.uniform(40, 216, (5, 5)), (side, side)) for side in (80, 160)]
    cases += [(picture(random, width, width), (64, 64)) for width in (40, 97, 128)]
    for number, (source, size) in enumerate(cases):
        yield f"resize/{number}", {"source": source, "size": np.array(size), "output": cv2.resize(source, size)}


def clone(random):
    """Clones by soft masks of all shapes: odd and even boxes, masks at the frame's edge, masks in parts, small ones.

    Where OpenCV refuses, because its rectangle would leave the frame, there is no output.
    """
    places = [
        ((48, 40), (20, 15), (48, 40), 7),
        ((48, 40), (21, 15), (48, 40), 7),
        ((47, 40), (20, 16), (46, 41), 2),
        ((47, 39), (23, 18), (48, 38), 2),
        ((30, 30), (26, 26), (34, 31), 15),
        ((60, 40), (9, 22), (50, 45), 4),
        ((24, 40), (30, 14), (14, 40), 3),  # over the left edge
        ((90, 74), (20, 15), (85, 70), 3),  # over the right and the lower edge
        ((48, 4), (20, 15), (48, 12), 3),  # over the upper edge
        ((48, 40), (5, 4), (48, 40), 2),
        ((48, 40), (3, 3), (48, 40), 2),
        ((48, 40), (20, 15), (8, 40), 2),  # does not fit
    ]
    source, target = picture(random, 96, 80), picture(random, 96, 80)
    yield "clone/all", {"source": source, "target": target}
    for number, (center, radii, put, blur) in enumerate(places):
        soft = np.zeros((80, 96))
        cv2.ellipse(soft, center, radii, 20.0 * number, 0, 360, 1.0, -1)
        if number % 3 == 2:
            cv2.circle(soft, (70, 20), 4, 0.6, -1)  # a faint part of its own
        levels = np.clip(cv2.blur(soft, (blur, blur)) * 365, 0, 255).astype(np.uint8)
        values = {"levels": levels, "center": np.array(put)}
        try:
            output = cv2.seamlessClone(source, target, np.dstack([levels] * 3), put, cv2.NORMAL_CLONE)
            values["output-target"] = output - target
        except cv2.error:
            values["refused"] = True
        yield f"clone/{number}", values


def landmarks(matrix, random):
    """Return 68 whole points of a face: the jaw first, then others inside the mean face's unit square."""
    turn = np.linspace(0.05, 0.95, 17) * np.pi
    jaw = np.column_stack([0.5 + 0.62 * np.cos(turn), 0.35 + 0.75 * np.sin(turn)])
    points = np.concatenate([jaw, random.uniform(0.02, 0.98, (51, 2))])
    return (points - matrix[:, 2]).dot(np.linalg.inv(matrix[:, :2]).T).astype(np.int32)


def face(random):
    """FF++'s conversion of a frame step by step, the network's face given; crops have 80 pixels, 15 of them margin."""
    places = [
        ((80, 60), 60, 0),
        ((82.3, 58.7), 73.5, 17),
        ((70, 64), 41.2, -25),
        ((90.5, 55.5), 90, 8),
        ((24, 60), 70, 5),  # over the left edge
        ((134, 90), 80, -12),  # over the right and the lower edge
        ((80, 12), 55, 3),  # over the upper edge
        ((64, 60), 20.7, 40),
    ]
    frame, made = picture(random, 160, 120), picture(random, 64, 64)
    yield "face/all", {"frame": frame, "made": made}
    for number, (center, side, degrees) in enumerate(places):
        matrix = similarity(1.0, np.array(center), side, degrees)
        points = landmarks(matrix, random)
        yield f"face/{number}", converted(frame, made, matrix, points)


def converted(frame, made, matrix, points):
    to_face, size = matrix * 64, frame.shape[1::-1]
    to_crop = matrix * 50
    to_crop[:, 2] += 15
    square, hull, warped = np.zeros(frame.shape), np.zeros(frame.shape), frame.copy()
    cv2.warpAffine(np.ones((64, 64, 3)), to_face, size, square, PASTE, cv2.BORDER_TRANSPARENT)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), (1, 1, 1))
    soft = cv2.blur(square * hull, (2, 2))
    levels = np.clip(soft * 365, 0, 255).astype(np.uint8)
    rows, columns = np.nonzero(levels[:, :, 0] == 255)
    left, top, width, height = columns.min(), rows.min(), np.ptp(columns), np.ptp(rows)
    center = int(left + width // 2), int(top + height // 2)
    cv2.warpAffine(made, to_face, size, warped, PASTE, cv2.BORDER_TRANSPARENT)
    values = {
        "matrix": matrix,
        "landmarks": points,
        "read": cv2.warpAffine(frame, to_face, (64, 64)),
        "crop": cv2.warpAffine(frame, to_crop, (80, 80)),
        "square": square[:, :, 0],
        "soft": soft[:, :, 0],
        "levels": levels[:, :, 0],
        "box": np.array([left, top, width, height]),
        "center": np.array(center),
        "warped-frame": warped - frame,
    }
    try:
        values["output-frame"] = cv2.seamlessClone(warped, frame, levels, center, cv2.NORMAL_CLONE) - frame
    except cv2.error:
        values["refused"] = True
    return values


def umeyama(source, target):
    """Return the least-squares similarity from source to target, points [n, 2]."""
    moved, fixed = source - source.mean(axis=0), target - target.mean(axis=0)
    u, values, vt = np.linalg.svd(fixed.T.dot(moved))
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    linear = (u * signs).dot(vt) * (values * signs).sum() / (moved**2).sum()
    return np.column_stack([linear, target.mean(axis=0) - linear.dot(source.mean(axis=0))])


def sample(random):
    """FF++'s augmentation of crops of 256 pixels by given draws; outputs are 256ths of a grey level, uint16."""
    crop = picture(random, 256, 256)
    yield "sample/all", {"crop": crop}
    line = np.linspace(48, 208, 5)
    for number in range(4):
        rotation, scale = np.float32(random.uniform(-10, 10)), np.float32(random.uniform(0.95, 1.05))
        shift = random.uniform(-12.8, 12.8, 2).astype(np.float32)
        jitter = random.normal(0, 5, (5, 5, 2)).astype(np.float32)
        flip = bool(number % 2)
        turned = cv2.getRotationMatrix2D((128, 128), float(rotation), float(scale))
        turned[:, 2] += shift
        moved = cv2.warpAffine(crop / 255.0, turned, (256, 256), borderMode=cv2.BORDER_REPLICATE)
        moved = np.ascontiguousarray(moved[:, ::-1]) if flip else moved
        grid = np.stack(np.meshgrid(line, line), axis=-1) + jitter
        x, y = (cv2.resize(np.ascontiguousarray(grid[..., axis]), (80, 80))[8:72, 8:72] for axis in (0, 1))
        warped = cv2.remap(moved, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
        regular = np.stack(np.meshgrid(range(0, 65, 16), range(0, 65, 16)), axis=-1).reshape(-1, 2)
        unwarped = cv2.warpAffine(moved, umeyama(grid.reshape(-1, 2), regular.astype(np.float64)), (64, 64))
        values = {"rotation": rotation, "scale": scale, "shift": shift, "flip": flip, "jitter": jitter}
        for name, made in (("warped", warped), ("unwarped", unwarped)):
            values[name] = np.rint(made * (255 * 256)).astype(np.uint16)
        yield f"sample/{number}", values


def main():
    if not cv2.__version__.startswith("3.4.1"):
        sys.exit(f"Expected OpenCV 3.4.1, which opencv-python 3.4.1.15 has. Received {cv2.__version__}.")
    recorded: dict = {}
    for number, kind in enumerate((affine, remap, resize, clone, face, sample)):
        for case, values in kind(np.random.RandomState(number)):
            recorded.update((f"{case}/{name}", value) for name, value in values.items())
    np.savez_compressed(sys.argv[1], **recorded)


if __name__ == "__main__":
    main()
