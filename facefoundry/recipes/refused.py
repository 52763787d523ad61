"""Options of the original and of its 2018 faceswap that are not here: what each was, why not, what to use instead.

The one table; the command refuses their spellings, recipes refuse fields of their names, docs/recipes.md shows them.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "REFUSED", "Refused", "field", "of_command"]

_EXTRACT, _TRAIN, _CONVERT = ("extract-faces",), ("train",), ("convert",)
COMMANDS = ("generate-models", "create-from-models", *_EXTRACT, *_TRAIN, *_CONVERT)
"""Commands that had options of this kind."""


class Refused(NamedTuple):
    """An option that is not here.

    Attributes:
        spellings: How it was written on the command line.
        commands: Commands, by their names of today, that had it.
        was: What it did.
        why: Why it is not here.
        instead: What to use.
        names: Further names of it, which today's command line has for something else.
    """

    spellings: tuple[str, ...]
    commands: tuple[str, ...]
    was: str
    why: str
    instead: str
    names: tuple[str, ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """The names somebody would give it as a recipe field."""
        long = [spelling.removeprefix("--") for spelling in self.spellings if spelling.startswith("--")]
        return frozenset(name.lower().replace("-", "_") for name in (*long, *self.names))

    def sentence(self) -> str:
        """What to tell somebody who used it."""
        return f"{', '.join(self.spellings)} {self.was}. That is not here: {self.why}. Instead: {self.instead}."


REFUSED = (
    Refused(
        ("-m", "--mode"),
        ("generate-models", "create-from-models", "extract-faces"),
        "chose the mode of the original script",
        "each mode is a command",
        "facefoundry generate-models, create-from-models, extract-faces, train or convert",
    ),
    Refused(
        ("--python_path",),
        COMMANDS,
        "named the Python that the original started faceswap with",
        "nothing is started through a shell; the services do the work",
        "leave it out",
    ),
    Refused(
        ("-g", "--gpu", "--gpus"),
        COMMANDS,
        "chose the GPU by number, or the number of GPUs of one training",
        "one training uses one device, and whoever runs the worker gives it that device",
        "CUDA_VISIBLE_DEVICES in the worker's environment",
    ),
    Refused(
        ("-v", "--verbose"),
        _EXTRACT + _TRAIN + _CONVERT,
        "printed more",
        "events are always told, to people as progress and to programs as JSON lines",
        "--json",
    ),
    Refused(
        ("--alignments",),
        _EXTRACT + _CONVERT,
        "named the alignments file to write or to read",
        "a conversion takes the extraction of its own clip, by digest, so that the two cannot be mixed up",
        "leave it out; extract-faces writes the file",
    ),
    Refused(
        ("--serializer",),
        _EXTRACT + _CONVERT,
        "chose JSON, YAML or pickle for the alignments",
        "pickle runs code when it is read, and one form is enough",
        "the JSON form, which is always written",
    ),
    Refused(
        ("-D", "--detector"),
        _EXTRACT + _CONVERT,
        "chose dlib-hog, dlib-cnn, dlib-all or mtcnn",
        "engines are a matter of the extraction",
        "--set extraction.engine=dlib or face_alignment",
    ),
    Refused(
        ("-mtms", "--mtcnn-minsize", "-mtth", "--mtcnn-threshold", "-mtsc", "--mtcnn-scalefactor"),
        _EXTRACT + _CONVERT,
        "tuned the MTCNN detector",
        "MTCNN is none of the engines; what it found depended on the free memory of the GPU",
        "--set extraction.engine=face_alignment, whose detector needs no tuning",
    ),
    Refused(
        ("-l", "--ref_threshold", "-n", "--nfilter", "-f", "--filter"),
        _EXTRACT + _CONVERT,
        "kept or dropped faces by their likeness to reference pictures",
        "a sequence has one subject, who is followed from frame to frame",
        "a clip of the wanted person alone; --set extraction.identity=true measures the likeness",
    ),
    Refused(
        ("-r", "--rotate-images"),
        _EXTRACT,
        "searched again in turned copies of a frame where no face was found",
        "the rotation that a video file states is applied when it is decoded, and nothing is guessed",
        "turn the clip before, such as with ffmpeg -vf transpose",
    ),
    Refused(
        ("-bt", "--blur-threshold"),
        _EXTRACT,
        "moved blurry faces to a folder of their own",
        "a training set with gaps cannot be told from a damaged one",
        "sharper clips",
    ),
    Refused(
        ("-mp", "--multiprocess"),
        _EXTRACT,
        "ran several processes on a CPU",
        "several clips are always worked on at once, as many as the services have slots for",
        "more slots or replicas of the extractor",
    ),
    Refused(
        ("-s", "--skip-existing"),
        _EXTRACT,
        "left frames alone that had been extracted before",
        "work that was done is always found by its digest",
        "the same command again",
    ),
    Refused(
        ("-dl", "--debug-landmarks"),
        _EXTRACT,
        "drew the landmarks into the face crops",
        "crops are what models learn from",
        "the alignments file, which has every landmark, and the report's pictures",
    ),
    Refused(
        ("-ae", "--align-eyes"),
        _EXTRACT,
        "turned crops until the eyes were level",
        "the faces of FaceForensics++ were not made with it, and a model must meet the alignment it was trained on",
        "the similarity to the mean face, which is always used",
    ),
    Refused(
        ("-m", "--model-dir"),
        _TRAIN + _CONVERT,
        "named the folder of the model",
        "the original script and this command call it otherwise",
        "--model_path to read one; -o to write one, below manipulated_sequences/Deepfakes/models",
    ),
    Refused(
        ("swap_model",),
        (),
        "exchanged the two decoders",
        "target_side of a ConvertRequest says which side the target was trained as, and a dataset run makes both",
        "-s, --swap-model of facefoundry convert",
        names=("swap_model",),
    ),
    Refused(
        ("-a", "--input-aligned-dir"),
        _CONVERT,
        "skipped the frames whose face crops had been deleted from a folder",
        "an empty or wrong folder skipped everything without a word",
        "-fr 10-50 for frames that shall be swapped",
    ),
    Refused(
        ("-c",),
        _CONVERT,
        "chose the Masked or the Adjust converter",
        "FaceForensics++ used Masked; Adjust was another look with options that could not be switched off",
        "-M, -e, -b and -S, which are Masked's",
        names=("converter",),
    ),
    Refused(
        ("-sm", "--smooth-mask", "-aca", "--avg-color-adjust"),
        _CONVERT,
        "were two options of the Adjust converter, on even when left out",
        "the Adjust converter is not here",
        "-b for a softer mask, -S for colours that fit",
    ),
    Refused(
        ("-mh", "--match-histogram"),
        _CONVERT,
        "gave the new face the colour histogram of the old one",
        "FaceForensics++ did not use it, and Poisson blending already fits the colours",
        "-S",
    ),
    Refused(
        ("-sh", "--sharpen"),
        _CONVERT,
        "sharpened the new face by bsharpen or gsharpen",
        "FaceForensics++ did not use it, and a detector would learn the sharpening",
        "the face as the network gives it",
    ),
    Refused(
        ("-wim", "--write_image_masks"),
        _CONVERT,
        "named a folder for mask pictures, and without it nothing was swapped",
        "masks are always written, as lossless videos",
        "manipulated_sequences/Deepfakes/masks, masks_blend and masks_changed below -o",
    ),
    Refused(
        ("-t",),
        _TRAIN + _CONVERT,
        "chose the model: Original, LowMem, GAN, GAN128, IAE or OriginalHighRes",
        "FaceForensics++ was made with Original, the one model here",
        "--set training.encoder_filters, bottleneck, upscale_filters and decoder_filters for a smaller Original",
        names=("trainer",),
    ),
    Refused(
        ("-pl", "--perceptual-loss"),
        _TRAIN,
        "added a perceptual loss to the GAN trainers",
        "the GAN trainers are not here; Original learns by the mean absolute error",
        "leave it out",
    ),
    Refused(
        ("-A", "--input-A", "-B", "--input-B"),
        _TRAIN,
        "named the two folders of face crops",
        "a training takes two clips and extracts them itself, once",
        "-i CLIP_A -i2 CLIP_B",
    ),
    Refused(
        ("-s", "--save-interval"),
        _TRAIN,
        "saved the weights every so many iterations",
        "checkpoints are written by time, with the state of the optimizers, and kept only until the model is done",
        "leave it out",
    ),
    Refused(
        ("-bs", "--batch-size"),
        _TRAIN,
        "set the faces a side and iteration",
        "it is a field of the recipe",
        "--set training.batch_size=64",
    ),
    Refused(
        ("-ag", "--allow-growth"),
        _TRAIN,
        "let TensorFlow take GPU memory as it needed it",
        "a worker always takes it so",
        "leave it out",
    ),
    Refused(
        ("-p", "--preview", "-w", "--write-image"),
        _TRAIN,
        "showed or wrote a picture of the training now and then",
        "previews are always written to the store",
        "report.html in the output folder",
    ),
)


def of_command(command: str) -> list[Refused]:
    """What a command refuses."""
    return [row for row in REFUSED if command in row.commands]


def field(name: str) -> Refused | None:
    """The refused option that somebody means by a recipe field, if there is one; `-` is as good as `_`."""
    wanted = name.lower().replace("-", "_")
    return next((row for row in REFUSED if wanted in row.fields), None)
