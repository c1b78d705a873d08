"""Settings of a training pipeline."""

import dataclasses
import pathlib
import re
import tomllib
from typing import Literal

from pipelines.arguments import Input
from pipelines.arguments import Output
from pipelines.training.settings import EvaluatorConfig
from pipelines.training.settings import ExampleValidatorConfig
from pipelines.training.settings import FineTunerConfig
from pipelines.training.settings import TrainerConfig
from pipelines.training.settings import TunerConfig
from pipelines.training.settings import with_choice
from pipelines.transforms.convnet import Percepts
from pipelines.transforms.crop import Patches
from video_repr import configs
from video_repr.errors import InputError
from video_repr.export.card import Terms
from video_repr.metrics import metric_names
from video_repr.ranges import check_ranges

# Settings of the trainer that decide the shapes of weights.
_SHAPES = "model.units", "model.patch", "model.kernel_size"


@dataclasses.dataclass(frozen=True)
class ExampleGenConfig:
    """ExampleGen: from films to records.

    Attributes:
        kind: kind of records: "patches" of pixels, or "percepts".
        layout: as in `pipelines.arguments.Input`, as are lists, split, labels
            and group_pattern.
        patches: how patches are cut.
        percepts: how percepts are computed.
        validation: share of the groups for validation.
        test: share of the groups for testing.
        max_failure_rate: share of the films that may fail.
        shard_mb: size of a shard, MB.
        workers: processes on one machine.
    """

    kind: Literal["patches", "percepts"] = "patches"
    layout: Literal["folder", "list", "pictures", "ucf101", "hmdb51"] = "folder"
    lists: str | None = None
    split: Literal[1, 2, 3] = 1
    labels: bool = False
    group_pattern: str | None = None
    patches: Patches = dataclasses.field(default_factory=Patches)
    percepts: Percepts = dataclasses.field(default_factory=Percepts)
    validation: float = 0.1
    test: float = 0.1
    max_failure_rate: float = 0.01
    shard_mb: int = 64
    workers: int = 1

    def __post_init__(self):
        check_ranges(self, workers="[1, inf)")
        # These check their own values.
        Output(
            "name/1",
            max_failure_rate=self.max_failure_rate,
            validation=self.validation,
            test=self.test,
            shard_mb=self.shard_mb,
        )

    def input(self, films):
        """The `Input` of a folder of films."""
        return Input(
            films,
            self.layout,
            self.lists,
            self.split,
            self.labels,
            self.group_pattern,
        )


@dataclasses.dataclass(frozen=True)
class Resources:
    """The resources of a component on Kubeflow or Vertex AI.

    Attributes:
        cpu: number of processors.
        memory: as Kubernetes writes it, "16G".
        accelerator: kind of accelerator, "NVIDIA_TESLA_T4" or
            "nvidia.com/gpu"; none when left out.
        accelerators: number of them.
    """

    cpu: str
    memory: str
    accelerator: str | None = None
    accelerators: int = 1

    def __post_init__(self):
        check_ranges(self, accelerators="[1, inf)")
        for name, pattern, example in (
            ("cpu", r"\d+(\.\d+)?|\d+m", "4"),
            ("memory", r"\d+(\.\d+)?[KMGTPE]i?", "16G"),
        ):
            if not re.fullmatch(pattern, getattr(self, name)):
                raise InputError(
                    f"Expected {name} as {example!r}. Received: "
                    f"{getattr(self, name)!r}"
                )


@dataclasses.dataclass(frozen=True)
class ClusterConfig:
    """Settings for a run on Kubeflow or Vertex AI.

    Attributes:
        image: container image with this package, see Dockerfile.
        small: resources of components that read statistics and write small
            files.
        data: resources of ExampleGen and StatisticsGen.
        models: resources of Tuner, Trainer, Evaluator and FineTuner.
    """

    image: str = "video-repr:latest"
    small: Resources = Resources("1", "4G")
    data: Resources = Resources("4", "16G")
    models: Resources = Resources("8", "32G")


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """A training pipeline.

    Attributes:
        name: name of the dataset and of the encoder.
        films: folder of films, in any of Beam's file systems.
        saved_models: directory for blessed encoders, as NAME/VERSION below it.
        example_gen: from films to records.
        example_validator: what counts as an anomaly.
        tuner: search of settings before the training.
        trainer: pretraining.
        evaluator: when a model is blessed.
        fine_tuner: a classifier on top of the encoder.
        terms: licence and limits, for the encoder's card.
        cluster: settings for a run on Kubeflow or Vertex AI.
    """

    name: str
    films: str
    saved_models: str = "saved_models"
    example_gen: ExampleGenConfig = dataclasses.field(
        default_factory=ExampleGenConfig
    )
    example_validator: ExampleValidatorConfig = dataclasses.field(
        default_factory=ExampleValidatorConfig
    )
    tuner: TunerConfig = dataclasses.field(default_factory=TunerConfig)
    trainer: TrainerConfig = dataclasses.field(default_factory=TrainerConfig)
    evaluator: EvaluatorConfig = dataclasses.field(
        default_factory=EvaluatorConfig
    )
    fine_tuner: FineTunerConfig = dataclasses.field(
        default_factory=FineTunerConfig
    )
    terms: Terms = dataclasses.field(default_factory=Terms)
    cluster: ClusterConfig = ClusterConfig()

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name, re.ASCII):
            raise InputError(
                "Expected a name of letters, digits, '.', '-' and '_'. "
                f"Received: {self.name!r}"
            )
        _check_thresholds(self)
        self._check_frames(self.trainer)
        for choice in self.tuner.space if self.tuner.trials else ():
            for value in choice.values:
                self._check_frames(
                    with_choice(self.trainer, choice.name, value)
                )
            if choice.name in _SHAPES and self.trainer.warm_start:
                raise InputError(
                    f"Expected no {choice.name} to tune with a warm_start, "
                    "whose weights have theirs. Received: "
                    f"{list(choice.values)}"
                )
        if self.fine_tuner.enabled and not (
            self.example_gen.labels
            or self.example_gen.layout in ("ucf101", "hmdb51")
        ):
            raise InputError(
                "Expected example_gen.labels for a fine_tuner. Received: films "
                "without labels"
            )
        if (
            self.fine_tuner.enabled
            and self.example_gen.kind == "patches"
            and self.example_gen.patches.crops > 1
        ):
            raise InputError(
                "Expected one crop of the patches for a fine_tuner, which "
                "reads a video once. Received: crops "
                f"{self.example_gen.patches.crops}"
            )

    def _check_frames(self, trainer):
        frames = getattr(self.example_gen, self.example_gen.kind).clip_frames
        needed = trainer.model.clip_frames
        if frames is not None and frames < needed:
            raise InputError(
                f"Expected clips of at least {needed} frames, as the model "
                f"reads and predicts. Received: clip_frames {frames}"
            )
        patch = trainer.model.patch
        if patch is None:
            return
        if self.example_gen.kind == "percepts":
            raise InputError(
                "Expected example_gen.kind 'patches', pictures, for "
                f"trainer.model.patch {patch}. Received: 'percepts'"
            )
        if self.example_gen.patches.size % patch:
            raise InputError(
                "Expected a trainer.model.patch that divides the frames of "
                f"{self.example_gen.patches.size} px. Received: {patch}"
            )


def load(path, **values):
    """The config of a TOML file.

    Args:
        path: path of a file whose tables and keys are the fields of
            `PipelineConfig`; other fields have their defaults.
        **values: fields that replace those of the file.

    Raises:
        InputError: if it cannot be read, or fields are unknown, missing or
            of another type.
    """
    try:
        settings = tomllib.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a readable TOML file. Received: {path}: {error}"
        ) from error
    settings |= values
    return configs.from_dict(settings, PipelineConfig, str(path), defaults=True)


def _check_thresholds(config):
    model = config.trainer.model
    made = config.example_gen
    known = metric_names(
        model.output == "logistic",
        None if made.kind == "percepts" else (made.patches.size,) * 2,
    )
    for threshold in config.evaluator.thresholds:
        if threshold.metric not in known:
            raise InputError(
                f"Expected thresholds of {', '.join(known)}. Received: "
                f"{threshold.metric!r}"
            )
        if getattr(model, threshold.branch) == "none":
            raise InputError(
                "Expected thresholds of a decoder that there is. Received: "
                f"{threshold.branch!r}, with {threshold.branch} 'none'"
            )
        if threshold.branch != "future" and threshold.of != "one":
            raise InputError(
                "Expected thresholds of the future beside others'. Received: "
                f"{threshold.branch!r} of {threshold.of!r}"
            )
