"""FineTuner: fits an action classifier on top of the encoder."""

import json

from pipelines.training.artifacts import dataset_of
from pipelines.training.artifacts import write_artifact
from pipelines.training.settings import FineTunerConfig
from pipelines.training.settings import read_settings
from video_repr.transfer.finetune import finetune


def run(model, examples, settings, classifier):
    """Fits a classifier on top of the encoder."""
    with write_artifact(
        "FineTuner",
        classifier,
        {"settings": json.loads(settings)},
        {"model": model, "examples": examples},
    ) as f:
        fine_tune(
            model.path,
            dataset_of(examples.path),
            f,
            read_settings(settings, FineTunerConfig),
        )


def fine_tune(model, examples, folder, config):
    """Fits a classifier on top of the encoder of a model.

    Args:
        model: run directory.
        examples: dataset directory with labels.
        folder: directory to write, a `pathlib.Path`.
        config: a `FineTunerConfig`.
    """
    found = finetune(
        config.classifier,
        model,
        examples,
        folder / "classifier",
        per_class=config.per_class,
        seed=config.seed,
        verbose=2,
    )
    for split, predictions in found.items():
        print(f"{split}: {predictions.accuracy:.1%} of the videos")
