"""Tuner: searches for good settings of the trainer in short trainings."""

import dataclasses
import json
import shutil

from pipelines.training.artifacts import dataset_of
from pipelines.training.artifacts import write_artifact
from pipelines.training.readers import HYPERPARAMETERS
from pipelines.training.settings import TrainerConfig
from pipelines.training.settings import TunerConfig
from pipelines.training.settings import read_settings
from pipelines.training.trainer import first_encoder
from pipelines.training.trainer import run_config
from pipelines.training.trainer import with_choices
from pipelines.training.transform import read_transform
from video_repr.errors import DivergedError
from video_repr.errors import extra
from video_repr.files import write_json
from video_repr.training import train


def run(examples, transform, trainer_settings, settings, hyperparameters):
    """Searches for good settings of the trainer in short trainings."""
    with write_artifact(
        "Tuner",
        hyperparameters,
        {
            "trainer": json.loads(trainer_settings),
            "settings": json.loads(settings),
        },
        {"examples": examples, "transform": transform},
    ) as f:
        tune(
            dataset_of(examples.path),
            transform.path,
            f,
            read_settings(trainer_settings, TrainerConfig),
            read_settings(settings, TunerConfig),
        )


def tune(examples, transform, folder, trainer, tuner):
    """Searches for the best settings, and writes hyperparameters.json.

    Args:
        examples: dataset directory.
        transform: folder of the transform.
        folder: existing directory to write to, a `pathlib.Path`.
        trainer: a `TrainerConfig`, for the other settings.
        tuner: a `TunerConfig`.

    Raises:
        DivergedError: if all trials diverged.
    """
    with extra("kfp"):
        import keras_tuner

    scratch = folder / "trials"
    # The results of a killed search are not used.
    shutil.rmtree(scratch, ignore_errors=True)
    found, diverged = [], []

    def loss_of(values, directory):
        config = run_config(examples, with_choices(trainer, values))
        short = dataclasses.replace(
            config.training, epochs=tuner.epochs, minutes=None
        )
        run = train(
            dataclasses.replace(config, training=short),
            directory,
            frames=read_transform(transform),
            encoder=first_encoder(trainer),
        )
        return min(line["val_loss"] for line in run.metrics())

    class Search(keras_tuner.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            values = {
                choice.name: trial.hyperparameters.Choice(
                    choice.name, list(choice.values)
                )
                for choice in tuner.space
            }
            try:
                loss = loss_of(values, scratch / trial.trial_id)
            except DivergedError as error:
                # Other settings may not diverge.
                diverged.append({"values": values, "why": str(error)})
                print(f"{values}: {error}", flush=True)
                raise keras_tuner.errors.FailedTrialError from error
            except Exception as error:
                # KerasTuner would hide it and try the next settings.
                raise keras_tuner.errors.FatalError from error
            found.append({"values": values, "val_loss": loss})
            return {"val_loss": loss}

    search = Search(
        objective=keras_tuner.Objective("val_loss", "min"),
        max_trials=tuner.trials,
        seed=tuner.seed,
        # By default it stops after a few failures in a row.
        max_consecutive_failed_trials=tuner.trials + 1,
        directory=str(scratch),
        project_name="search",
    )
    try:
        search.search()
    except keras_tuner.errors.FatalError as error:
        raise error.__cause__ from None
    if not found:
        raise DivergedError(
            f"Of {len(diverged)} trials none ended: "
            + "; ".join(f"{t['values']}: {t['why']}" for t in diverged)
        )
    best = min(found, key=lambda trial: trial["val_loss"])
    shutil.rmtree(scratch)
    write_json(
        folder / HYPERPARAMETERS,
        {**best, "trials": found, "diverged": diverged},
    )
