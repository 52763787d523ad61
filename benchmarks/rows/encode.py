"""Measures the encoding of a fake and its masks: the target is decoded once for all videos.

The reference reads PNG files once for each video.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.material import HD, shots, write_clip
from benchmarks.reference import media as ffpp
from benchmarks.row import Row, command, interleaved
from facefoundry import codec, recipes
from facefoundry.media.level import Level
from facefoundry.media.read import open_source
from facefoundry.media.write import MASK_LEVEL, LevelsWriter, MaskWriter
from facefoundry.storage.parts import MASKS
from services.converter.composite import Patch, composite
from services.converter.mask import MaskOptions

FRAMES = 8
ROUNDS = 6
FFPP = MaskOptions("facehullandrect", 0, 2)


def run() -> list[Row]:
    """Return two rows for raw, c23, c40 and three mask videos.

    In the first the reference has FF++'s x264 presets and pixel formats, in the second ours.
    """
    levels = [codec.from_values(Level, recipes.options(level)) for level in recipes.load("ffpp").compression.levels]
    given = shots(FRAMES)
    face = np.random.default_rng(0).random((9, 9, 3), np.float32)
    face = np.asarray(cv2.resize(face, (64, 64), interpolation=cv2.INTER_LINEAR), np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clip = write_clip(folder / "clip.mp4", [shot.frame for shot in given])
        with open_source(clip) as source:
            targets = list(source)
        patches: list[Patch] = []
        for target, shot in zip(targets, given, strict=True):
            patch = composite(target, face, shot.matrix, shot.landmarks, FFPP, "opencv-3.4.1")
            assert patch is not None
            patches.append(patch)
        fakes = [patch.apply(target) for patch, target in zip(patches, targets, strict=True)]
        masks = [_masks(*pair) for pair in zip(targets, patches, strict=True)]
        pictures = {"fake": fakes} | {
            name: [np.asarray(cv2.cvtColor(grey[name], cv2.COLOR_GRAY2BGR), np.uint8) for grey in masks]
            for name in MASKS
        }
        for name, frames in (pictures | {f"grey-{name}": [grey[name] for grey in masks] for name in MASKS}).items():
            (folder / name).mkdir()
            ffpp.write_pictures(frames, folder / name)

        def in_colour() -> None:
            for label, level in ffpp.LEVELS.items():
                ffpp.encode_pictures(folder / "fake", folder / f"reference-{label}.mp4", level)
            for name in MASKS:
                ffpp.encode_pictures(folder / name, folder / f"reference-{name}.mp4", ffpp.LEVELS["c0"])

        def as_ours(**of_raw: str) -> None:
            for level, (label, original) in zip(levels, ffpp.LEVELS.items(), strict=True):
                path = folder / f"reference-{label}.mp4"
                options = of_raw if level.exact else {}
                ffpp.encode_pictures(folder / "fake", path, original, level.preset, **options)
            for name in MASKS:
                path = folder / f"reference-{name}.mp4"
                ffpp.encode_pictures(folder / f"grey-{name}", path, ffpp.GREY, MASK_LEVEL.preset)

        def store(sequence: Iterable[tuple[NDArray[np.uint8], dict[str, NDArray[np.uint8]]]]) -> None:
            size = ((25, 1), *HD)
            writer = LevelsWriter(folder, levels, *size)
            writers = {name: MaskWriter(folder / f"{name}.mp4", *size) for name in MASKS}
            for fake, of_masks in sequence:
                writer.write(fake)
                for name, mask in of_masks.items():
                    writers[name].write(mask)
            writer.close()
            for mask_writer in writers.values():
                mask_writer.close()

        def at_once() -> None:
            with open_source(clip) as source:
                store(
                    (patch.apply(target), _masks(target, patch)) for target, patch in zip(source, patches, strict=True)
                )

        equal = interleaved(as_ours, at_once, rounds=ROUNDS)
        larger = (folder / "raw.mp4").stat().st_size / (folder / "reference-c0.mp4").stat().st_size - 1
        cavlc = interleaved(lambda: as_ours(coder="cavlc"), at_once, rounds=ROUNDS)
        medium = interleaved(in_colour, at_once, rounds=ROUNDS)
        alone = interleaved(lambda: None, lambda: store(zip(fakes, masks, strict=True)), rounds=ROUNDS)
        lossless = all(
            np.array_equal(*pair)
            for name, frames in pictures.items()
            for pair in zip(_decoded(folder / f"{'raw' if name == 'fake' else name}.mp4"), frames, strict=True)
        )
    presets = ", ".join(f"{level.name} {level.preset}" for level in levels)
    fidelity = f"raw and masks {'lossless' if lossless else 'NOT LOSSLESS'}"
    how = f"a pass over PNG files for each video; ours one decoding, presets {presets}, masks {MASK_LEVEL.preset} "
    how += f"and without colour, raw in CAVLC, {larger:.0%} more bytes than in CABAC; "
    how += f"the writers alone take {1000 * alone.ours / FRAMES:.0f} ms of it"
    alike = f"; with CAVLC there too {cavlc.reference / cavlc.ours:.2f} times"
    return [
        Row(
            f"encoding raw, c23, c40 and three masks, 720p: {label}",
            "s/frame",
            timing.reference / FRAMES,
            timing.ours / FRAMES,
            2,
            fidelity,
            lossless,
            how + further,
            timing.first_ours,
        )
        for label, timing, further in (
            ("x264 medium, as FF++", medium, ""),
            ("equal presets and pixel formats", equal, alike),
        )
    ]


def _masks(target: NDArray[np.uint8], patch: Patch) -> dict[str, NDArray[np.uint8]]:
    shape = target.shape
    pictures = (patch.box_mask(shape), patch.blend_mask(shape), patch.changed_mask(target))
    return dict(zip(MASKS, pictures, strict=True))


def _decoded(path: Path) -> list[NDArray[np.uint8]]:
    with open_source(path) as source:
        return list(source)


if __name__ == "__main__":
    command(run)
