"""What a classifier and a curve over labels depend on."""

import dataclasses
import math
from typing import Literal

from video_repr.errors import InputError

# The keys of a row, and what they are called in figures.
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
        learning_rate: of Adam; falls linearly to 0.
        encoder_rate: factor of the learning rate for the encoder's weights; 0
            freezes them: a linear probe.
        layer_decay: factor of an encoder layer's rate to that of the layer
            above it.
        dropout: of non-recurrent connections: between the encoder's layers,
            and of what the softmax reads (paper, section 3.4).
        input_dropout: share of the values of frames that is dropped.
        recurrent_dropout: share of the recurrent weights that is.
        label_smoothing: share of the truth that is spread over all classes.
        probe: scikit-learn's C of a logistic regression of the encoder's
            outputs, averaged over a block, that the softmax starts from; None
            starts it at zero.
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
        for name in ("block", "stride", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"Expected {name} of at least 1. Received: "
                    f"{getattr(self, name)}"
                )
        for name in ("learning_rate", "probe"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"Expected {name} above 0. Received: {value}")
        for name, below in (
            ("updates", math.inf),
            ("encoder_rate", math.inf),
            ("layer_decay", math.inf),
            ("dropout", 1),
            ("input_dropout", 1),
            ("recurrent_dropout", 1),
            ("label_smoothing", 1),
        ):
            if not 0 <= getattr(self, name) < below:
                raise InputError(
                    f"Expected {name} of at least 0 and below {below}. "
                    f"Received: {getattr(self, name)}"
                )


@dataclasses.dataclass(frozen=True)
class LabelCurveConfig:
    """Fits classifiers on few labels, again and again.

    Attributes:
        per_class: numbers of labelled videos of each class, or "all".
        seeds: number of label subsets for each.
        finetune: how a classifier is fitted.
        inverse_penalty: scikit-learn's C of the classifiers without an LSTM.
    """

    per_class: tuple[int | Literal["all"], ...] = (1, 2, 4, 8, "all")
    seeds: int = 10
    finetune: FinetuneConfig = dataclasses.field(default_factory=FinetuneConfig)
    inverse_penalty: float = 10.0

    def __post_init__(self):
        if self.seeds < 2:
            raise InputError(
                "Expected at least 2 seeds, for an interval. Received: "
                f"{self.seeds}"
            )
        if not self.inverse_penalty > 0:
            raise InputError(
                "Expected an inverse_penalty above 0. Received: "
                f"{self.inverse_penalty}"
            )
        if not self.per_class or any(
            k != "all" and k < 1 for k in self.per_class
        ):
            raise InputError(
                "Expected numbers of labels per class, each at least 1. "
                f"Received: {self.per_class}"
            )
