"""`python -m tools.base --out DIR`: draws heads that are nobody's, and trains a base on them.

DIR gets `heads/`, the pictures with their landmarks; `state.safetensors`, the training so far; and `NAME.safetensors`
with `NAME.json`, which belong into facefoundry/bases. A command that was interrupted goes on where it was. Example:

    python -m tools.base --out out/base --environment out/blender --processes 2
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from facefoundry.codec import to_values
from facefoundry.model.architecture import content_digest, unpack
from services.trainer.worker.loop import configure
from tools.base.crops import crops, varied
from tools.base.looks import heads
from tools.base.train import options, train
from tools.heads.job import Job
from tools.heads.parts import Parts, draw

_SIZE, _HEIGHT, _SAMPLES = 128, 2.2, 8


def main() -> None:
    """Make the base that the arguments describe."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tools.base", description=__doc__, formatter_class=formatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for heads and base")
    parser.add_argument("--environment", type=Path, metavar="DIR", help="where to keep Blender and the parts, 1 GB")
    parser.add_argument("--name", default="heads", help="name of the base (default: heads)")
    parser.add_argument("--recipe", default="preview", help="recipe whose sizes the base has (default: preview)")
    parser.add_argument("--heads", type=int, default=45, help="heads (default: 45)")
    parser.add_argument("--shots", type=int, default=20, help="pictures of each head (default: 20)")
    parser.add_argument("--variants", type=int, default=2, help="changed copies of each picture (default: 2)")
    parser.add_argument("--iterations", type=int, default=2400, help="iterations of the training (default: 2400)")
    parser.add_argument("--processes", type=int, default=1, help="Blenders that draw at once (default: 1)")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    parts = Parts.install(arguments.environment or out / "blender")
    made = heads(parts.targets, parts.skins, arguments.heads, arguments.shots)
    jobs = [
        parts.job(out / "heads", made[first :: arguments.processes], size=_SIZE, height=_HEIGHT, samples=_SAMPLES)
        for first in range(arguments.processes)
    ]
    with ThreadPoolExecutor(arguments.processes) as pool:
        list(pool.map(lambda job: draw(parts, job), jobs))
    chosen = options(arguments.recipe, arguments.iterations, seed=1)
    configure()
    packed = train(_faces(jobs, arguments.variants), chosen, out / "state.safetensors", _report)
    _write(out, arguments.name, packed)


def _faces(jobs: list[Job], variants: int) -> np.ndarray:
    """Return the crops of all pictures, and changed copies of them, uint8 [n, 256, 256, 3]."""
    pictures = [job.picture(head, number) for job in jobs for head in job.heads for number in range(len(head.shots))]
    plain = crops(sorted(pictures))
    random = np.random.default_rng(19)
    changed = [varied(crop, random) for _ in range(variants) for crop in plain]
    return np.concatenate([plain, np.stack(changed)]) if changed else plain


def _report(iteration: int, loss: float) -> None:
    print(f"iteration {iteration}: {loss:.2f} grey levels", flush=True)


def _write(out: Path, name: str, packed: bytes) -> None:
    """Write the base and its record."""
    file = out / f"{name}.safetensors"
    file.write_bytes(packed)
    architecture, tensors = unpack(file)
    record = {"content_digest": content_digest(tensors, architecture.colours), "architecture": to_values(architecture)}
    file.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main()
