"""Conversion of the inputs of models."""

import tensorflow as tf
from keras import ops

from video_repr import inputs
from video_repr.errors import InputError


def as_floats(frames, dtype, pixels=None):
    """Frames in floating point, checked.

    Args:
        frames: `[batch, time, ...]`: uint8 pixels, or floating point.
        dtype: floating point dtype of the result.
        pixels: whether floating point values must be in [0, 1], see
            `inputs.are_pixels`.

    Returns:
        Frames of the same shape; uint8 pixels come out in [0, 1].

    Raises:
        InputError: for wrong frames, see `inputs`.
    """
    frames = tf.convert_to_tensor(frames)
    return inputs.scale(
        inputs.checked(frames, inputs.are_pixels(pixels, frames.shape)), dtype
    )


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


def check_state_shapes(found, shapes):
    """Refuses states of other layers.

    Args:
        found: the shapes of `[[h, c], ...]`, without the batch; or what the
            states are instead.
        shapes: expected shape of each layer's, None for what is not known.

    Raises:
        InputError: if they differ, or are not all on one grid.
    """
    fits = (
        isinstance(found, list)
        and len(found) == len(shapes)
        and all(
            len(state) == 2
            and all(tf.TensorShape(shape).is_compatible_with(s) for s in state)
            for shape, state in zip(shapes, found, strict=True)
        )
        and all(
            tf.TensorShape(found[0][0][:-1]).is_compatible_with(s[:-1])
            for state in found
            for s in state
        )
    )
    if not fits:
        raise InputError(
            "Expected states [[h, c], ...], a pair a layer, which have the "
            f"sizes {[[tuple(shape)] * 2 for shape in shapes]} for a clip. "
            f"Received: {found}"
        )


def as_states(states, shapes):
    """The states of a stack of layers, `[[h, c], ...]`, checked.

    Args:
        states: a pair a layer, lowest first.
        shapes: as for `check_state_shapes`.

    Raises:
        InputError: if they are of other layers, not floating point or not
            finite, see `inputs`.
    """
    try:
        states = [[tf.convert_to_tensor(value) for value in s] for s in states]
        found = [[tuple(value.shape[1:]) for value in s] for s in states]
    except (TypeError, ValueError):
        # No pairs of tensors at all.
        found = type(states).__name__
    check_state_shapes(found, shapes)
    for dtype in {value.dtype for state in states for value in state}:
        if not dtype.is_floating:
            raise InputError(
                "Expected states in floating point. Received: dtype "
                f"{dtype.name}"
            )
    return [[inputs.checked(value) for value in state] for state in states]


def on_grid(clips, states, frame):
    """Clips, checked to be of the size that states are for.

    Args:
        clips: `[batch, time, ...]`, arranged as `frame` says.
        states: a pair a layer, checked.
        frame: what a frame is, see `inputs`.

    Returns:
        The clips.

    Raises:
        InputError: if the states are on another grid.
    """
    wanted = frame.grid(clips.shape[2:])
    found = tuple(states[0][0].shape[1:-1])
    if not tf.TensorShape(wanted).is_compatible_with(found):
        raise InputError(
            f"Expected states on the grid of the frames, {wanted}. Received: "
            f"states on a grid of {found}"
        )
    if None not in (*wanted, *found):
        return clips
    sides = tf.shape(clips)[2:4] // frame.patch
    asserted = []
    for value in (value for state in states for value in state):
        given = tf.shape(value)[1:-1]
        fits = tf.reduce_all(sides == given)
        said = "Expected states on the grid of the frames,"
        asserted.append(
            tf.debugging.Assert(fits, [said, sides, ". Received:", given])
        )
    with tf.control_dependencies(asserted):
        return tf.identity(clips)


def frame_shape(shape):
    """The shape of a frame of clips of `shape`, `[batch, time, ...]`.

    Raises:
        ValueError: if the shape has no frames.
    """
    shape = tf.TensorShape(shape)
    if shape.rank is None or shape.rank < 3:
        raise ValueError(
            "clips must have the shape [batch, time, features] or [batch, "
            f"time, height, width, channels]. Received: {shape}"
        )
    return tuple(shape[2:])


def activations(lstms, sequence, states):
    """The activations of the gates of a stack of layers, lowest first."""
    found = []
    for lstm, state in zip(lstms, states, strict=True):
        found.append(lstm.activations(sequence, state))
        sequence = found[-1]["output"]
    return found


def check_layers(sizes):
    """The size of each layer as a tuple.

    Raises:
        ValueError: if there is not at least one layer.
    """
    if not hasattr(sizes, "__len__") or not len(sizes):
        raise ValueError(
            "A stack of layers needs the size of each, at least one, for "
            f"example (512,). Received: {sizes!r}"
        )
    return tuple(sizes)
