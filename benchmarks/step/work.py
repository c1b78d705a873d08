"""What is computed in a step, and what it costs."""

import dataclasses
import math
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
        units: units of each layer, or channels of a convolutional one.
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
        patch: height and width of the patches that a convolutional model cuts
            its square frames into; None for a fully connected model.
        kernel_size: height and width of a convolutional model's kernels.
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
    patch: int | None = None
    kernel_size: int = 3

    @property
    def frames(self):
        """Frames of a clip."""
        return self.input_frames + self.future_frames

    @property
    def decoded(self):
        """Frames that each decoder learns, by its name."""
        frames = {"future": self.future_frames}
        if self.reconstruction:
            frames = {"reconstruction": self.input_frames, **frames}
        return frames

    @property
    def grid(self):
        """Rows and columns of vectors in a frame: () if it is one vector."""
        if self.patch is None:
            return ()
        return (math.isqrt(self.features) // self.patch,) * 2

    @property
    def values(self):
        """Values of a vector."""
        return self.features // math.prod(self.grid)

    def clips(self):
        """`[batch, frames, features]`, float32 in [0, 1].

        Of a convolutional model `[batch, frames, height, width]`.
        """
        frame = (self.features,)
        if self.patch:
            frame = (math.isqrt(self.features),) * 2
        shape = self.batch, self.frames, *frame
        return np.random.default_rng(0).random(shape, np.float32)

    def vectors(self):
        """The clips as the peers read them, `[batch, frames, *grid, values]`.

        Those of a convolutional model are cut into patches.
        """
        if self.patch is None:
            return self.clips()
        rows, columns = self.grid
        cut = self.clips().reshape((-1, rows, self.patch, columns, self.patch))
        shape = self.batch, self.frames, *self.grid, self.values
        return np.ascontiguousarray(cut.swapaxes(2, 3)).reshape(shape)

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
        Convolutions multiply the zeros around a frame too.
        """
        places = self.batch * math.prod(self.grid)
        if self.task != "train":
            return 2 * places * self._inference()
        multiplications = self._stack(
            self.input_frames, self.values, from_zeros=True
        )
        if self.classes:
            readout = self.input_frames * self.units[-1] * self.classes
            return 2 * places * (multiplications + 3 * readout)
        for decoder, frames in self.decoded.items():
            reads = self.conditional and decoder == "future"
            multiplications += self._stack(frames, self.values if reads else 0)
            multiplications += 3 * frames * self.units[-1] * self.values
        return 2 * places * multiplications

    @property
    def _taps(self):
        """Vectors that a gate reads."""
        return self.kernel_size**2 if self.patch else 1

    def _inference(self):
        if self.task == "encode":
            return self._forward(self.input_frames, from_zeros=True)
        readout = self.units[-1] * self.values
        return self._forward(self.future_frames) + self.future_frames * readout

    def _forward(self, frames, from_zeros=False):
        total, values = 0, self.values
        for units in self.units:
            total += 4 * units * frames * values
            total += 4 * units * (frames - from_zeros) * units
            values = units
        return total * self._taps

    def _stack(self, frames, values, from_zeros=False):
        total, input_gradient = 0, False
        for units in self.units:
            # Forward and weights; the gradient of the input above layer 1.
            times = 3 if input_gradient else 2
            total += 4 * units * frames * times * values
            total += 4 * units * (frames - from_zeros) * 3 * units
            values, input_gradient = units, True
        return total * self._taps


WORKS = {
    "a": Work(64, 4096, (2048,), 10, 10),
    "b": Work(32, 4096, (2048, 2048), 16, 13, output="linear"),
    "c": Work(16, 4096, (512,), 10, 10),
    "d": Work(64, 4096, (2048, 2048), 16, classes=101),
    "e": Work(64, 4096, (2048,), 10, 10, conditional=True),
    "f": Work(16, 4096, (128,), 10, 10, reconstruction=False, patch=8),
    "g": Work(
        16, 4096, (64, 64), 10, 10, reconstruction=False, patch=4, kernel_size=5
    ),
    "encode-1": Work(1, 4096, (2048,), 10, task="encode"),
    "encode-64": Work(64, 4096, (2048,), 10, task="encode"),
    "rollout-16": Work(
        16, 4096, (2048,), 0, 100, conditional=True, task="roll out"
    ),
}
