"""Checks of the labels and the weights of clips."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from video_repr.errors import InputError
from video_repr.inputs.values import Check
from video_repr.inputs.values import current_check
from video_repr.inputs.values import is_float


@dataclasses.dataclass(frozen=True)
class Labels:
    """The requirements for the labels of clips.

    Attributes:
        classes: number of classes.
    """

    classes: int
    required = True

    @property
    def expected(self):
        """The requirements, in words."""
        return (
            "Expected a label for each clip, [clips], that is a whole number "
            f"from 0 to {self.classes - 1}: labels count from 0"
        )

    def check(self, labels):
        """Refuses labels that are not a class.

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
        """As `Clips.check_spec`, for the labels of a dataset."""
        if not isinstance(spec, tf.TensorSpec):
            raise InputError(f"{self.expected}. Received: {spec}")
        if spec.shape.rank is not None:
            self._check_shape(tuple(spec.shape))
        self._check_dtype(spec.dtype)
        return True

    def check_in_graph(self, labels):
        """Asserts in a graph that the labels of a batch are classes."""
        labels = tf.cast(labels, tf.float64)
        self._assert(labels, self._are_right(labels, tf.floor))

    def checked(self, labels):
        """Checked labels for a loss or metric, `[clips]`.

        Args:
            labels: a tensor `[clips]` or `[clips, 1]`, of any type.

        Returns:
            float32. Under XLA wrong labels are NaN.

        Raises:
            InputError: as for `check`, in eager mode. For graphs see the
                package.
        """
        if tf.executing_eagerly():
            self.check(labels.numpy())
            return tf.reshape(tf.cast(labels, tf.float32), [-1])
        if labels.shape.rank is not None:
            self._check_shape(tuple(labels.shape))
        labels = tf.cast(labels, tf.float32)
        right = self._are_right(labels, tf.floor)
        if current_check() is Check.ASSERT:
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
    """The requirements for the weights of clips.

    Attributes:
        per_clip: whether there must be one weight for each clip.
    """

    per_clip: bool = True
    required = False
    expected = "Expected finite weights of at least 0, one for each clip"

    def check(self, weights):
        """Refuses weights that are negative or not finite.

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
        """As `Clips.check_spec`, for the weights of a dataset."""
        if isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None:
            self._check_shape(tuple(spec.shape))
        return True

    def check_in_graph(self, weights):
        """Asserts in a graph that the weights of a batch are valid."""
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


def check_class_weight(weights, classes):
    """Refuses weights of classes that do not exist.

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
