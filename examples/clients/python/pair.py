"""Make the two fakes of a pair of clips: pair.py A.mp4 B.mp4 OUT. Called again, it goes on where it ended."""

import hashlib
import sys
from pathlib import Path
from urllib.request import urlopen

import facefoundry
from facefoundry import SIDE_A, SIDE_B

RECIPE = facefoundry.Recipe(name="preview", training={"iterations": 20})


def make(client: facefoundry.Client, clips: list[Path], out: Path) -> None:
    """Make the fakes. The client waits for full replicas, and cancels the running call when it is closed."""
    a, b = (clip.stem for clip in clips)
    faces = {}
    for clip in clips:
        source = facefoundry.upload(clip, client=client)
        faces[clip.stem] = client.extract(source, clip.stem, RECIPE, on_progress=print).uri
    request = facefoundry.StartTrainingRequest(
        extraction_a_uri=faces[a], extraction_b_uri=faces[b], pair_id=f"{a}_{b}", recipe=RECIPE
    )
    for training in client.watch_training(client.start_training(request).uri):
        print(training)
    if not training.model_uri:
        sys.exit(f"The training failed: {training.failure}")
    for target, source, side in ((a, b, SIDE_A), (b, a, SIDE_B)):
        request = facefoundry.ConvertRequest(
            model_uri=training.model_uri,
            target_extraction_uri=faces[target],
            target_side=side,
            target_id=target,
            source_id=source,
            recipe=RECIPE,
        )
        folder = out / f"{target}_{source}"
        folder.mkdir(parents=True, exist_ok=True)
        for file in client.list_files(client.convert(request, on_progress=print).uri):
            with urlopen(file.url) as response:
                data = response.read()
            if hashlib.sha256(data).hexdigest() != file.sha256:
                sys.exit(f"{file.name} has other bytes")
            (folder / file.name).write_bytes(data)


if __name__ == "__main__":
    try:
        with facefoundry.Client() as client:
            make(client, [Path(clip) for clip in sys.argv[1:3]], Path(sys.argv[3]))
    except facefoundry.errors.FaceFoundryError as error:
        sys.exit(f"{error.reason}: {error} {error.violations}")
