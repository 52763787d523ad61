"""The sandbox that reads weights has enough memory for FF++'s model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facefoundry import codec
from facefoundry.model import keras_h5
from facefoundry.model.architecture import Architecture, unpack
from facefoundry.process.sandbox import Limits, Sandbox
from facefoundry.work.function import ENTRY_MODULE
from facefoundry.work.messages import Result
from facefoundry.work.workspace import Workspace
from services.trainer.functions import NETWORKS, READ_MODEL, ReadArgs

POD_BYTES = 3 << 29  # what the chart leaves to a sandbox


def test_the_full_original_is_read_in_a_sandbox_of_the_charts_size(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path).create()
    original = Architecture()
    zeros = {
        f"{network}/{name}": np.zeros(shape, np.float32)
        for network, shapes in original.shapes().items()
        for name, shape in shapes.items()
    }
    keras_h5.write(original, zeros, {network: workspace.input(name) for name, network in NETWORKS.items()})
    with Sandbox(Limits(seconds=280, memory_bytes=POD_BYTES), allow=[ENTRY_MODULE]) as sandbox:
        *_, last = READ_MODEL.run(sandbox, ReadArgs({name: name for name in NETWORKS}), workspace)
    assert isinstance(last, Result)
    assert last.info.architecture == codec.to_values(original)
    made = workspace.made_part("weights.safetensors")
    assert sum(tensor.size for tensor in unpack(made)[1].values()) == 82_062_470
    for path in (made, *workspace.inputs.iterdir()):
        path.unlink()  # 600 MiB
