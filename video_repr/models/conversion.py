"""Conversion of the inputs of models."""

import tensorflow as tf
from keras import ops

from video_repr import inputs
from video_repr.errors import InputError


def as_features(frames, dtype, pixels=None):
    """Frames as the LSTMs read them.

    Args:
        frames: `[batch, time, ...]`: uint8 pixels, or floating point.
        dtype: floating point dtype of the result.
        pixels: whether floating point values must be in [0, 1], see
            `inputs.are_pixels`.

    Returns:
        `[batch, time, features]`; uint8 pixels come out in [0, 1].

    Raises:
        InputError: for wrong frames, see `inputs`.
    """
    frames = tf.convert_to_tensor(frames)
    count_features(frames.shape)
    frames = inputs.scale(
        inputs.checked(frames, inputs.are_pixels(pixels, frames.shape)), dtype
    )
    if len(frames.shape) == 3:
        return frames
    batch, time = ops.shape(frames)[:2]
    return ops.reshape(frames, (batch, time, count_features(frames.shape)))


def as_mask(clips, mask):
    """The mask of frames to read, `[batch, time]`; None for all.

    Keras's `Masking` is for vectors: for pictures it makes a mask for each row.
    A frame is read if any of its rows is.
    """
    if mask is None:
        # If states are given beside the clips, Keras does not pass the mask.
        mask = getattr(clips, "_keras_mask", None)
    if mask is None or len(mask.shape) == 2:
        return mask
    return ops.any(mask, axis=tuple(range(2, len(mask.shape))))


def as_states(states, units):
    """The states of a stack of layers, `[[h, c], ...]`, checked.

    Args:
        states: a pair a layer, lowest first, each `[batch, units]`.
        units: number of units of each layer.

    Raises:
        InputError: if they are of other layers, not floating point or not
            finite, see `inputs`.
    """
    expected = [[(size,)] * 2 for size in units]
    try:
        states = [[tf.convert_to_tensor(value) for value in s] for s in states]
        sizes = [[tuple(value.shape[1:]) for value in s] for s in states]
    except (TypeError, ValueError):
        # No pairs of tensors at all.
        sizes = type(states).__name__
    if sizes != expected:
        raise InputError(
            "Expected states [[h, c], ...], a pair a layer, which have the "
            f"sizes {expected} for a clip. Received: {sizes}"
        )
    for dtype in {value.dtype for state in states for value in state}:
        if not dtype.is_floating:
            raise InputError(
                "Expected states in floating point. Received: dtype "
                f"{dtype.name}"
            )
    return [[inputs.checked(value) for value in state] for state in states]


def count_features(shape):
    """Number of values in a frame of clips of `shape`, `[batch, time, ...]`.

    Raises:
        ValueError: if the shape has no frames, or frames of unknown size.
    """
    shape = tf.TensorShape(shape)
    features = None if shape.rank is None else shape[2:].num_elements()
    if features is None or shape.rank < 3:
        raise ValueError(
            "clips must have the shape [batch, time, features] or [batch, "
            "time, height, width, channels], with frames of a known size. "
            f"Received: {shape}"
        )
    return features


def activations(lstms, sequence, states):
    """The activations of the gates of a stack of layers, lowest first."""
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
    if not hasattr(units, "__len__") or not len(units):
        raise ValueError(
            "units must hold the number of units of each layer, at least one, "
            f"for example (512,). Received: units={units!r}"
        )
    return tuple(units)
