"""Pictures as grids of patches."""

import tensorflow as tf


def to_patches(pictures, patch):
    """Cuts pictures into patches, whose values become channels.

    Args:
        pictures: `[..., height, width, channels]`.
        patch: height and width of a patch in pixels.

    Returns:
        `[..., height / patch, width / patch, patch * patch * channels]`.
    """
    if patch == 1:
        return pictures
    *batch, height, width, channels = _shape(pictures)
    rows, columns = height // patch, width // patch
    cut = tf.reshape(pictures, (-1, rows, patch, columns, patch, channels))
    return tf.reshape(
        tf.transpose(cut, (0, 1, 3, 2, 4, 5)),
        (*batch, rows, columns, patch * patch * channels),
    )


def from_patches(grid, patch):
    """The inverse of `to_patches`."""
    if patch == 1:
        return grid
    *batch, rows, columns, values = _shape(grid)
    channels = values // patch**2
    cut = tf.reshape(grid, (-1, rows, columns, patch, patch, channels))
    return tf.reshape(
        tf.transpose(cut, (0, 1, 3, 2, 4, 5)),
        (*batch, rows * patch, columns * patch, channels),
    )


def _shape(values):
    """Sizes, as numbers where they are known."""
    found = tf.shape(values)
    return [
        found[axis] if size is None else size
        for axis, size in enumerate(values.shape)
    ]
