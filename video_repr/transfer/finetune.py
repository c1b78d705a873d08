"""Fitting an action classifier on labelled videos."""

import dataclasses

import keras
import numpy as np

from video_repr.errors import InputError
from video_repr.losses import CrossEntropySumOverSteps
from video_repr.models.classifier import ActionClassifier


@dataclasses.dataclass(frozen=True)
class FinetuneConfig:
    """How a classifier is fitted.

    Attributes:
        block: frames of a block of a video.
        stride: frames from the start of a block to that of the next.
        updates: number of updates.
        batch_size: blocks in an update.
        learning_rate: of Adam; falls linearly to 0.
        encoder_rate: factor of the learning rate for the encoder's weights; 0
            freezes them: a linear probe.
        dropout: of what the softmax reads.
        label_smoothing: share of the truth that is spread over all classes.
    """

    block: int = 16
    stride: int = 8
    updates: int = 200
    batch_size: int = 32
    learning_rate: float = 1e-3
    encoder_rate: float = 1.0
    dropout: float = 0.5
    label_smoothing: float = 0.0

    def __post_init__(self):
        for name in ("block", "stride", "updates", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"Expected {name} of at least 1. Received: "
                    f"{getattr(self, name)}"
                )
        if not self.learning_rate > 0:
            raise InputError(
                "Expected a learning_rate above 0. Received: "
                f"{self.learning_rate}"
            )
        for name, below in (
            ("encoder_rate", np.inf),
            ("dropout", 1),
            ("label_smoothing", 1),
        ):
            if not 0 <= getattr(self, name) < below:
                raise InputError(
                    f"Expected {name} of at least 0 and below {below}. "
                    f"Received: {getattr(self, name)}"
                )


@keras.saving.register_keras_serializable(package="video_repr")
class LayerwiseAdam(keras.optimizers.Adam):
    """Adam with other learning rates for some of the weights.

    Args:
        factors: of the learning rate, by what the paths of variables begin
            with.
        **kwargs: as for `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=1e-3, *, factors=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.factors = dict(factors or {})

    def update_step(self, gradient, variable, learning_rate):
        # TensorFlow's own variable has no path.
        index = self._get_variable_index(variable)
        name = self._trainable_variables[index].path
        for path, factor in self.factors.items():
            if name.startswith(path):
                learning_rate = learning_rate * factor
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "factors": self.factors}


class Finetuner:
    """Fits one classifier again and again, compiled once.

    Args:
        encoder: a built `Encoder`; its weights are what every fit starts
            from, unless it is given others.
        classes: number of classes.
        config: a `FinetuneConfig`.
    """

    def __init__(self, encoder, classes, config):
        self.config = config
        # A copy: the fits leave the encoder that was given as it is.
        again = type(encoder).from_config(encoder.get_config())
        again.build((None, config.block, encoder.features))
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
        self.model.build((None, config.block, encoder.features))
        self.model.compile(
            LayerwiseAdam(
                keras.optimizers.schedules.PolynomialDecay(
                    config.learning_rate, config.updates, 0.0
                ),
                factors={again.lstms[0].path.split("/")[0]: config.encoder_rate}
                if config.encoder_rate not in (0, 1)
                else None,
            ),
            CrossEntropySumOverSteps(config.label_smoothing),
            jit_compile=True,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self._start = self.model.get_weights()

    def fit(self, videos, seed, encoder_weights=None):
        """Fits the classifier anew.

        Args:
            videos: labelled `Videos`.
            seed: of the order of the blocks, and of dropout.
            encoder_weights: what the encoder starts from instead.

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
            # The encoder may have dropout of its own.
            if variable.path.endswith("seed_generator_state"):
                variable.assign([seed, number])
        blocks, labels = videos.blocks(config.block, config.stride)
        rng = np.random.default_rng(seed)
        needed = config.updates * config.batch_size
        order = np.concatenate(
            [
                rng.permutation(len(blocks))
                for _ in range(-(-needed // len(blocks)))
            ]
        )
        for step in range(config.updates):
            rows = order[step * config.batch_size :][: config.batch_size]
            model.train_on_batch(blocks[rows], labels[rows])
        return model


def accuracy(model, videos):
    """Share of videos whose most probable class is theirs."""
    found = model.predict_videos(videos.frames).argmax(axis=1)
    return float((found == videos.labels).mean())
