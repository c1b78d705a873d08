"""Settings of components that do not need Beam and so start faster."""

import dataclasses
import json
import math
from typing import Literal

from video_repr import configs
from video_repr.errors import InputError
from video_repr.ranges import check_ranges
from video_repr.transfer.config import FinetuneConfig


@dataclasses.dataclass(frozen=True)
class ExampleValidatorConfig:
    """What counts as an anomaly.

    Attributes:
        mean_drift: largest distance of the mean of a split from that of
            another, or from that of the previous run, in standard deviations.
        std_drift: largest factor between the standard deviations.
        clips_lost: share of the clips of a split that may be missing since the
            previous run.
        constant_clips: share of the clips of a split that may stand still.
        beside_previous: whether to compare with the previous run of the same
            name and the same settings of ExampleGen; false accepts changes.
    """

    mean_drift: float = 0.5
    std_drift: float = 1.5
    clips_lost: float = 0.3
    constant_clips: float = 0.05
    beside_previous: bool = True

    def __post_init__(self):
        check_ranges(self, mean_drift="[0, inf)", std_drift="[1, inf)")
        check_ranges(self, clips_lost="[0, 1]", constant_clips="[0, 1]")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A setting and its possible values.

    Attributes:
        name: a setting of the trainer, such as "training.learning_rate" or
            "model.dropout"; "model.units" sets one layer.
        values: values to choose from.
    """

    name: str
    values: tuple[int | float | str, ...]

    def __post_init__(self):
        lengths = "training.epochs", "training.minutes"
        if not self.values or self.name in lengths:
            raise InputError(
                f"Expected values of a setting other than {lengths[0]} and "
                f"{lengths[1]}: the Tuner has epochs of its own. Received: "
                f"{self.name!r}, {list(self.values)}"
            )


@dataclasses.dataclass(frozen=True)
class TunerConfig:
    """A search before training.

    Attributes:
        trials: number of trainings; with 0 there is no Tuner.
        epochs: epochs of each training.
        space: settings to draw at random.
        seed: random seed of the draws.
    """

    trials: int = 0
    epochs: int = 1
    space: tuple[Choice, ...] = (
        Choice("training.learning_rate", (3e-4, 1e-3, 3e-3)),
    )
    seed: int = 0

    def __post_init__(self):
        check_ranges(
            self, trials="[0, inf)", epochs="[1, inf)", seed="[0, inf)"
        )
        if self.trials and not self.space:
            raise InputError("Expected a space to tune in. Received: none")


@dataclasses.dataclass(frozen=True)
class TrainerConfig:
    """Pretraining.

    Attributes:
        model: the encoder and the decoders.
        training: the optimisation.
        stride: frames from the start of a record's clip to that of the next.
        skip_shorter: leave out videos that are shorter than a clip.
        warm_start: run, export or .keras file of an encoder whose weights the
            training starts from; by default they are random.
    """

    model: configs.ModelConfig = dataclasses.field(
        default_factory=configs.ModelConfig
    )
    training: configs.TrainingConfig = dataclasses.field(
        default_factory=configs.TrainingConfig
    )
    stride: int = 8
    skip_shorter: bool = False
    warm_start: str | None = None

    def __post_init__(self):
        configs.Config(
            configs.ClipDatasetConfig("", stride=self.stride),
            self.model,
            self.training,
        )


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A limit for a metric.

    Attributes:
        metric: a metric in evaluation.json, such as "half_sse_per_frame".
        at_most: its upper limit.
        at_least: its lower limit.
        of: unit of the limit: "one", or the same metric of a baseline or of the
            last blessed encoder. If there is no such encoder, the threshold
            does not apply.
        branch: the decoder whose predictions are evaluated.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None
    of: Literal["one", "last_frame", "mean_frame", "last_blessed"] = "one"
    branch: Literal["future", "reconstruction"] = "future"

    def __post_init__(self):
        if (self.at_most is None) == (self.at_least is None):
            raise InputError(
                f"Expected at_most or at_least of the threshold of "
                f"{self.metric!r}. Received: "
                + ("neither" if self.at_most is None else "both")
            )
        asked = self.at_least if self.at_most is None else self.at_most
        if not math.isfinite(asked):
            raise InputError(
                f"Expected a number for the threshold of {self.metric!r}. "
                f"Received: {asked}"
            )


@dataclasses.dataclass(frozen=True)
class EvaluatorConfig:
    """When a model is blessed.

    Attributes:
        clips: number of test clips for the evaluation, at most.
        thresholds: thresholds, all of which the model must meet; by default
            the squared error of the future is at most that of the last frame
            repeated, of the mean frame and of the last blessed encoder.
    """

    clips: int = 1000
    thresholds: tuple[Threshold, ...] = tuple(
        Threshold("mse_sum_per_frame", at_most=1.0, of=of)
        for of in ("last_frame", "mean_frame", "last_blessed")
    )

    def __post_init__(self):
        check_ranges(self, clips="[1, inf)")
        if not self.thresholds:
            raise InputError(
                "Expected at least one threshold, without which every model "
                "would be blessed. Received: none"
            )


@dataclasses.dataclass(frozen=True)
class FineTunerConfig:
    """A classifier on top of the encoder.

    Attributes:
        enabled: whether to fit one.
        per_class: number of labelled videos of each class, or "all".
        seed: random seed of the choice of these videos.
        classifier: how it is fitted.
    """

    enabled: bool = False
    per_class: int | Literal["all"] = "all"
    seed: int = 0
    classifier: FinetuneConfig = dataclasses.field(
        default_factory=FinetuneConfig
    )

    def __post_init__(self):
        check_ranges(self, seed="[0, inf)")
        if self.per_class != "all":
            check_ranges(self, per_class="[1, inf)")


def with_choice(trainer, name, value):
    """A `TrainerConfig` with another value of "section.setting".

    Raises:
        InputError: if there is no such setting, or it is of another type.
    """
    section, _, setting = name.partition(".")
    values = dataclasses.asdict(trainer)
    if section not in ("model", "training") or setting not in values[section]:
        raise InputError(
            "Expected settings of model or training to tune. Received: "
            f"{name!r}"
        )
    values[section][setting] = [value] if name == "model.units" else value
    return configs.from_dict(values, TrainerConfig, "trainer")


def read_settings(text, kind):
    """Settings from JSON, as kfp would make all numbers floating point.

    Args:
        text: the result of `dataclasses.asdict`, as JSON.
        kind: their dataclass.

    Raises:
        InputError: for unknown, missing or wrongly typed fields.
    """
    return configs.from_dict(json.loads(text), kind, kind.__name__)
