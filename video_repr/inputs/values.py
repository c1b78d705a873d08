"""Checks of floating point values, on the host and in a graph."""

import contextlib
import contextvars
import enum
import math
import re

import numpy as np
import tensorflow as tf

from video_repr.errors import InputError

_NOT_FINITE = "Expected finite values. Received: NaN or infinity"
_PIXELS = "Expected pixels in [0, 1]"


class Check(enum.Enum):
    """How values in a graph are checked."""

    ASSERT = "by an assertion, or NaN under XLA"
    NAN = "what is wrong becomes NaN"
    SKIP = "not at all: they have been"


_checking = contextvars.ContextVar("checking", default=Check.ASSERT)


@contextlib.contextmanager
def checking(how):
    """Sets how values are checked inside the block.

    TensorFlow waits for assertions, so a training step on values that were
    checked on the host does without.
    """
    token = _checking.set(how)
    try:
        yield
    finally:
        _checking.reset(token)


def current_check():
    """The `Check` that is set here."""
    return _checking.get()


def check_dtype(dtype):
    """Refuses clips of a dtype with an unknown scale.

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
    # np.issubdtype does not know bfloat16; Keras's is_float_dtype raises an
    # error for strings.
    return dtype.name.startswith(("float", "bfloat"))


def are_pixels(pixels, shape):
    """Whether clips are pixels, by a setting or else by their shape.

    Args:
        pixels: the setting; None if there is none.
        shape: shape of the clips: percepts have no height and width.
    """
    return len(shape) > 3 if pixels is None else pixels


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
    """Floating point values, checked: finite, and pixels in [0, 1].

    Args:
        values: a tensor; returned unchanged if it is not floating point.
        pixels: whether they must lie in [0, 1] too.

    Raises:
        InputError: for wrong values, in eager mode. For graphs see the package.
    """
    how = current_check()
    if how is Check.SKIP or not values.dtype.is_floating:
        return values
    if tf.executing_eagerly():
        check_values(values.numpy(), pixels)
        return values
    if how is Check.ASSERT:
        assert_values(values, pixels, f"{_PIXELS}. Received: from")
    right = (
        (values >= 0) & (values <= 1) if pixels else tf.math.is_finite(values)
    )
    nan = tf.constant(math.nan, values.dtype)
    return tf.where(tf.reduce_all(right), values, nan)


def not_pixels(dtype):
    """The message for values that are not pixels, without their range."""
    return (
        f"{_PIXELS}, or uint8 pixels in [0, 255]. Received: {dtype} values from"
    )


def check_values(values, pixels):
    """Refuses wrong values in an array, see `checked`."""
    if values.dtype == np.uint8 or not values.size:
        return
    # If there is any NaN, it is the minimum and the maximum.
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(_NOT_FINITE)
    if pixels and (low < 0 or high > 1):
        raise InputError(f"{not_pixels(values.dtype)} {low:g} to {high:g}")


def assert_values(values, pixels, not_pixels):
    """Asserts in a graph that values are right, see `checked`.

    Args:
        values: a tensor.
        pixels: whether they must lie in [0, 1] too.
        not_pixels: the message if they do not, without their range.
    """
    finite = tf.reduce_all(tf.math.is_finite(values))
    tf.debugging.Assert(finite, [_NOT_FINITE])
    if pixels:
        low, high = tf.reduce_min(values), tf.reduce_max(values)
        # Without values the bounds are infinite, the wrong way round. The other
        # assertion reports NaN.
        right = (low >= 0) & (high <= 1) | ~finite
        tf.debugging.Assert(right, [not_pixels, low, "to", high])


@contextlib.contextmanager
def assertions_as_errors():
    """Turns a failed assertion of a graph into an `InputError`."""
    try:
        yield
    except tf.errors.OpError as error:
        sentence = _sentence(error.message)
        if sentence is None:
            raise
        raise InputError(sentence) from error


def _sentence(message):
    """Our sentence, extracted from TensorFlow's message for an assertion."""
    # TensorFlow puts each piece of it in brackets.
    asserted = re.search(r"assertion failed: \[(Expected .*)\]", message)
    if asserted:
        return asserted[1].replace("] [", " ")
    # Raised by a generator.
    raised = re.search(r"InputError: (Expected .*)", message)
    return raised[1] if raised else None
