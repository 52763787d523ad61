"""Signs the videos of a dataset, in place or as copies whose manifests lie beside them.

A video is replaced at once by its signed copy, so a stopped command leaves whole files; the next one goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.provenance import boxes, c2pa_files
from facefoundry.provenance.c2pa_files import SIDECAR, Ingredient
from facefoundry.provenance.credentials import Credentials
from facefoundry.provenance.manifests import SOURCE, TARGET, ingredient, manifest
from facefoundry.provenance.videos import DatasetFacts, Video, find_videos

__all__ = ["Progress", "sign_dataset", "strip_dataset"]

Progress = Callable[[int, int, str], None]
"""Called with the number of finished videos, the number of all, and the path of the last one."""


def sign_dataset(layout: Layout, credentials: Credentials, on_progress: Progress = lambda *_: None) -> int:
    """Sign all videos of a dataset in place, and return how many were signed now. Those that are signed stay.

    Args:
        layout: The dataset's folder.
        credentials: What signs.
        on_progress: Called after each video.

    Raises:
        InvalidInput: there are no videos, or there is no run record.
        Unavailable: the time-stamping authority does not answer (TIME_STAMP).
        Unusable: a video cannot be signed (SIGNING), or has a manifest of another program, or one that its bytes do not
            match (SIGNED).
    """
    videos, facts, signed = find_videos(layout), DatasetFacts(layout), 0
    for number, video in enumerate(videos, 1):
        if not _is_signed(video, facts):
            partial = video.path.with_name(f".{video.path.name}.signing")
            try:
                _sign(video, video.path, facts, credentials, partial)
                partial.replace(video.path)
            finally:
                partial.unlink(missing_ok=True)
            signed += 1
        on_progress(number, len(videos), str(video.path))
    return signed


def strip_dataset(
    layout: Layout, folder: Path, credentials: Credentials, on_progress: Progress = lambda *_: None
) -> int:
    """Copy a signed dataset without the manifests in its videos, for training; return the number of videos.

    A copy has the bytes that the video had before it was signed, so no detector can learn the metadata. A new manifest
    of the copy lies beside it, as `<name>.c2pa`. Labels and lists are copied too.

    Args:
        layout: The dataset's folder.
        folder: The folder to write, which must not exist.
        credentials: What signs.
        on_progress: Called after each video.

    Raises:
        InvalidInput: the folder exists (FILE_EXISTS), or a video is not signed (NOT_SIGNED).
        Unusable: a video is no MP4 file or cannot be signed.
    """
    if folder.exists():
        raise InvalidInput(f"{folder} exists. Delete it, or choose another folder.", reason="FILE_EXISTS")
    videos, facts = find_videos(layout), DatasetFacts(layout)
    for video in videos:
        if boxes.manifest_of(video.path) is None:
            message = f"Expected a signed dataset. {video.path} is not signed. Run `facefoundry sign` on it first."
            raise InvalidInput(message, reason="NOT_SIGNED")
    with TemporaryDirectory(prefix="sign-") as made:
        copy = Path(made) / "copy.mp4"
        for number, video in enumerate(videos, 1):
            plain = files.in_new_folder(folder / video.path.relative_to(layout.root))
            boxes.strip(video.path, plain)
            sidecar = _sign(video, plain, facts, credentials, copy, embed=False)
            files.write(plain.with_suffix(SIDECAR), sidecar)
            copy.unlink()
            on_progress(number, len(videos), str(plain))
    lists = layout.filelist().parent
    for path in [*lists.glob("*.json"), *lists.glob("splits/*.json"), *layout.labels("any").parent.glob("*.json")]:
        shutil.copyfile(path, files.in_new_folder(folder / path.relative_to(layout.root)))
    return len(videos)


def _is_signed(video: Video, facts: DatasetFacts) -> bool:
    """Return whether a video is signed as this dataset's; refuse one with another manifest."""
    if boxes.manifest_of(video.path) is None:
        return False
    found = c2pa_files.read(video.path, "")
    known = found.facts if found else None
    relative = video.path.relative_to(facts.layout.root).as_posix()
    if found and found.state != "Invalid" and known and (known.dataset, known.path) == (facts.run.name, relative):
        return True
    what = "whose bytes it does not match" if known else "of another program"
    raise Unusable(
        f"Expected videos without a C2PA manifest, or signed as those of this dataset. {video.path} has a manifest "
        f"{what}. Fetch or make the file again.",
        reason="SIGNED",
        resource=str(video.path),
    )


def _sign(
    video: Video, path: Path, facts: DatasetFacts, credentials: Credentials, signed: Path, *, embed: bool = True
) -> bytes:
    definition = manifest(facts.of(video, path))
    return c2pa_files.sign(path, definition, _ingredients(video, facts.layout), credentials, signed, embed=embed)


def _ingredients(video: Video, layout: Layout) -> list[Ingredient]:
    """Return the signed real videos that a fake was made of."""
    if video.kind != "fake":
        return []
    made = []
    for label, sequence, relationship in ((TARGET, video.target, "parentOf"), (SOURCE, video.source, "inputTo")):
        path = layout.real_video(video.level, sequence)
        if path.is_file():
            made.append(Ingredient(ingredient(label, path.name, relationship, "video/mp4"), path))
    return made
