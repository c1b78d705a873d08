"""Trainer: unsupervised pretraining."""

import hashlib
import json
import pathlib

import numpy as np

from pipelines.training.artifacts import dataset_of
from pipelines.training.artifacts import write_artifact
from pipelines.training.readers import HYPERPARAMETERS
from pipelines.training.settings import TrainerConfig
from pipelines.training.settings import read_settings
from pipelines.training.settings import with_choice
from pipelines.training.transform import read_transform
from video_repr import configs
from video_repr.files import read_json
from video_repr.runs import Run
from video_repr.training import pretrain
from video_repr.transfer.encoders import load_encoder

# For the Trainer's own evaluation; the Evaluator has its own number.
_TEST_CLIPS = 100


def run(
    examples,
    transform,
    settings,
    warm_start_fingerprint,
    model,
    hyperparameters,
):
    """Pretrains into a run directory."""
    inputs = {"examples": examples, "transform": transform}
    if hyperparameters is not None:
        inputs["hyperparameters"] = hyperparameters
    with write_artifact(
        "Trainer",
        model,
        {
            "settings": json.loads(settings),
            "warm_start_fingerprint": warm_start_fingerprint,
        },
        inputs,
        resumes=True,
        known_by=known_by,
    ) as f:
        train(
            dataset_of(examples.path),
            transform.path,
            f,
            read_settings(settings, TrainerConfig),
            hyperparameters and hyperparameters.path,
        )


def with_choices(trainer, values):
    """A `TrainerConfig` with other values of some settings, by name."""
    for name, value in values.items():
        trainer = with_choice(trainer, name, value)
    return trainer


def run_config(examples, trainer):
    """The config of a run on a dataset.

    Args:
        examples: dataset directory.
        trainer: a `TrainerConfig`.
    """
    return configs.Config(
        configs.ClipDatasetConfig(
            str(examples),
            stride=trainer.stride,
            skip_shorter=trainer.skip_shorter,
            test_clips=_TEST_CLIPS,
        ),
        trainer.model,
        trainer.training,
    )


def train(examples, transform, folder, trainer, hyperparameters=None):
    """Pretrains into a run directory, or resumes the run in it.

    Args:
        examples: dataset directory.
        transform: folder of the transform.
        folder: run directory to write, a `pathlib.Path`.
        trainer: a `TrainerConfig`.
        hyperparameters: folder that the Tuner wrote, or None.
    """
    if hyperparameters is not None:
        best = read_json(pathlib.Path(hyperparameters) / HYPERPARAMETERS)
        trainer = with_choices(trainer, best["values"])
    pretrain(
        run_config(examples, trainer),
        folder,
        resume=True,
        frames=read_transform(transform),
        encoder=first_encoder(trainer),
    )


def first_encoder(trainer):
    """The encoder that a training starts from, or None."""
    return load_encoder(trainer.warm_start) if trainer.warm_start else None


def known_by(folder):
    """Identifies a run by its config and weights; other files contain times."""
    run = Run(pathlib.Path(folder))
    digest = hashlib.sha256(run.config_file.read_bytes())
    for weights in run.model().get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()
