"""How frames enter the models."""

import numbers

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from video_repr.errors import InputError


def scale(frames, dtype):
    """Frames in floating point; uint8 pixels are scaled to [0, 1]."""
    frames = tf.convert_to_tensor(frames)
    is_uint8 = frames.dtype == tf.uint8
    frames = ops.cast(frames, dtype)
    return frames / 255 if is_uint8 else frames


def as_features(frames, dtype):
    """Frames as the LSTMs read them.

    Args:
        frames: `[batch, time, ...]`: uint8 pixels, or floating point.
        dtype: floating point dtype of the result.

    Returns:
        `[batch, time, features]`; uint8 pixels come out in [0, 1].
    """
    frames = scale(frames, dtype)
    if len(frames.shape) == 3:
        return frames
    batch, time = ops.shape(frames)[:2]
    return ops.reshape(frames, (batch, time, count_features(frames.shape)))


def count_features(shape):
    """Number of values in a frame of clips of `shape`, `[batch, time, ...]`.

    Raises:
        ValueError: if the shape has no frames, or frames of unknown size.
    """
    features = tf.TensorShape(shape[2:]).num_elements()
    if len(shape) < 3 or features is None:
        raise ValueError(
            "clips must have the shape [batch, time, features] or [batch, "
            "time, height, width, channels], with frames of a known size. "
            f"Received: {tuple(shape)}"
        )
    return features


def activations(lstms, sequence, states):
    """What the gates of a stack of layers do, lowest first."""
    found = []
    for lstm, state in zip(lstms, states, strict=True):
        found.append(lstm.activations(sequence, state))
        sequence = found[-1]["output"]
    return found


def check_layers(units):
    """The units of each layer as a tuple.

    Raises:
        ValueError: if `units` does not name at least one layer.
    """
    if isinstance(units, numbers.Integral) or not len(units):
        raise ValueError(
            "units must hold the number of units of each layer, at least one, "
            f"for example (512,). Received: units={units!r}"
        )
    return tuple(units)


def check_clips(clips, *, min_frames=1, unit_range=True, features=None):
    """Refuses clips that no model can learn from.

    Args:
        clips: `[clips, time, ...]`.
        min_frames: number of frames that a clip must have.
        unit_range: whether floating point values must lie in [0, 1].
        features: number of values that a frame must have; any when None.

    Raises:
        InputError: for wrong rank or dtype, no clips, too few frames, frames
            of another size, NaN or infinite values, values outside [0, 1].
    """
    clips = np.asarray(clips)
    if clips.ndim < 3:
        raise InputError(
            "Expected clips of shape [clips, time, features] or [clips, "
            "time, height, width, channels]. Received: shape "
            f"{clips.shape}"
        )
    if not clips.size:
        raise InputError(
            f"Expected at least one clip. Received: shape {clips.shape}"
        )
    if clips.shape[1] < min_frames:
        raise InputError(
            f"Expected clips of at least {min_frames} frames. Received: "
            f"{clips.shape[1]} frames, shape {clips.shape}"
        )
    values = np.prod(clips.shape[2:])
    if features not in (None, values):
        raise InputError(
            f"Expected frames of {features} values. Received: {values} values "
            f"a frame, shape {clips.shape}"
        )
    if clips.dtype == np.uint8:
        return
    # Not np.issubdtype, for which bfloat16 is no floating point type.
    if not keras.backend.is_float_dtype(clips.dtype.name):
        raise InputError(
            "Expected clips in floating point or uint8. Received: dtype "
            f"{clips.dtype}"
        )
    low, high = clips.min(), clips.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise InputError(
            "Expected finite values. Received: clips with NaN or infinity"
        )
    if unit_range and (low < 0 or high > 1):
        raise InputError(
            "Expected pixels in [0, 1], or uint8 pixels in [0, 255]. "
            f"Received: {clips.dtype} values from {low:g} to {high:g}"
        )
