"""The error of a worker that needs a GPU and finds none."""

from __future__ import annotations

from facefoundry.errors import FaceFoundryError, Internal, Unusable

__all__ = ["no_gpu"]


def no_gpu(has_cuda: bool, machine: str) -> FaceFoundryError:
    """Return the error, which is final if TensorFlow would find a GPU on no node.

    Args:
        has_cuda: Whether TensorFlow was built with CUDA.
        machine: The machine's architecture, such as `aarch64`.
    """
    required = "Expected a GPU, because FACEFOUNDRY_WORKER_REQUIRE_GPU is set."
    on_cpu = "To train on the CPU, set FACEFOUNDRY_WORKER_REQUIRE_GPU=false."
    if has_cuda:
        return Internal(
            f"{required} TensorFlow found none. Check that the worker has a GPU, that CUDA is installed, and that the "
            f"driver is new enough. {on_cpu}",
            reason="NO_GPU",
        )
    if machine == "aarch64":
        return Unusable(
            f"{required} This machine is of the architecture arm64, for which TensorFlow's package has no CUDA, so its "
            "GPU cannot be used. Train on machines with x86-64; on Kubernetes, set image.architectures to [amd64]. "
            f"{on_cpu}",
            reason="NO_GPU",
        )
    return Unusable(
        f"{required} The installed TensorFlow was built without CUDA. Use the worker's image for GPUs (DEVICE=cuda) or "
        f"install the package tensorflow[and-cuda]. {on_cpu}",
        reason="NO_GPU",
    )
