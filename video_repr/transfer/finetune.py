"""Fitting an action classifier on labelled videos."""

import dataclasses
import pathlib

import keras
import numpy as np

from video_repr.data import ClipDataset
from video_repr.errors import DivergedError
from video_repr.errors import InputError
from video_repr.errors import need
from video_repr.files import whole_directory
from video_repr.losses import CrossEntropySumOverSteps
from video_repr.models.classifier import ActionClassifier
from video_repr.optimizers import LayerwiseAdam
from video_repr.transfer.baselines import logistic_regression
from video_repr.transfer.encoders import check_fits
from video_repr.transfer.encoders import check_unseen
from video_repr.transfer.encoders import load_encoder
from video_repr.transfer.encoders import weights_sum
from video_repr.transfer.predictions import Predictions
from video_repr.transfer.predictions import write_outcome
from video_repr.transfer.videos import load_videos

_AT_ONCE = 64


class Finetuner:
    """Fits a classifier several times; it is compiled once.

    Args:
        encoder: a built `Encoder`; every fit starts from its weights, unless
            others are given.
        classes: number of classes.
        config: a `FinetuneConfig`.
    """

    def __init__(self, encoder, classes, config):
        self.config = config
        # A copy: the fits do not change the given encoder.
        again = type(encoder).from_config(
            {
                **encoder.get_config(),
                "dropout": config.dropout,
                "input_dropout": config.input_dropout,
                "recurrent_dropout": config.recurrent_dropout,
            }
        )
        again.build_from_config(encoder.get_build_config())
        again.set_weights(encoder.get_weights())
        again.trainable = config.encoder_rate > 0
        self.model = ActionClassifier(
            again,
            classes,
            dropout=config.dropout,
            block=config.block,
            stride=config.stride,
            seed=0,
        )
        shape = encoder.get_build_config()["input_shape"][2:]
        self.model.build((None, config.block, *shape))
        self.model.compile(
            LayerwiseAdam(
                keras.optimizers.schedules.PolynomialDecay(
                    config.learning_rate, max(1, config.updates), 0.0
                ),
                factors={
                    f"{lstm.path}/": config.encoder_rate
                    * config.layer_decay**depth
                    for depth, lstm in enumerate(reversed(again.lstms))
                },
            ),
            CrossEntropySumOverSteps(config.label_smoothing),
            jit_compile=True,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self._start = self.model.get_weights()

    def fit(self, videos, seed, encoder_weights=None, verbose=0):
        """Fits the classifier anew.

        Args:
            videos: labelled `Videos`.
            seed: random seed of the order of the blocks, and of dropout.
            encoder_weights: weights that the encoder starts from instead.
            verbose: as for `keras.Model.fit`.

        Returns:
            The fitted `ActionClassifier`, to be used before the next fit.
        """
        config, model = self.config, self.model
        model.set_weights(self._start)
        if encoder_weights is not None:
            model.encoder.set_weights(encoder_weights)
        for variable in model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        for number, variable in enumerate(model.variables):
            # The encoder may have its own dropout.
            if variable.path.endswith("seed_generator_state"):
                variable.assign([seed, number])
        blocks = videos.blocks(config.block, config.stride)
        rng = np.random.default_rng(seed)
        needed = max(1, config.updates * config.batch_size)
        order = np.concatenate(
            [
                rng.permutation(len(blocks))
                for _ in range(-(-needed // len(blocks)))
            ]
        )
        if config.probe is not None:
            self._probe(videos, blocks)
        progress = keras.utils.Progbar(config.updates, verbose=verbose)
        for step in range(config.updates):
            rows = order[step * config.batch_size :][: config.batch_size]
            clips, labels = videos.cut([blocks[i] for i in rows], config.block)
            # Both are means since the last reset.
            model.reset_metrics()
            loss, accuracy = model.train_on_batch(clips, labels)
            if not np.isfinite(loss):
                raise DivergedError(
                    f"The loss became NaN or infinite in update {step + 1}. A "
                    "lower learning rate helps."
                )
            if verbose:
                progress.update(
                    step + 1, [("loss", loss), ("clip_accuracy", accuracy)]
                )
        return model

    def _probe(self, videos, blocks):
        """Starts the softmax from a logistic regression."""
        outputs, labels = [], []
        for i in range(0, len(blocks), _AT_ONCE):
            clips, of = videos.cut(blocks[i : i + _AT_ONCE], self.config.block)
            sequence = self.model.encoder.encode_sequence(clips)
            outputs.append(keras.ops.mean(sequence, axis=1))
            labels.append(of)
        outputs, labels = np.concatenate(outputs), np.concatenate(labels)
        # The outputs of the encoder may all be zero.
        scale = outputs.std() or 1.0
        probe = logistic_regression(self.config.probe)
        probe.fit(outputs / scale, labels)
        kernel, bias = probe.coef_ / scale, probe.intercept_
        if len(probe.classes_) == 2:
            # For two classes scikit-learn has only their difference.
            kernel = np.concatenate([-kernel, kernel]) / 2
            bias = np.concatenate([-bias, bias]) / 2
        self.model.readout.kernel.assign(kernel.T)
        self.model.readout.bias.assign(bias)


def accuracy(model, videos):
    """Share of videos that a classifier assigns to their own class."""
    return Predictions.of(model, videos).accuracy


def random_weights(encoder, seed):
    """Random weights for an encoder like the given one."""
    keras.utils.set_random_seed(seed)
    again = type(encoder).from_config(encoder.get_config())
    again.build_from_config(encoder.get_build_config())
    return again.get_weights()


def finetune(
    config,
    encoder,
    dataset,
    directory,
    *,
    per_class="all",
    seed=0,
    random=False,
    test=True,
    verbose=0,
):
    """Fits a classifier and writes it into a directory.

    Load classifier.keras with `keras.models.load_model`; the other files are
    those of `predictions.write_outcome`.

    Args:
        config: a `FinetuneConfig`.
        encoder: path, see `encoders.load_encoder`.
        dataset: path of a dataset directory with labels.
        directory: directory to write; it appears when it is complete.
        per_class: number of labelled videos of each class to train on, or
            "all".
        seed: random seed of the choice of these videos and of the fit.
        random: whether to start from random weights instead of the encoder's.
        test: whether to evaluate on the test split too; use False while you
            choose settings.
        verbose: as for `keras.Model.fit`.

    Returns:
        `Predictions` by split.

    Raises:
        InputError: if the directory exists, or the arguments do not fit
            together.
        DivergedError: if the loss becomes NaN or infinite.
    """
    directory = pathlib.Path(directory)
    if directory.exists():
        raise InputError(
            f"Expected a new directory. Received: {str(directory)!r}, which "
            "exists"
        )
    if not 0 <= seed < 2**32:
        raise InputError(
            f"Expected a seed from 0 to 2**32 - 1. Received: {seed}"
        )
    # Checked now, as figures and metrics need them after the fit.
    need("report", "matplotlib")
    need("transfer", "sklearn")
    videos = load_videos(dataset)
    held_out = [
        split
        for split in ("validation", "test")
        if split in videos and (test or split != "test")
    ]
    if not held_out:
        raise InputError(
            f"Expected a held-out split in {dataset}. Received: only "
            f"{', '.join(videos)}"
        )
    pretrained = load_encoder(encoder)
    check_fits(pretrained, videos["train"])
    if not random:
        for split in held_out:
            check_unseen(encoder, videos[split], split)
    few = videos["train"].few(per_class, seed)
    for split, those in (
        ("train", few),
        *((split, videos[split]) for split in held_out),
    ):
        print(f"{split}: {those.introduce(config.block, config.stride)}")
    model = Finetuner(pretrained, len(few.classes), config).fit(
        few, seed, random_weights(pretrained, seed) if random else None, verbose
    )
    found = {split: Predictions.of(model, videos[split]) for split in held_out}
    about = {
        "encoder": str(encoder),
        "random": random,
        "dataset": str(dataset),
        "per_class": per_class,
        "labelled_videos": len(few),
        "seed": seed,
        "finetune": dataclasses.asdict(config),
        "sha256": {
            "encoder": weights_sum(pretrained),
            "dataset": ClipDataset(dataset).fingerprint,
        },
    }
    with whole_directory(directory) as partial:
        model.save(partial / "classifier.keras")
        write_outcome(partial, about, found)
    return found
