"""The options of FF++'s script and of its faceswap of 2018 that FaceFoundry does not support.

For each option this module states its effect, why it is not supported and what to use instead. The command line refuses
these options, recipes refuse fields with their names, and docs/recipes.md lists them.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "REFUSED", "Refused", "for_command", "for_field"]

_EXTRACT, _TRAIN, _CONVERT = ("extract-faces",), ("train",), ("convert",)
COMMANDS = ("generate-models", "create-from-models", *_EXTRACT, *_TRAIN, *_CONVERT)
"""The commands of `facefoundry` that had such options in FF++'s script or in faceswap."""


class Refused(NamedTuple):
    """An option that is not supported.

    Attributes:
        spellings: The option's spellings on the command line.
        commands: The commands of `facefoundry` that refuse the option.
        effect: What the option did, a predicate such as "printed more details".
        why: Why the option is not supported.
        instead: What to use instead.
        names: Further names under which a recipe might set the option.
    """

    spellings: tuple[str, ...]
    commands: tuple[str, ...]
    effect: str
    why: str
    instead: str
    names: tuple[str, ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """The names under which a recipe might set the option: its long spellings and `names`."""
        long = [spelling.removeprefix("--") for spelling in self.spellings if spelling.startswith("--")]
        return frozenset(name.lower().replace("-", "_") for name in (*long, *self.names))

    def sentence(self) -> str:
        """Return the message for users who give the option."""
        return f"{', '.join(self.spellings)} {self.effect}. It is not supported: {self.why}. Instead: {self.instead}."


REFUSED = (
    Refused(
        ("-m", "--mode"),
        ("generate-models", "create-from-models", "extract-faces"),
        "selected the mode of FF++'s script",
        "each mode is now a command of its own",
        "facefoundry generate-models, create-from-models, extract-faces, train or convert",
    ),
    Refused(
        ("--python_path",),
        COMMANDS,
        "named the Python that FF++ ran faceswap with",
        "the services do the work, and start nothing through a shell",
        "omit it",
    ),
    Refused(
        ("-g", "--gpu", "--gpus"),
        COMMANDS,
        "selected a GPU by number, or the number of GPUs for one training",
        "a training uses one GPU, and the trainer's backend determines which one",
        "set CUDA_VISIBLE_DEVICES for services on this machine; on Kubernetes, every worker gets a GPU of its own",
    ),
    Refused(
        ("-v", "--verbose"),
        _EXTRACT + _TRAIN + _CONVERT,
        "printed more details",
        "all events are always reported, as progress for people and as JSON lines for programs",
        "use --json",
    ),
    Refused(
        ("--alignments",),
        _EXTRACT + _CONVERT,
        "named the alignments file to write or read",
        "a conversion finds the extraction of its clip by digest, so the two cannot be mixed up",
        "omit it; extract-faces writes the file",
    ),
    Refused(
        ("--serializer",),
        _EXTRACT + _CONVERT,
        "selected JSON, YAML or pickle for the alignments",
        "reading pickle runs code, and one format is enough",
        "use the JSON file, which is always written",
    ),
    Refused(
        ("-D", "--detector"),
        _EXTRACT + _CONVERT,
        "selected dlib-hog, dlib-cnn, dlib-all or mtcnn",
        "the engine is a field of the recipe",
        "use --set extraction.engine=dlib, centerface or face_alignment",
    ),
    Refused(
        ("-mtms", "--mtcnn-minsize", "-mtth", "--mtcnn-threshold", "-mtsc", "--mtcnn-scalefactor"),
        _EXTRACT + _CONVERT,
        "tuned the MTCNN detector",
        "MTCNN is not one of the engines, because its results depended on the free memory of the GPU",
        "use --set extraction.engine=centerface, whose detector needs no tuning",
    ),
    Refused(
        ("-l", "--ref_threshold", "-n", "--nfilter", "-f", "--filter"),
        _EXTRACT + _CONVERT,
        "kept or dropped faces by their similarity to reference images",
        "a sequence has one subject, whom face embeddings tell from other people",
        "use --subject ID=PICTURE, with a picture of the person",
    ),
    Refused(
        ("-r", "--rotate-images"),
        _EXTRACT,
        "searched rotated copies of frames in which no face was found",
        "decoding applies the rotation in the video file, and no other rotation is guessed",
        "rotate the clip first, for example with ffmpeg -vf transpose",
    ),
    Refused(
        ("-bt", "--blur-threshold"),
        _EXTRACT,
        "moved blurry faces to a separate folder",
        "a training set with gaps cannot be distinguished from a damaged one",
        "use sharper clips",
    ),
    Refused(
        ("-mp", "--multiprocess"),
        _EXTRACT,
        "ran several processes on a CPU",
        "several clips are always processed at once, as many as the services have slots",
        "use more slots or replicas of the extractor",
    ),
    Refused(
        ("-s", "--skip-existing"),
        _EXTRACT,
        "skipped frames that were already extracted",
        "finished results are always found by their digest and reused",
        "repeat the same command",
    ),
    Refused(
        ("-dl", "--debug-landmarks"),
        _EXTRACT,
        "drew the landmarks into the face crops",
        "models are trained on the crops",
        "use the alignments file, which has all landmarks, or the pictures in the report",
    ),
    Refused(
        ("-ae", "--align-eyes"),
        _EXTRACT,
        "rotated crops until the eyes were level",
        "FF++ did not use it, and a model needs faces with the alignment that it was trained on",
        "omit it; faces are always aligned to the mean face by a similarity transform",
    ),
    Refused(
        ("-m", "--model-dir"),
        _TRAIN + _CONVERT,
        "named the folder of the model",
        "this command uses the names of FF++'s script",
        "use --model_path to read a model; -o writes one, below manipulated_sequences/Deepfakes/models",
    ),
    Refused(
        ("swap_model",),
        (),
        "exchanged the two decoders",
        "the target_side of a ConvertRequest determines the decoder, and a dataset run makes both directions",
        "use -s, --swap-model of facefoundry convert",
        names=("swap_model",),
    ),
    Refused(
        ("-a", "--input-aligned-dir"),
        _CONVERT,
        "skipped the frames whose face crops had been deleted from a folder",
        "an empty or wrong folder silently skipped all frames",
        "select the frames to swap, for example with -fr 10-50",
    ),
    Refused(
        ("-c",),
        _CONVERT,
        "selected the Masked or the Adjust converter",
        "FF++ used Masked, and Adjust had options that could not be turned off",
        "use -M, -e, -b and -S, the options of Masked",
        names=("converter",),
    ),
    Refused(
        ("-sm", "--smooth-mask", "-aca", "--avg-color-adjust"),
        _CONVERT,
        "were two options of the Adjust converter, on by default",
        "the Adjust converter is not supported",
        "use -b for a softer mask and -S for matching colours",
    ),
    Refused(
        ("-mh", "--match-histogram"),
        _CONVERT,
        "gave the new face the colour histogram of the old face",
        "FF++ did not use it, and Poisson blending already matches the colours",
        "use -S",
    ),
    Refused(
        ("-sh", "--sharpen"),
        _CONVERT,
        "sharpened the new face with bsharpen or gsharpen",
        "FF++ did not use it, and a detector would learn to detect the sharpening",
        "omit it; a recipe other than ffpp can add the target's detail, with --set conversion.detail=1",
    ),
    Refused(
        ("-wim", "--write_image_masks"),
        _CONVERT,
        "named a folder for mask images; without it nothing was swapped",
        "masks are always written, as lossless videos",
        "use manipulated_sequences/Deepfakes/masks, masks_blend and masks_changed below -o",
    ),
    Refused(
        ("-t",),
        _TRAIN + _CONVERT,
        "selected the model: Original, LowMem, GAN, GAN128, IAE or OriginalHighRes",
        "FF++ used Original, which is the only model",
        "use --set training.encoder_filters, bottleneck, upscale_filters and decoder_filters for a smaller Original",
        names=("trainer",),
    ),
    Refused(
        ("-pl", "--perceptual-loss"),
        _TRAIN,
        "added a perceptual loss to the GAN trainers",
        "the GAN trainers are not supported; Original uses the mean absolute error",
        "omit it",
    ),
    Refused(
        ("-A", "--input-A", "-B", "--input-B"),
        _TRAIN,
        "named the two folders of face crops",
        "this command takes two clips and lets the extractor find their faces",
        "use -i CLIP_A -i2 CLIP_B",
    ),
    Refused(
        ("-s", "--save-interval"),
        _TRAIN,
        "saved the weights after every given number of iterations",
        "checkpoints are written at time intervals, with the optimizer state, and deleted when the model is finished",
        "omit it",
    ),
    Refused(
        ("-bs", "--batch-size"),
        _TRAIN,
        "set the number of faces per side and iteration",
        "it is a field of the recipe",
        "use --set training.batch_size=64",
    ),
    Refused(
        ("-ag", "--allow-growth"),
        _TRAIN,
        "let TensorFlow allocate GPU memory as needed",
        "workers always do this",
        "omit it",
    ),
    Refused(
        ("-p", "--preview", "-w", "--write-image"),
        _TRAIN,
        "showed or wrote a preview of the training from time to time",
        "previews are always written to the store",
        "open report.html in the output folder",
    ),
)


def for_command(command: str) -> list[Refused]:
    """Return the options that a command of `facefoundry` refuses."""
    return [row for row in REFUSED if command in row.commands]


def for_field(name: str) -> Refused | None:
    """Return the option that has the name of a recipe field; None if there is none. `-` and `_` are equal."""
    wanted = name.lower().replace("-", "_")
    return next((row for row in REFUSED if wanted in row.fields), None)
