"""Tuner and Trainer: from records to a model."""

import dataclasses
import hashlib
import pathlib
import shutil

import numpy as np

from pipelines.training.settings import with_choice
from pipelines.training.transform import read_transform
from video_repr import configs
from video_repr.errors import DivergedError
from video_repr.errors import extra
from video_repr.files import read_json
from video_repr.files import write_json
from video_repr.runs import Run
from video_repr.training import pretrain
from video_repr.transfer.encoders import load_encoder

_BEST = "hyperparameters.json"
# The Evaluator measures, on as many as are asked for.
_TEST_CLIPS = 100


def tune(examples, transform, folder, trainer, tuner):
    """Searches settings, and writes the best to hyperparameters.json.

    Args:
        examples: dataset directory.
        transform: folder of the transform.
        folder: existing directory to write to, a `pathlib.Path`.
        trainer: a `TrainerConfig`, of what is not searched.
        tuner: a `TunerConfig`.

    Raises:
        DivergedError: if no trial ended with a loss that is a number.
    """
    with extra("kfp"):
        import keras_tuner

    scratch = folder / "trials"
    # What a search that was killed had found is not known.
    shutil.rmtree(scratch, ignore_errors=True)
    found, diverged = [], []

    def loss_of(values, directory):
        config = run_config(examples, with_choices(trainer, values))
        short = dataclasses.replace(config.training, epochs=tuner.epochs)
        run = pretrain(
            dataclasses.replace(config, training=short),
            directory,
            frames=read_transform(transform),
            encoder=_first_encoder(trainer),
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
                # Other settings may do well.
                diverged.append({"values": values, "why": str(error)})
                print(f"{values}: {error}", flush=True)
                raise keras_tuner.errors.FailedTrialError from error
            except Exception as error:
                # KerasTuner would keep it to itself and try the next.
                raise keras_tuner.errors.FatalError from error
            found.append({"values": values, "val_loss": loss})
            return {"val_loss": loss}

    search = Search(
        objective=keras_tuner.Objective("val_loss", "min"),
        max_trials=tuner.trials,
        seed=tuner.seed,
        # It would stop at a few that fail in a row.
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
    write_json(folder / _BEST, {**best, "trials": found, "diverged": diverged})


def with_choices(trainer, values):
    """A `TrainerConfig` with other values of settings, by their names."""
    for name, value in values.items():
        trainer = with_choice(trainer, name, value)
    return trainer


def run_config(examples, trainer):
    """The config of a run on a dataset.

    Args:
        examples: dataset directory.
        trainer: a `TrainerConfig`.
    """
    return configs.DatasetRun(
        configs.DatasetConfig(
            str(examples),
            stride=trainer.stride,
            skip_shorter=trainer.skip_shorter,
            test_clips=_TEST_CLIPS,
        ),
        trainer.model,
        trainer.training,
    )


def train(examples, transform, folder, trainer, hyperparameters=None):
    """Pretrains into a run directory, or goes on with what is in it.

    Args:
        examples: dataset directory.
        transform: folder of the transform.
        folder: run directory to write, a `pathlib.Path`.
        trainer: a `TrainerConfig`.
        hyperparameters: folder of what the Tuner found, or None.
    """
    if hyperparameters is not None:
        best = read_json(pathlib.Path(hyperparameters) / _BEST)
        trainer = with_choices(trainer, best["values"])
    pretrain(
        run_config(examples, trainer),
        folder,
        resume=True,
        frames=read_transform(transform),
        encoder=_first_encoder(trainer),
    )


def _first_encoder(trainer):
    return load_encoder(trainer.warm_start) if trainer.warm_start else None


def known_by(folder):
    """A run by its config and weights: other files of it hold times."""
    run = Run(pathlib.Path(folder))
    digest = hashlib.sha256(run.config_file.read_bytes())
    for weights in run.model().get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()
