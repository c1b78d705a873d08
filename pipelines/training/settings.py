"""What the components depend on that need no Beam, and start sooner so."""

import dataclasses
import math
from typing import Literal

from video_repr import configs
from video_repr.errors import InputError
from video_repr.transfer.config import FinetuneConfig


def check_ranges(config, **ranges):
    """Refuses numbers of a dataclass outside of (lowest, highest or None).

    Raises:
        InputError: naming the field.
    """
    for name, (low, high) in ranges.items():
        value = getattr(config, name)
        if not math.isfinite(value) or not (
            low <= value <= (math.inf if high is None else high)
        ):
            limits = f"at least {low}" if high is None else f"{low} to {high}"
            raise InputError(f"Expected {name} of {limits}. Received: {value}")


@dataclasses.dataclass(frozen=True)
class ExampleValidatorConfig:
    """What is taken for an anomaly.

    Attributes:
        mean_drift: how far the mean of a split may lie from another's, or
            from that of the run before, in standard deviations.
        std_drift: factor by which the standard deviations may differ.
        clips_lost: share of the clips of a split that may be fewer than in
            the run before.
        constant_clips: share of the clips of a split that may stand still.
        beside_previous: whether to compare with the run before that had the
            same name and the same settings of ExampleGen; false takes what
            has changed for good.
    """

    mean_drift: float = 0.5
    std_drift: float = 1.5
    clips_lost: float = 0.3
    constant_clips: float = 0.05
    beside_previous: bool = True

    def __post_init__(self):
        check_ranges(self, mean_drift=(0, None), std_drift=(1, None))
        check_ranges(self, clips_lost=(0, 1), constant_clips=(0, 1))


@dataclasses.dataclass(frozen=True)
class Choice:
    """A setting and what it may be.

    Attributes:
        name: of a setting of the trainer, "training.learning_rate" or
            "model.dropout"; "model.units" is of one layer.
        values: to choose from.
    """

    name: str
    values: tuple[int | float | str, ...]

    def __post_init__(self):
        if not self.values or self.name == "training.epochs":
            raise InputError(
                "Expected values of a setting other than training.epochs, "
                "which the Tuner has its own of. Received: "
                f"{self.name!r}, {list(self.values)}"
            )


@dataclasses.dataclass(frozen=True)
class TunerConfig:
    """A search before training.

    Attributes:
        trials: number of trainings; without any there is no Tuner.
        epochs: of each.
        space: settings that are drawn.
        seed: what they are drawn from.
    """

    trials: int = 0
    epochs: int = 1
    space: tuple[Choice, ...] = (
        Choice("training.learning_rate", (3e-4, 1e-3, 3e-3)),
    )
    seed: int = 0

    def __post_init__(self):
        check_ranges(self, trials=(0, None), epochs=(1, None), seed=(0, None))
        if self.trials and not self.space:
            raise InputError("Expected a space to tune in. Received: none")


@dataclasses.dataclass(frozen=True)
class TrainerConfig:
    """Pretraining.

    Attributes:
        model: what learns.
        training: how.
        stride: frames from the start of a record's clip to that of the next.
        skip_shorter: leave out videos that are shorter than a clip.
        warm_start: run, export or .keras file of an encoder to begin with;
            random weights when left out.
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
        # What is wrong with these is known there.
        configs.DatasetRun(
            configs.DatasetConfig("", stride=self.stride),
            self.model,
            self.training,
        )


@dataclasses.dataclass(frozen=True)
class Threshold:
    """What a metric has to be.

    Attributes:
        metric: one of evaluation.json, as "half_sse_per_frame".
        at_most: its greatest value.
        at_least: its least value.
        of: what the value is a multiple of: of 1, or of the same metric of a
            baseline, or of the last blessed encoder; without one this is not
            asked.
        branch: the decoder whose predictions are measured.
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
        clips: number of test clips to measure on, at most.
        thresholds: all of them have to be met.
    """

    clips: int = 1000
    thresholds: tuple[Threshold, ...] = (
        Threshold("mse_sum_per_frame", at_most=1.0, of="mean_frame"),
        Threshold("mse_sum_per_frame", at_most=1.0, of="last_blessed"),
    )

    def __post_init__(self):
        check_ranges(self, clips=(1, None))
        if not self.thresholds:
            raise InputError(
                "Expected at least one threshold, without which every model "
                "would be blessed. Received: none"
            )


@dataclasses.dataclass(frozen=True)
class FineTunerConfig:
    """A classifier around the encoder.

    Attributes:
        enabled: whether there is one.
        per_class: number of labelled videos of each class, or "all".
        seed: what these are drawn from.
        classifier: how it is fitted.
    """

    enabled: bool = False
    per_class: int | Literal["all"] = "all"
    seed: int = 0
    classifier: FinetuneConfig = dataclasses.field(
        default_factory=FinetuneConfig
    )

    def __post_init__(self):
        check_ranges(self, seed=(0, None))
        if self.per_class != "all":
            check_ranges(self, per_class=(1, None))


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
