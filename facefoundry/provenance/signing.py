"""Signs the videos of a dataset, in place or as copies whose manifests lie beside them.

A video is replaced at once by its signed copy, so a stopped command leaves whole files; the next one goes on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from facefoundry.dataset import files
from facefoundry.dataset.layout import Layout
from facefoundry.dataset.run_folder import RUN_FILE
from facefoundry.errors import InvalidInput, Unusable
from facefoundry.provenance import boxes, c2pa_files
from facefoundry.provenance.c2pa_files import SIDECAR, Found, Ingredient
from facefoundry.provenance.credentials import Credentials
from facefoundry.provenance.manifests import SOURCE, TARGET, ingredient, manifest
from facefoundry.provenance.videos import DatasetFacts, SignedFacts, Video, find_videos

__all__ = ["Progress", "sign_dataset", "strip_dataset"]

Progress = Callable[[int, int, str], None]
"""Called with the number of finished videos, the number of all, and the path of the last one."""


def sign_dataset(layout: Layout, credentials: Credentials, on_progress: Progress = lambda *_: None) -> int:
    """Sign all videos of a dataset in place, and return how many were signed now. Those that are signed stay.

    A video whose certificate has expired is signed again, if the rest is as it was signed.

    Args:
        layout: The dataset's folder.
        credentials: What signs.
        on_progress: Called after each video.

    Raises:
        InvalidInput: there are no videos.
        Unavailable: the time-stamping authority gives no time stamp (TIME_STAMP).
        NotFound: there is no run record (NO_RUN).
        Unusable: a video cannot be signed, or a real video of a fake is missing (SIGNING); a video has a manifest of
            another program, or one that its bytes do not match (SIGNED).
    """
    videos, facts, signed = find_videos(layout), DatasetFacts(layout), 0
    for video in videos:
        _ingredients(video, layout)
    with TemporaryDirectory(prefix="sign-") as made:
        plain = Path(made) / "plain.mp4"
        for number, video in enumerate(videos, 1):
            found = _signed(video, facts)
            if found is None or found.has_expired:
                if found and boxes.manifest_of(video.path) is None:
                    raise _refusal(video, "beside it that has expired")
                old = _stripped(video, found, facts, plain) if found else None
                partial = video.path.with_name(f".{video.path.name}.signing")
                try:
                    _sign(video, plain if old else video.path, facts, credentials, partial, old)
                    _put(partial, video.path)
                finally:
                    partial.unlink(missing_ok=True)
                signed += 1
            on_progress(number, len(videos), str(video.path))
    return signed


def strip_dataset(
    layout: Layout, folder: Path, credentials: Credentials, anchors: str, on_progress: Progress = lambda *_: None
) -> int:
    """Copy a signed dataset without the manifests in its videos, for training; return the number of videos.

    A copy has the bytes that the video had before it was signed, so no detector can learn the metadata. A new manifest
    of the copy lies beside it, as `<name>.c2pa`, with what was signed before. Labels, lists and records are copied too.
    The folder is there once it is whole.

    Args:
        layout: The dataset's folder.
        folder: The folder to write, which must not exist.
        credentials: What signs the copies.
        anchors: PEM certificates of the authorities to trust: they must vouch for who signed the videos.
        on_progress: Called after each video.

    Raises:
        InvalidInput: the folder exists (FILE_EXISTS), or a video is not signed (NOT_SIGNED).
        Unusable: a video is no MP4 file, cannot be signed (SIGNING), it or its labels are not as they were signed, or
            nobody who is trusted signed it (SIGNED).
    """
    if folder.exists():
        raise InvalidInput(f"{folder} exists. Delete it, or choose another folder.", reason="FILE_EXISTS")
    videos, facts = find_videos(layout), DatasetFacts(layout)
    for video in videos:
        if boxes.manifest_of(video.path) is None:
            message = f"Expected a signed dataset. {video.path} is not signed. Run `facefoundry sign` on it first."
            raise InvalidInput(message, reason="NOT_SIGNED")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a command that was killed
    try:
        _write_copies(videos, facts, partial, credentials, anchors, on_progress)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(videos)


def _write_copies(
    videos: Sequence[Video],
    facts: DatasetFacts,
    folder: Path,
    credentials: Credentials,
    anchors: str,
    on_progress: Progress,
) -> None:
    layout = facts.layout
    with TemporaryDirectory(prefix="sign-") as made:
        copy = Path(made) / "copy.mp4"
        for number, video in enumerate(videos, 1):
            plain = files.in_new_folder(folder / video.path.relative_to(layout.root))
            found = _signed(video, facts, anchors)
            if found is None:
                raise _refusal(video, "that was removed")
            if found.state != "Trusted":
                raise _untrusted(video, found)
            old = _stripped(video, found, facts, plain)
            sidecar = _sign(video, plain, facts, credentials, copy, old, embed=False)
            files.write(plain.with_suffix(SIDECAR), sidecar)
            copy.unlink()
            on_progress(number, len(videos), str(video.path))
    lists, run = layout.filelist().parent, layout.run_folder()
    copied = [*lists.glob("*.json"), *lists.glob("splits/*.json"), *layout.labels("any").parent.glob("*.json")]
    for path in {*copied, run / RUN_FILE, *run.glob("pairs/*.json")}:
        shutil.copyfile(path, files.in_new_folder(folder / path.relative_to(layout.root)))


def _signed(video: Video, facts: DatasetFacts, anchors: str = "") -> Found | None:
    """Return the manifest of a video that is signed as this dataset's; None without one; refuse another."""
    found = c2pa_files.read(video.path, anchors)
    if found is None:
        return None
    relative = video.path.relative_to(facts.layout.root).as_posix()
    if found.facts is None:
        raise _refusal(video, "of another program, or one that is damaged")
    if found.state == "Invalid" and not found.has_expired:
        raise _refusal(video, "whose bytes it does not match")
    if (found.facts.dataset, found.facts.path, found.facts.kind) != (facts.run.name, relative, video.kind):
        raise _refusal(video, f"of {found.facts.path} of the dataset {found.facts.dataset}")
    return found


def _stripped(video: Video, found: Found, facts: DatasetFacts, plain: Path) -> SignedFacts:
    """Write a signed video without its manifest, and return what was signed; refuse what has changed since then."""
    boxes.strip(video.path, plain)
    now = facts.of(video, plain)
    if found.facts is None or found.facts.unsigned_sha256 != now.unsigned_sha256:
        raise _refusal(video, "whose unsigned file it is not")
    if found.facts.labels_sha256 != now.labels_sha256:
        raise _refusal(video, "that was made with other labels")
    return found.facts


def _refusal(video: Video, what: str) -> Unusable:
    return Unusable(
        f"Expected videos without a C2PA manifest, or signed as those of this dataset. {video.path} has a manifest "
        f"{what}. Fetch or make the file again.",
        reason="SIGNED",
        resource=str(video.path),
    )


def _untrusted(video: Video, found: Found) -> Unusable:
    what = "has expired" if found.has_expired else "is vouched for by none of the authorities to trust"
    return Unusable(
        f"Expected videos that somebody signed who is trusted. The certificate of {video.path}, of "
        f"{found.signer or 'nobody who is named'}, {what}. Give its authority with --trust, or sign the dataset again.",
        reason="SIGNED",
        resource=str(video.path),
    )


def _put(partial: Path, path: Path) -> None:
    """Replace a video by its signed copy, once that is on the disk."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _sign(
    video: Video,
    path: Path,
    facts: DatasetFacts,
    credentials: Credentials,
    signed: Path,
    old: SignedFacts | None,
    *,
    embed: bool = True,
) -> bytes:
    """Sign a file of a video; `old` is what was signed of it before."""
    definition = manifest(old or facts.of(video, path))
    return c2pa_files.sign(path, definition, _ingredients(video, facts.layout), credentials, signed, embed=embed)


def _ingredients(video: Video, layout: Layout) -> list[Ingredient]:
    """Return the real videos that a fake was made of."""
    if video.kind != "fake":
        return []
    made = []
    for label, sequence, relationship in ((TARGET, video.target, "parentOf"), (SOURCE, video.source, "inputTo")):
        path = layout.real_video(video.level, sequence)
        if not path.is_file():
            message = f"Expected the real videos of each fake. {path}, of {video.path.name}, is missing. Fetch it."
            raise Unusable(message, reason="SIGNING", resource=str(path))
        made.append(Ingredient(ingredient(label, path.name, relationship, "video/mp4"), path))
    return made
