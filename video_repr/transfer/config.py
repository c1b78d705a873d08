"""Settings of a classifier and of a label curve."""

import dataclasses
from typing import Literal

from video_repr.errors import InputError
from video_repr.ranges import check_ranges

# The keys of a row, and their names in figures.
SYSTEMS = {
    "pretrained": "LSTM, pretrained",
    "random": "LSTM, random",
    "shuffled_frames": "LSTM, pretrained, frames shuffled",
    "mean_percept_probe": "linear, mean frame",
    "single_frame": "linear, single frames",
}


@dataclasses.dataclass(frozen=True)
class FinetuneConfig:
    """How a classifier is fitted.

    Attributes:
        block: frames of a block of a video.
        stride: frames from the start of a block to that of the next.
        updates: number of updates.
        batch_size: blocks in an update.
        learning_rate: initial learning rate of Adam; falls linearly to 0.
        encoder_rate: factor of the learning rate for the encoder's weights; 0
            freezes them, which makes a linear probe.
        layer_decay: ratio of the learning rate of an encoder layer to that of
            the layer above it.
        dropout: dropout of non-recurrent connections: between the encoder's
            layers, and of the softmax's input (paper, section 3.4).
        input_dropout: share of the values of frames that is dropped.
        recurrent_dropout: share of the recurrent weights that is dropped.
        label_smoothing: share of the probability of the true class that is
            spread over all classes.
        probe: scikit-learn's C of the logistic regression that initialises the
            softmax; it is fitted on the encoder's outputs, averaged over a
            block. None starts the softmax at zero.
    """

    block: int = 16
    stride: int = 8
    updates: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-4
    encoder_rate: float = 1.0
    layer_decay: float = 1.0
    dropout: float = 0.5
    input_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    label_smoothing: float = 0.0
    probe: float | None = 10.0

    def __post_init__(self):
        check_ranges(
            self,
            block="[1, inf)",
            stride="[1, inf)",
            batch_size="[1, inf)",
            learning_rate="(0, inf)",
            probe="(0, inf)",
            updates="[0, inf)",
            encoder_rate="[0, inf)",
            layer_decay="[0, inf)",
            dropout="[0, 1)",
            input_dropout="[0, 1)",
            recurrent_dropout="[0, 1)",
            label_smoothing="[0, 1)",
        )


@dataclasses.dataclass(frozen=True)
class LabelCurveConfig:
    """Fits classifiers on few labels, again and again.

    Attributes:
        per_class: numbers of labelled videos of each class, or "all".
        seeds: number of label subsets for each, at least 2 for an interval.
        finetune: how a classifier is fitted.
        inverse_penalty: scikit-learn's C of the classifiers without an LSTM.
    """

    per_class: tuple[int | Literal["all"], ...] = (1, 2, 4, 8, "all")
    seeds: int = 10
    finetune: FinetuneConfig = dataclasses.field(default_factory=FinetuneConfig)
    inverse_penalty: float = 10.0

    def __post_init__(self):
        # One seed gives no interval.
        check_ranges(self, seeds="[2, inf)", inverse_penalty="(0, inf)")
        if not self.per_class or any(
            k != "all" and k < 1 for k in self.per_class
        ):
            raise InputError(
                "Expected numbers of labels per class, each at least 1. "
                f"Received: {self.per_class}"
            )
