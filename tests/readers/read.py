"""Reads a video with one library, in an environment of this library and NumPy: `read.py READER FILE OUT [NUMBER]`.

All frames, or one by its number, are written to OUT as uint8 [n, h, w, 3] RGB. It prints the seconds of computing from
opening the file to the last of them, of all threads and of programs that the library starts. Old readers need old
Pythons: this file runs from Python 3.6 on.
"""

import gc
import resource
import sys
from importlib import import_module
from typing import Any, Callable, Dict, Iterator, Tuple  # noqa: UP035  (Python 3.6)

import numpy as np


def _opencv(path: str) -> Iterator[Any]:
    capture = import_module("cv2").VideoCapture(path)
    found, frame = capture.read()
    while found:
        yield frame[:, :, ::-1]
        found, frame = capture.read()


def _opencv_at(path: str, number: int) -> Any:
    cv2 = import_module("cv2")
    capture = cv2.VideoCapture(path)
    capture.set(cv2.CAP_PROP_POS_FRAMES, number)
    return capture.read()[1][:, :, ::-1]


def _av(path: str) -> Iterator[Any]:
    with import_module("av").open(path) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def _av_at(path: str, number: int) -> Any:
    with import_module("av").open(path) as container:
        stream = container.streams.video[0]
        wanted = round(number / stream.average_rate / stream.time_base)
        container.seek(wanted, stream=stream)
        return next(frame for frame in container.decode(stream) if frame.pts >= wanted).to_ndarray(format="rgb24")


def _decord(path: str) -> Iterator[Any]:
    reader = import_module("decord").VideoReader(path)
    for number in range(len(reader)):
        yield reader[number].asnumpy()


def _decord_at(path: str, number: int) -> Any:
    return import_module("decord").VideoReader(path)[number].asnumpy()


def _torchcodec(path: str) -> Iterator[Any]:
    decoder = import_module("torchcodec.decoders").VideoDecoder(path)
    for number in range(len(decoder)):
        yield decoder[number].permute(1, 2, 0).numpy()


def _torchcodec_at(path: str, number: int) -> Any:
    return import_module("torchcodec.decoders").VideoDecoder(path)[number].permute(1, 2, 0).numpy()


def _imageio(path: str) -> Iterator[Any]:
    yield from import_module("imageio.v3").imiter(path, plugin="pyav")


def _imageio_at(path: str, number: int) -> Any:
    return import_module("imageio.v3").imread(path, index=number, plugin="pyav")


def _imageio_ffmpeg(path: str) -> Iterator[Any]:
    reader = import_module("imageio_ffmpeg").read_frames(path)
    width, height = next(reader)["size"]
    for data in reader:
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _imageio_ffmpeg_at(path: str, number: int) -> Any:
    module = import_module("imageio_ffmpeg")
    rate = next(module.read_frames(path))["fps"]
    reader = module.read_frames(path, input_params=["-ss", str(number / rate)])
    width, height = next(reader)["size"]
    return np.frombuffer(next(reader), np.uint8).reshape(height, width, 3)


def _moviepy(path: str) -> Iterator[Any]:
    yield from import_module("moviepy").VideoFileClip(path).iter_frames()


def _moviepy_at(path: str, number: int) -> Any:
    clip = import_module("moviepy").VideoFileClip(path)
    return clip.get_frame(number / clip.fps)


READERS: Dict[str, Tuple[Callable[[str], Iterator[Any]], Callable[[str, int], Any]]] = {  # noqa: UP006  (Python 3.6)
    "opencv": (_opencv, _opencv_at),
    "av": (_av, _av_at),
    "decord": (_decord, _decord_at),
    "torchcodec": (_torchcodec, _torchcodec_at),
    "imageio": (_imageio, _imageio_at),
    "imageio-ffmpeg": (_imageio_ffmpeg, _imageio_ffmpeg_at),
    "moviepy": (_moviepy, _moviepy_at),
}
"""By name: yields all frames, and returns the frame of a number."""


def _computed() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main(name: str, path: str, out: str, number: str = "") -> None:
    """Read, write the frames, print the seconds."""
    frames, frame_at = READERS[name]
    import_module({"imageio": "imageio.v3", "imageio-ffmpeg": "imageio_ffmpeg", "opencv": "cv2"}.get(name, name))
    begin = _computed()
    found = [frame_at(path, int(number))] if number else list(frames(path))
    gc.collect()  # ends programs that were started, so that their time is counted
    print(_computed() - begin)
    np.save(out, np.stack(found).astype(np.uint8))


if __name__ == "__main__":
    main(*sys.argv[1:])
