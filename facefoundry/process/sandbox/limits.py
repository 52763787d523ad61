"""Limits of a sandbox, and the environment variables that configure its numerical libraries."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

__all__ = ["Limits", "child_variables", "library_variables", "use_threads"]

_OPENCV_THREADS = "OPENCV_FOR_THREADS_NUM"
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    _OPENCV_THREADS,
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_ALLOCATOR_TUNING = {
    # The highest values that glibc reaches by itself. With its initial values the memory of every frame is requested
    # from the system again, which takes a good part of the decoding time.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    # Idle BLAS threads sleep instead of spinning.
    "OPENBLAS_THREAD_TIMEOUT": "4",
}


@dataclass(frozen=True)
class Limits:
    """Limits of each run of a sandbox.

    Attributes:
        seconds: Longest time without a message. The whole run has no time limit, because long media take long.
        memory_bytes: Maximum resident memory of the child process and its descendants together.
        disk_bytes: Largest file that the child may write, and most bytes in the folders of its isolation; None for no
            limit.
        threads: Threads of each numerical library; None for the library's default, which is one per core.
    """

    seconds: float
    memory_bytes: int
    disk_bytes: int | None = None
    threads: int | None = None


def library_variables(threads: int | None) -> dict[str, str]:
    """Return the environment variables that set the memory allocator and the number of threads of numerical libraries.

    Libraries read these variables when they load.

    Args:
        threads: Threads of each numerical library; None for the library's default.
    """
    return _ALLOCATOR_TUNING | ({} if threads is None else dict.fromkeys(_THREADS, str(threads)))


def child_variables(threads: int | None) -> dict[str, str]:
    """Return the environment variables of a child, which forks: those of `library_variables`, but one thread of OpenCV.

    A fork copies one thread alone. OpenCV would miss the others in the run, and compute there without them. OpenBLAS
    ends its threads before a fork, and starts others in the run.
    """
    return library_variables(threads) | {_OPENCV_THREADS: "1"}


def use_threads(threads: int | None) -> None:
    """Let OpenCV use its threads in this process, a run; whether it is loaded already or will be.

    Args:
        threads: Threads of each numerical library; None for the library's default.
    """
    if threads is None:
        os.environ.pop(_OPENCV_THREADS, None)
    else:
        os.environ[_OPENCV_THREADS] = str(threads)
    if opencv := sys.modules.get("cv2"):
        opencv.setNumThreads(opencv.getNumberOfCPUs() if threads is None else threads)
