"""Moving MNIST: digits that bounce inside a frame.

The motion is that of the paper's code (section 3.1 of the paper describes
it). A sequence is a pure function of (seed, index): each can be made alone, in
any order, on any machine.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from video_repr.arrays import read_npy
from video_repr.data.draw import uniform
from video_repr.errors import InputError


@dataclasses.dataclass(frozen=True)
class Motion:
    """Glyphs, positions and velocities in n sequences.

    Attributes:
        glyphs: index of each in `MovingMNIST.glyphs`, `[n, digits]`.
        positions: row and column in units of the range of a glyph,
            `[n, frames, digits, 2]`, in [0, 1].
        velocities: change of a position until the next frame if it meets no
            border, in the same units and shape.
    """

    glyphs: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray


@dataclasses.dataclass(frozen=True)
class MovingMNIST:
    """Sequences of bouncing glyphs.

    Positions live in [0, 1]^2, scaled by the range that a glyph can move in
    (36 px for 28 px digits in 64 px frames). Before each frame a glyph moves
    by `speed` in its direction; an axis that would leave [0, 1] stops at the
    border and turns round. Glyphs are drawn at whole pixels and overlap by
    the elementwise maximum.

    Example:
    >>> train = MovingMNIST(load_digits().train, seed=0)
    >>> train.sequences(range(100)).shape
    (100, 20, 64, 64)
    >>> model.fit(train.dataset(batch_size=16), steps_per_epoch=1000)

    Attributes:
        glyphs: uint8, `[glyphs, height, width]`.
        seed: random seed of the endless set of sequences.
        digits: number of glyphs in a sequence.
        frames: number of frames.
        size: height and width of a frame in pixels.
        speed: distance that a glyph moves per frame, in units of its range:
            0.1 is 3.6 px for digits in 64 px frames. A pair (low, high)
            draws each glyph's speed uniformly.
    """

    # Random numbers: glyph, x, y, direction, speed.
    draws_per_digit: ClassVar[int] = 5

    glyphs: np.ndarray = dataclasses.field(repr=False)
    seed: int = 0
    digits: int = 2
    frames: int = 20
    size: int = 64
    speed: float | tuple[float, float] = 0.1

    def __post_init__(self):
        glyphs = self.glyphs
        if glyphs.ndim != 3 or glyphs.dtype != np.uint8 or not len(glyphs):
            raise InputError(
                "Expected glyphs as uint8 of shape [glyphs, height, width], "
                f"at least one. Received: {glyphs.dtype} of shape "
                f"{glyphs.shape}"
            )
        if max(glyphs.shape[1:]) > self.size:
            raise InputError(
                f"Expected glyphs that fit frames of {self.size} px. "
                f"Received: glyphs of {glyphs.shape[1]} x {glyphs.shape[2]} px"
            )
        for name in ("digits", "frames"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError(
                    f"Expected {name}, a whole number of at least 1. "
                    f"Received: {value}"
                )
        speeds = self.speed_range
        if len(speeds) != 2 or not 0 <= speeds[0] <= speeds[1] < np.inf:
            raise InputError(
                "Expected a speed of at least 0, or a pair (low, high). "
                f"Received: {self.speed}"
            )

    def sequences(self, indices):
        """Makes sequences.

        Args:
            indices: which ones, integers of at least 0.

        Returns:
            uint8, `[len(indices), frames, size, size]`.
        """
        motion = self.motion(indices)
        which = motion.glyphs
        n, frames, size = len(which), self.frames, self.size
        height, width = self.glyphs.shape[1:]
        ranges = size - np.array([height, width])
        rows, columns = np.moveaxis(
            (motion.positions * ranges).astype(np.int64), -1, 0
        )
        canvas = np.zeros((n, frames, size, size), np.uint8)
        # Every place where a glyph can lie, as a view of the canvas.
        places = np.lib.stride_tricks.sliding_window_view(
            canvas, (height, width), axis=(2, 3), writeable=True
        )
        sequence = np.arange(n)
        for t in range(frames):
            for digit in range(self.digits):
                at = sequence, t, rows[:, t, digit], columns[:, t, digit]
                glyphs = self.glyphs[which[:, digit]]
                if digit:
                    glyphs = np.maximum(places[at], glyphs)
                places[at] = glyphs
        return canvas

    def motion(self, indices):
        """The glyphs, positions and velocities of sequences, as labels.

        Args:
            indices: as for `sequences`.

        Returns:
            `Motion`.
        """
        indices = np.asarray(indices)
        if indices.size and (
            indices.dtype.kind not in "iu" or min(indices) < 0
        ):
            raise InputError(
                "Expected indices of sequences, whole numbers of at least 0. "
                f"Received: {indices}"
            )
        draws = uniform(
            self.seed,
            indices.astype(np.uint64),
            self.digits * self.draws_per_digit,
        )
        draws = draws.reshape(len(indices), self.digits, self.draws_per_digit)
        angle = 2 * np.pi * draws[..., 3]
        velocity = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        low, high = self.speed_range
        velocity *= (low + (high - low) * draws[..., 4])[..., None]
        position = draws[..., 1:3]
        shape = (len(indices), self.frames, self.digits, 2)
        positions, velocities = np.empty(shape), np.empty(shape)
        for t in range(self.frames):
            position = position + velocity
            velocity = np.where(
                (position <= 0) | (position >= 1), -velocity, velocity
            )
            position = np.clip(position, 0, 1)
            positions[:, t], velocities[:, t] = position, velocity
        return Motion(
            glyphs=(draws[..., 0] * len(self.glyphs)).astype(np.int64),
            positions=positions,
            velocities=velocities,
        )

    def dataset(self, batch_size, start=0):
        """An endless `tf.data.Dataset` of the sequences in order.

        Args:
            batch_size: sequences in a batch.
            start: index of the first sequence.

        Returns:
            A dataset of uint8 batches `[batch_size, frames, size, size]`.
        """
        import tensorflow as tf

        shape = (batch_size, self.frames, self.size, self.size)

        def make(batch):
            first = start + int(batch) * batch_size
            return self.sequences(range(first, first + batch_size))

        def make_tensor(batch):
            clips = tf.numpy_function(make, [batch], tf.uint8)
            return tf.ensure_shape(clips, shape)

        return (
            tf.data.Dataset.counter()
            .map(make_tensor, num_parallel_calls=1)
            .prefetch(4)
        )

    def on_device(self, batch_size, start=0):
        """The batches of `dataset`, made by the device that trains.

        They are meant for GPUs, which train on more sequences than a host
        makes; on a CPU `dataset` is faster.

        Args:
            batch_size: sequences in a batch.
            start: index of the first sequence.

        Returns:
            `inputs.DeviceBatches`, for `fit` or to iterate over.
        """
        from video_repr.data import moving_mnist_on_device

        return moving_mnist_on_device.batches(
            self._make_on_device, batch_size, start
        )

    @functools.cached_property
    def _make_on_device(self):
        # One for all batches: a training step is compiled for each.
        from video_repr.data import moving_mnist_on_device

        return moving_mnist_on_device.maker(self)

    @property
    def speed_range(self):
        """The lowest and the highest speed."""
        if isinstance(self.speed, (tuple, list)):
            return tuple(self.speed)
        return self.speed, self.speed


def read_sequences(path):
    """Reads a published Moving MNIST test file.

    Args:
        path: `mnist_test_seq.npy`, (frames, sequences, height, width), or
            `bouncing_mnist_test.npy`, (sequences, frames, height, width):
            uint8 with 20 frames. The axis of 20 is taken for the frames; if
            both axes have 20, the second is.

    Returns:
        uint8, `[sequences, frames, height, width]`.

    Raises:
        InputError: if the file is missing, truncated or of another form.
    """
    sequences = read_npy(path)
    if sequences.ndim != 4 or sequences.dtype != np.uint8:
        raise InputError(
            "Expected uint8 sequences of shape (20, sequences, height, width) "
            "or (sequences, 20, height, width). Received: "
            f"{sequences.dtype} of shape {sequences.shape} in {path}"
        )
    if sequences.shape[1] != 20 and sequences.shape[0] == 20:
        sequences = sequences.swapaxes(0, 1)
    if sequences.shape[1] != 20 or not sequences.size:
        raise InputError(
            "Expected sequences of 20 frames, at least one. Received: shape "
            f"{sequences.shape} in {path}"
        )
    return sequences
