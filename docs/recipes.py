"""Prints docs/recipes.md from the shipped recipes and the proto's comments and rules: `python -m docs.recipes`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from facefoundry import constraints, recipes
from facefoundry.recipes.refused import REFUSED
from facefoundry.v1 import recipe_pb2

_PROTO = Path(__file__).parents[1] / "protos" / "facefoundry" / "v1" / "recipe.proto"
_TOGETHER = {
    "conversion.frame_ranges": "in ascending order, without overlaps, within the target",
    "conversion.discard": "true only with frame_ranges",
    "compression.levels": "1 to 8 levels, including raw",
}
_INTRODUCTION = """# Recipes

A recipe is a named set of the options of all stages. A request or a command names a shipped recipe and overrides
fields of it:

```sh
facefoundry generate-models ... --recipe ffpp --set training.batch_size=32 --set conversion.frame_ranges=10-50,80-max
```

A value out of range and an unknown field are errors that name the field (INVALID_ARGUMENT; reasons RECIPE_RANGE and
RECIPE_FIELD). The fields of a group are part of the digest of its results. Left out are `training.iterations`, which
the model's prefix names instead, and values that compute what is computed without them. `facefoundry convert` also
accepts the options of the converter in FF++'s spellings: `-M`, `-e`, `-b`, `-S`, `-fr`, `-d`, and `-s` to select the
decoder.

## How one encoder learns two people

A training of few clips may learn to tell the two people apart, and then the swap follows the target's mouth less and
less. `preview` sets four fields against that, and for sharper faces. `ffpp` has FF++'s values, and refuses others.
[The decision](decisions/preview.md) has the figures.

- **`training.colours: standardised`**: each channel of each face gets the same mean and deviation before the network
  sees it, and the result gets those of the face that was given. So a colour cast tells nobody apart, and a swap has the
  target's colours. They are measured in an oval, so the background does not count. `export-models` writes an attribute
  about it into the .h5 files. FaceFoundry reads it; FF++'s script does not know it, and would swap in wrong colours.
- **`training.shared_blocks`**: the decoders share their innermost upscale blocks, so what the encoder says means the
  same for both people. More shared blocks follow the target better, and look less like the source.
- **`training.dssim`**: the loss compares contrast too, so the faces are sharper.
- **`training.loss_weights: face`**: errors in the face count more than those in its background, and those at eyes and
  mouth most.

## What a fake takes from its target

A decoder draws a mouth and light as its clip shows them, and a face of 64 pixels has no skin and no pupils. FF++
leaves all this so, and `ffpp` refuses these fields. Use the first two with `training.colours: standardised`, because
they need a face in the target's colours.

- **`conversion.mouth: target`**: what is inside the lips is the frame's own, where the target's mouth is open.
- **`conversion.detail`**: adds the target's detail that is finer than the network's pixels: skin, hair and film grain.
  It counts up to 12 grey levels, so the target's edges hardly come along, and up to 16 between open lids, so the fake
  looks where the target looks. Lids and brows get none: those of the target do not lie on the source's.
- **`conversion.colours: target`**: cheeks and other large areas have the target's hue. A lamp beside the source leaves
  no coloured patch. Light and shade, and the colours of what is small, such as lips, stay the source's.

The report's figures of mouth and sharpness are those of the whole fake, with what it takes. Set
`conversion.mouth=source` and `conversion.detail=0` to measure the network alone.

## How a training starts

FF++ began every training with random weights, and so does `ffpp`, which refuses both fields below.

- **`training.common_iterations`**: in the first iterations, as many as it says, one common decoder learns the faces of
  both sides. Then each side goes on with a copy of it. If a training has no more iterations than that, both decoders
  are equal and a fake shows the target's own face; the warning `COMMON_DECODER_ONLY` says so.
- **`training.start_from`**: the encoder and one decoder of a base, `training.start_decoder`, are copied to both sides.
  A base is a model whose `face_size`, filters, bottleneck and `colours` are those of the recipe. Another model is
  refused when the training is started (`BASE_SIZES`).

```sh
facefoundry generate-models ... --recipe preview --set training.common_iterations=500
facefoundry generate-models ... --recipe preview --set training.start_from=base:heads \\
    --set training.encoder_filters=[8,16,32,64] --set training.decoder_filters=[16,8,4] --set training.colours=kept
facefoundry generate-models ... --recipe preview --set training.start_from=MODELS/033_097
facefoundry generate-models ... --recipe preview --set training.start_from=base.safetensors
```

The value is the folder of a model on disk or its safetensors file, which the command imports first; the URI of a model
in the bucket; or `base:NAME`, a base that ships with the package: `base:heads`, which learnt drawn heads and has the
sizes and colours above ([figures](decisions/preview.md)). A request to a service has a URI or `base:NAME`;
`facefoundry.upload_model` of the Python package, and `ImportModel`, return the URI. The digest of the base's tensors is
part of the training's digest, so equal bases give equal trainings wherever they lie. It is `base_digest` in the
manifest of the model (`inputs`) and in the labels of its fakes. A base that changes before the worker reads it is
refused (`BASE_CHANGED`)."""
_REFUSED = """## Options of FF++ that are not supported

The command line refuses these spellings, and recipes refuse fields of these names (reason OPTION_REFUSED).

| option | what it did | why it is not supported | instead |
|---|---|---|---|"""


class _Row(NamedTuple):
    path: str
    field: FieldDescriptor
    comment: str


def _comments() -> dict[tuple[str, str], str]:
    """Return the comment of every field of recipe.proto, by message and field."""
    found, message, lines = {}, "", [""]
    for line in _PROTO.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        opened = re.match(r"message (\w+)", text)
        field = re.match(r"(?:optional |repeated )?\w+ (\w+) = \d+[; ]", text)
        message = opened[1] if opened else message
        if field:
            found[message, field[1]] = " ".join(lines)
        lines = [*lines, text.removeprefix("// ")] if text.startswith("//") else []
    return found


def _rows(descriptor: Descriptor, prefix: str, comments: dict[tuple[str, str], str]) -> Iterator[_Row]:
    for field in descriptor.fields:
        path = f"{prefix}{field.name}"
        yield _Row(path, field, comments[descriptor.name, field.name])
        if field.message_type is not None:
            yield from _rows(field.message_type, f"{path}.", comments)


def _value(recipe: Message, path: str) -> str:
    """Return the value of a field as YAML; empty for the fields of repeated messages."""
    value: object = recipe
    for name in path.split("."):
        if not isinstance(value, Message):
            return ""
        value = getattr(value, name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    items = list(value) if isinstance(value, Iterable) else []
    return str([item.name if isinstance(item, recipe_pb2.Level) else item for item in items]).replace("'", "")


def _allowed(row: _Row) -> str:
    if row.path in _TOGETHER:
        return _TOGETHER[row.path]
    if row.field.type == FieldDescriptor.TYPE_BOOL:
        return "true or false"
    return constraints.allowed(row.field)


def main() -> None:
    """Print the page."""
    comments = _comments()
    shipped = {name: recipes.load(name) for name in recipes.names()}
    print(_INTRODUCTION)
    for stage in recipe_pb2.Recipe.DESCRIPTOR.fields:
        if stage.message_type is None:
            continue
        print(f"\n## {stage.name}\n\n{comments['Recipe', stage.name]}\n")
        print("| field | " + " | ".join(f"`{name}`" for name in shipped) + " | allowed | meaning |")
        print("|---|" + "---|" * len(shipped) + "---|---|")
        for row in _rows(stage.message_type, f"{stage.name}.", comments):
            values = " | ".join(_value(recipe, row.path) for recipe in shipped.values())
            print(f"| `{row.path}` | {values} | {_allowed(row)} | {row.comment} |")
    print(f"\n{_REFUSED}")
    for refused in REFUSED:
        spellings = ", ".join(f"`{spelling}`" for spelling in refused.spellings)
        print(f"| {spellings} | {refused.effect} | {refused.why} | {refused.instead} |")


if __name__ == "__main__":
    main()
