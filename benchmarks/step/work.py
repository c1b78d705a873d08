"""What is computed in a step, and what it costs."""

import dataclasses
from typing import Literal

import numpy as np


class AbsentError(Exception):
    """The system, or what it needs, is not here."""


@dataclasses.dataclass(frozen=True)
class Work:
    """A model and a batch.

    Attributes:
        batch: clips.
        features: values in a frame.
        units: units of each layer.
        input_frames: frames that are read, and reconstructed if there are
            decoders.
        future_frames: frames that are predicted; 0 for a classifier.
        conditional: whether the future decoder receives the true frame
            before.
        reconstruction: whether there is a reconstruction decoder.
        classes: classes of a classifier, in place of decoders.
        output: "logistic" with cross entropy, or "linear" with half the
            squared error.
        task: "train" for an update; "encode" for the encoder alone; "roll
            out" for the future decoder alone, conditional and by itself.
        precision: of the products of matrices; "tf32" differs from "float32"
            on GPUs alone.
        devices: number of GPUs that share the batch.
    """

    batch: int
    features: int
    units: tuple[int, ...]
    input_frames: int
    future_frames: int = 0
    conditional: bool = False
    reconstruction: bool = True
    classes: int = 0
    output: str = "logistic"
    task: Literal["train", "encode", "roll out"] = "train"
    precision: Literal["float32", "tf32", "mixed_bfloat16"] = "float32"
    devices: int = 1

    @property
    def frames(self):
        """Frames of a clip."""
        return self.input_frames + self.future_frames

    def clips(self):
        """`[batch, frames, features]`, float32 in [0, 1]."""
        shape = self.batch, self.frames, self.features
        return np.random.default_rng(0).random(shape, np.float32)

    def states(self):
        """`[[h, c], ...]` to roll out from, `[batch, units]`, float32."""
        rng = np.random.default_rng(2)
        return [
            [
                rng.uniform(-0.5, 0.5, (self.batch, units)).astype(np.float32)
                for _ in range(2)
            ]
            for units in self.units
        ]

    def labels(self):
        """`[batch]`, int32."""
        rng = np.random.default_rng(1)
        return rng.integers(0, self.classes, self.batch, np.int32)

    def flop(self):
        """Operations of a step: two for each multiplication of a matrix.

        In training forward, gradients of weights, and gradients of inputs
        where they are needed: not of the clips. The first step of an encoder
        starts from zeros and needs no product with its recurrent weights.
        """
        if self.task != "train":
            return 2 * self.batch * self._inference()
        multiplications = self._stack(
            self.input_frames, self.features, from_zeros=True
        )
        if self.classes:
            readout = self.input_frames * self.units[-1] * self.classes
            return 2 * self.batch * (multiplications + 3 * readout)
        for frames, conditional in (
            (self.input_frames if self.reconstruction else 0, False),
            (self.future_frames, self.conditional),
        ):
            features = self.features if conditional else 0
            multiplications += self._stack(frames, features)
            multiplications += 3 * frames * self.units[-1] * self.features
        return 2 * self.batch * multiplications

    def _inference(self):
        if self.task == "encode":
            return self._forward(self.input_frames, from_zeros=True)
        readout = self.units[-1] * self.features
        return self._forward(self.future_frames) + self.future_frames * readout

    def _forward(self, frames, from_zeros=False):
        total, features = 0, self.features
        for units in self.units:
            total += 4 * units * frames * features
            total += 4 * units * (frames - from_zeros) * units
            features = units
        return total

    def _stack(self, frames, features, from_zeros=False):
        total, input_gradient = 0, False
        for units in self.units:
            # Forward and weights; the gradient of the input above layer 1.
            times = 3 if input_gradient else 2
            total += 4 * units * frames * times * features
            total += 4 * units * (frames - from_zeros) * 3 * units
            features, input_gradient = units, True
        return total


WORKS = {
    "a": Work(64, 4096, (2048,), 10, 10),
    "b": Work(32, 4096, (2048, 2048), 16, 13, output="linear"),
    "c": Work(16, 4096, (512,), 10, 10),
    "d": Work(64, 4096, (2048, 2048), 16, classes=101),
    "e": Work(64, 4096, (2048,), 10, 10, conditional=True),
    "encode-1": Work(1, 4096, (2048,), 10, task="encode"),
    "encode-64": Work(64, 4096, (2048,), 10, task="encode"),
    "rollout-16": Work(
        16, 4096, (2048,), 0, 100, conditional=True, task="roll out"
    ),
}
