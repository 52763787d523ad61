"""The environment variables of a worker, without what a user has set for Keras and TensorFlow.

Such variables, and `~/.keras/keras.json`, choose another Keras backend, layout of pictures or precision, or other
kernels. A training must not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["worker_variables"]

_REMOVED = ("KERAS_", "TF_", "XLA_", "ONEDNN_", "DNNL_", "CUDNN_", "CUBLAS_", "NVIDIA_TF32_OVERRIDE")
_SET = {
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": "/dev/null",  # no folder, so Keras neither finds nor writes a keras.json
    "TF_CPP_MIN_LOG_LEVEL": "1",
}


def worker_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a worker runs in an environment.

    Which devices there are, such as CUDA_VISIBLE_DEVICES, remains the user's choice.
    """
    return {name: value for name, value in environment.items() if not name.startswith(_REMOVED)} | _SET
