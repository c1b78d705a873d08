"""What may enter a model: one rule, at every entrance.

Clips are uint8 pixels, which are scaled to [0, 1], or floating point: finite,
and in [0, 1] where they are pixels. Other integers are refused, for nobody
says what 1 is in them. Labels are whole numbers that count from 0, weights
finite and not negative.

What lies on the host is refused by an `InputError`. In a graph an assertion
fails with the same sentence. XLA leaves assertions out; there what is wrong
becomes NaN, a loss that nobody overlooks.
"""

import contextlib
import contextvars
import dataclasses
import enum
import math
import re

import numpy as np
import tensorflow as tf

from video_repr.errors import InputError


class Looking(enum.Enum):
    """How values in a graph are looked at."""

    ASSERT = "by an assertion, or NaN under XLA"
    NAN = "what is wrong becomes NaN"
    NOT = "not at all: they have been"


_looking = contextvars.ContextVar("looking", default=Looking.ASSERT)


@contextlib.contextmanager
def looking(how):
    """How values are looked at inside.

    An assertion is waited for: a step that trains on what was looked at on
    the host does without.
    """
    token = _looking.set(how)
    try:
        yield
    finally:
        _looking.reset(token)


def check_dtype(dtype):
    """Refuses clips of a type whose scale nobody knows.

    Raises:
        InputError: for all but uint8 and floating point.
    """
    if dtype.name != "uint8" and not is_float(dtype):
        raise InputError(
            "Expected clips in floating point or uint8. Received: dtype "
            f"{dtype.name}"
        )


def is_float(dtype):
    """Whether a dtype, of NumPy or TensorFlow, is of floating point."""
    # For np.issubdtype bfloat16 is none; for Keras's is_float_dtype text is
    # an error.
    return dtype.name.startswith(("float", "bfloat"))


def scale(frames, dtype):
    """Frames in floating point; uint8 pixels are scaled to [0, 1].

    Raises:
        InputError: for integers of another type.
    """
    frames = tf.convert_to_tensor(frames)
    check_dtype(frames.dtype)
    is_uint8 = frames.dtype == tf.uint8
    frames = tf.cast(frames, dtype)
    return frames / 255 if is_uint8 else frames


def checked(values, pixels=False):
    """Floating point values, if all of them can be read.

    Args:
        values: a tensor; of another type than floating point it is returned
            as it is.
        pixels: whether they must lie in [0, 1] too.

    Raises:
        InputError: where they are at hand and cannot be read. In a graph see
            the module.
    """
    how = _looking.get()
    if how is Looking.NOT or not values.dtype.is_floating:
        return values
    if tf.executing_eagerly():
        _check_values(values.numpy(), pixels)
        return values
    if how is Looking.ASSERT:
        _assert_values(values, pixels, f"{_PIXELS}. Received: from")
    right = (
        (values >= 0) & (values <= 1) if pixels else tf.math.is_finite(values)
    )
    nan = tf.constant(math.nan, values.dtype)
    return tf.where(tf.reduce_all(right), values, nan)


_NOT_FINITE = "Expected finite values. Received: NaN or infinity"
_PIXELS = "Expected pixels in [0, 1]"


def _not_pixels(dtype):
    return (
        f"{_PIXELS}, or uint8 pixels in [0, 255]. Received: {dtype} values from"
    )


def _check_values(values, pixels):
    if values.dtype == np.uint8 or not values.size:
        return
    # NaN is the least and the greatest where there is any.
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(_NOT_FINITE)
    if pixels and (low < 0 or high > 1):
        raise InputError(f"{_not_pixels(values.dtype)} {low:g} to {high:g}")


def _assert_values(values, pixels, not_pixels):
    finite = tf.reduce_all(tf.math.is_finite(values))
    tf.debugging.Assert(finite, [_NOT_FINITE])
    if pixels:
        low, high = tf.reduce_min(values), tf.reduce_max(values)
        # Of no values they are infinite the wrong way round. Of NaN the other
        # assertion tells.
        right = (low >= 0) & (high <= 1) | ~finite
        tf.debugging.Assert(right, [not_pixels, low, "to", high])


@dataclasses.dataclass(frozen=True)
class Clips:
    """What clips have to be.

    Attributes:
        pixels: whether floating point values must lie in [0, 1]; when None,
            those of frames that have a height and a width must.
        min_frames: number of frames that a clip must have.
        features: number of values that a frame must have; any when None.
    """

    pixels: bool | None = None
    min_frames: int = 1
    features: int | None = None
    required = True
    expected = "Expected finite clips, pixels in [0, 1]"

    def check(self, clips):
        """Refuses clips that no model can learn from.

        Args:
            clips: an array `[clips, time, ...]`.

        Raises:
            InputError: for wrong rank or dtype, no clips, too few frames,
                frames of another size, NaN or infinite values, values outside
                [0, 1].
        """
        clips = np.asarray(clips)
        self._check_shape(clips.shape)
        if not clips.size:
            raise InputError(
                f"Expected at least one clip. Received: shape {clips.shape}"
            )
        check_dtype(clips.dtype)
        _check_values(clips, are_pixels(self.pixels, clips.shape))

    def check_spec(self, spec):
        """Refuses a dataset by what is known of its batches.

        Returns:
            Whether their values have to be looked at too.
        """
        if not isinstance(spec, tf.TensorSpec) or spec.shape.rank is None:
            raise InputError(
                "Expected a dataset of batches of clips, [clips, time, ...]. "
                f"Received: elements of {spec}"
            )
        self._check_shape(tuple(spec.shape))
        check_dtype(spec.dtype)
        return spec.dtype != tf.uint8 or spec.shape[1] is None

    def check_in_graph(self, clips):
        """Asserts that a batch of a dataset is as it has to be."""
        if clips.dtype != tf.uint8:
            _assert_values(
                clips,
                are_pixels(self.pixels, clips.shape),
                _not_pixels(clips.dtype.name),
            )
        if clips.shape[1] is None:
            frames = tf.shape(clips)[1]
            tf.debugging.Assert(
                frames >= self.min_frames,
                [self._too_short, frames, "frames"],
            )

    @property
    def _too_short(self):
        return f"Expected clips of at least {self.min_frames} frames. Received:"

    def _check_shape(self, shape):
        if len(shape) < 3:
            raise InputError(
                "Expected clips of shape [clips, time, features] or [clips, "
                "time, height, width, channels]. Received: shape "
                f"{shape}"
            )
        if shape[1] is not None and shape[1] < self.min_frames:
            raise InputError(
                f"{self._too_short} {shape[1]} frames, shape {shape}"
            )
        if self.features is None or None in shape[2:]:
            return
        values = math.prod(shape[2:])
        if values != self.features:
            raise InputError(
                f"Expected frames of {self.features} values. Received: "
                f"{values} values a frame, shape {shape}"
            )


@dataclasses.dataclass(frozen=True)
class PaddedClips(Clips):
    """What clips have to be that may come with their mask.

    That is a dict of "clips" and "mask"; what follows the last frame of a clip
    must be as its frames are.
    """

    _dict = 'a dict of "clips" and "mask"'

    def check(self, clips):
        if isinstance(clips, dict):
            clips, mask = self.parts(clips)
            clips, mask = np.asarray(clips), np.asarray(mask)
            self._check_mask(mask, clips.shape)
        super().check(clips)

    def check_spec(self, spec):
        if not isinstance(spec, dict):
            return super().check_spec(spec)
        spec, mask = self.parts(spec)
        unknown = super().check_spec(spec)
        self._check_mask(mask, tuple(spec.shape))
        return unknown

    def check_in_graph(self, clips):
        if isinstance(clips, dict):
            clips, _ = self.parts(clips)
        super().check_in_graph(clips)

    def parts(self, clips):
        """The clips and the mask of such a dict.

        Raises:
            InputError: for other names.
        """
        if set(clips) != {"clips", "mask"}:
            raise InputError(
                f"Expected clips, or {self._dict}. Received: a dict of "
                + (", ".join(map(repr, clips)) or "nothing")
            )
        return clips["clips"], clips["mask"]

    def _check_mask(self, mask, shape):
        of_clips = tf.TensorShape(shape[:2])
        if mask.dtype.name != "bool" or not of_clips.is_compatible_with(
            mask.shape
        ):
            raise InputError(
                f"Expected a mask of dtype bool, [clips, time], {of_clips}. "
                f"Received: dtype {mask.dtype.name}, shape "
                f"{tf.TensorShape(mask.shape)}"
            )


def are_pixels(pixels, shape):
    """Whether clips of a shape are pixels, if nobody has said so.

    Args:
        pixels: what was said; None for nothing.
        shape: of the clips: percepts have no height and width.
    """
    return len(shape) > 3 if pixels is None else pixels


@dataclasses.dataclass(frozen=True)
class Labels:
    """What the labels of clips have to be.

    Attributes:
        classes: number of classes.
    """

    classes: int
    required = True

    @property
    def expected(self):
        """What they have to be, in words."""
        return (
            "Expected a label for each clip, [clips], that is a whole number "
            f"from 0 to {self.classes - 1}: labels count from 0"
        )

    def check(self, labels):
        """Refuses labels of no class.

        Args:
            labels: an array.

        Raises:
            InputError: for another shape, type or value.
        """
        if labels is None:
            raise InputError(f"{self.expected}. Received: none")
        labels = np.asarray(labels)
        self._check_shape(labels.shape)
        self._check_dtype(labels.dtype)
        labels = labels.astype(np.float64)
        wrong = labels[~self._are_right(labels, np.floor)]
        if wrong.size:
            raise InputError(
                f"{self.expected}. Received: {wrong.size:,} others of "
                f"{labels.size:,}, as {wrong[0]:g}"
            )

    def check_spec(self, spec):
        """As `Clips.check_spec`, of the labels of a dataset."""
        if not isinstance(spec, tf.TensorSpec):
            raise InputError(f"{self.expected}. Received: {spec}")
        if spec.shape.rank is not None:
            self._check_shape(tuple(spec.shape))
        self._check_dtype(spec.dtype)
        return True

    def check_in_graph(self, labels):
        """Asserts that the labels of a batch are of a class."""
        labels = tf.cast(labels, tf.float64)
        self._assert(labels, self._are_right(labels, tf.floor))

    def checked(self, labels):
        """Labels in a loss or metric, `[clips]`.

        Args:
            labels: a tensor `[clips]` or `[clips, 1]`, of any type.

        Returns:
            float32; what is no label is NaN, where it is not refused.

        Raises:
            InputError: as for `check`, where they are at hand. In a graph see
                the module.
        """
        if tf.executing_eagerly():
            self.check(labels.numpy())
            return tf.reshape(tf.cast(labels, tf.float32), [-1])
        if labels.shape.rank is not None:
            self._check_shape(tuple(labels.shape))
        labels = tf.cast(labels, tf.float32)
        right = self._are_right(labels, tf.floor)
        if _looking.get() is Looking.ASSERT:
            self._assert(labels, right)
        return tf.reshape(tf.where(right, labels, math.nan), [-1])

    def _assert(self, labels, right):
        if labels.shape.rank is None or None in labels.shape[1:]:
            tf.debugging.Assert(
                tf.size(labels) == tf.shape(labels)[0],
                [f"{self.expected}. Received: shape", tf.shape(labels)],
            )
        tf.debugging.Assert(
            tf.reduce_all(right),
            [
                f"{self.expected}. Received: labels from",
                tf.reduce_min(labels),
                "to",
                tf.reduce_max(labels),
            ],
        )

    def _are_right(self, labels, floor):
        # Comparisons with NaN are false.
        return (
            (labels >= 0) & (labels < self.classes) & (floor(labels) == labels)
        )

    def _check_shape(self, shape):
        if len(shape) == 1 or (len(shape) == 2 and shape[1] in (1, None)):
            return
        hint = (
            "; of one-hot labels the argmax is the label"
            if shape[-1:] == (self.classes,)
            else ""
        )
        raise InputError(
            f"{self.expected}. Received: labels of shape {shape}{hint}"
        )

    def _check_dtype(self, dtype):
        if not (
            is_float(dtype) or dtype.name.startswith(("int", "uint", "bool"))
        ):
            raise InputError(f"{self.expected}. Received: dtype {dtype.name}")


@dataclasses.dataclass(frozen=True)
class Weights:
    """What the weights of clips have to be.

    Attributes:
        per_clip: whether there is one of each clip.
    """

    per_clip: bool = True
    required = False
    expected = "Expected finite weights of at least 0, one for each clip"

    def check(self, weights):
        """Refuses weights that mean nothing.

        Args:
            weights: an array.

        Raises:
            InputError: for another shape, or negative, infinite or NaN.
        """
        weights = np.asarray(weights)
        self._check_shape(weights.shape)
        if not weights.size:
            return
        low, high = weights.min(), weights.max()
        if not (low >= 0 and np.isfinite(high)):
            raise InputError(
                f"{self.expected}. Received: from {low:g} to {high:g}"
            )

    def check_spec(self, spec):
        """As `Clips.check_spec`, of the weights of a dataset."""
        if isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None:
            self._check_shape(tuple(spec.shape))
        return True

    def check_in_graph(self, weights):
        """Asserts that the weights of a batch mean something."""
        weights = tf.cast(weights, tf.float64)
        low, high = tf.reduce_min(weights), tf.reduce_max(weights)
        right = tf.math.is_finite(weights) & (weights >= 0)
        tf.debugging.Assert(
            tf.reduce_all(right),
            [f"{self.expected}. Received: from", low, "to", high],
        )

    def _check_shape(self, shape):
        if not self.per_clip or len(shape) == 1:
            return
        if len(shape) != 2 or shape[1] not in (1, None):
            raise InputError(
                f"{self.expected}. Received: weights of shape {shape}"
            )


@dataclasses.dataclass(frozen=True)
class Targets:
    """What frames to predict have to be.

    Attributes:
        branches: `Clips` by decoder.
    """

    branches: dict[str, Clips]
    required = False
    expected = "Expected finite targets, in [0, 1] for logistic outputs"

    def check(self, targets):
        """Refuses targets that no decoder can learn.

        Args:
            targets: an array by decoder.

        Raises:
            InputError: for other names, and as for `Clips.check`.
        """
        for rule, frames in self._of(targets):
            rule.check(frames)

    def check_spec(self, spec):
        """As `Clips.check_spec`, of the targets of a dataset."""
        return any([rule.check_spec(of) for rule, of in self._of(spec)])

    def check_in_graph(self, targets):
        """Asserts that the targets of a batch can be learned."""
        for rule, frames in self._of(targets):
            rule.check_in_graph(frames)

    def _of(self, targets):
        if not isinstance(targets, dict) or set(targets) != set(self.branches):
            names = ", ".join(map(repr, self.branches))
            received = (
                ", ".join(map(repr, targets))
                if isinstance(targets, dict)
                else type(targets).__name__
            )
            raise InputError(
                "Expected targets as model.targets(clips) cuts them, a dict "
                f"with {names}. Received: {received}"
            )
        return [(rule, targets[name]) for name, rule in self.branches.items()]


def check_class_weight(weights, classes):
    """Refuses weights of classes that there are not.

    Args:
        weights: a dict from labels to weights.
        classes: number of classes.

    Raises:
        InputError: naming the label.
    """
    unknown = sorted(set(weights) - set(range(classes)))
    if unknown:
        raise InputError(
            f"Expected weights of classes from 0 to {classes - 1}: labels "
            f"count from 0. Received: one of {unknown[0]!r}"
        )
    Weights().check(list(weights.values()))


def check_clips(clips, *, min_frames=1, pixels=True, features=None):
    """Refuses clips that no model can learn from, see `Clips.check`."""
    Clips(pixels, min_frames, features).check(clips)


@contextlib.contextmanager
def in_words():
    """Turns the failed assertions of a graph into an `InputError`."""
    try:
        yield
    except tf.errors.OpError as error:
        sentence = _sentence(error.message)
        if sentence is None:
            raise
        raise InputError(sentence) from error


def _sentence(message):
    """What was expected, in TensorFlow's words for an error inside."""
    # Its pieces stand in brackets of their own.
    asserted = re.search(r"assertion failed: \[(Expected .*)\]", message)
    if asserted:
        return asserted[1].replace("] [", " ")
    # Raised by a generator.
    raised = re.search(r"InputError: (Expected .*)", message)
    return raised[1] if raised else None
