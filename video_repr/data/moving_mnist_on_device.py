"""Moving MNIST in TensorFlow's operations, for XLA and GPUs.

The sequences of (seed, index) are those of `MovingMNIST.sequences`, byte for
byte. The sine and the cosine of a digit's direction are the one exception in
principle: the last of their 53 bits can differ between processors and
versions, for NumPy as well, and move a digit that is within 1e-13 px of the
next pixel.
"""

import functools

import numpy as np
import tensorflow as tf

from video_repr.data.draw import random_bits
from video_repr.inputs import DeviceBatches


def batches(make, batch_size, start=0):
    """Endless batches of consecutive sequences.

    Args:
        make: a `maker`.
        batch_size: sequences in a batch.
        start: index of the first sequence.

    Returns:
        `DeviceBatches`.
    """
    indices = np.arange(batch_size, dtype=np.int64)
    first = tf.data.Dataset.counter(start, batch_size)
    return DeviceBatches(first.map(lambda i: i + indices).prefetch(2), make)


def maker(mnist):
    """A compiled function that makes sequences.

    Args:
        mnist: a `MovingMNIST`.

    Returns:
        A `tf.function` from int64 indices `[n]`, at least 0, to uint8 `[n,
        frames, size, size]`.
    """
    # The first byte is an empty pixel.
    pixels = tf.constant(np.append(np.uint8(0), mnist.glyphs))

    @tf.function(jit_compile=True)
    def make(indices):
        return _pictures(mnist, pixels, _places(mnist, indices))

    return make


def _places(mnist, indices):
    """What `MovingMNIST.motion` says, in whole pixels.

    Every floating point operation is one of NumPy's in float64, in its order.

    Returns:
        int32, `[n, frames, digits, 3]`: the glyph, its row and its column.
    """
    draws = _uniform(mnist, indices)
    count, height, width = mnist.glyphs.shape
    glyphs = tf.cast(draws[..., 0] * count, tf.int32)
    ranges = np.array([mnist.size - height, mnist.size - width], np.float64)
    angle = 2 * np.pi * draws[..., 3]
    velocity = tf.stack([tf.sin(angle), tf.cos(angle)], axis=-1)
    low, high = mnist.speed_range
    # The maximum changes no number. Without it, compilers may turn product and
    # sum into one operation, which rounds once instead of twice.
    above = tf.maximum(float(high - low) * draws[..., 4], 0.0)
    velocity *= (float(low) + above)[..., None]

    # A loop, as compilers may make what is not one again for every pixel.
    def step(t, position, velocity, places):
        position += velocity
        velocity = tf.where(
            (position <= 0) | (position >= 1), -velocity, velocity
        )
        position = tf.clip_by_value(position, 0.0, 1.0)
        corner = tf.cast(position * ranges, tf.int32)
        place = tf.concat([glyphs[..., None], corner], axis=-1)
        return t + 1, position, velocity, places.write(t, place)

    *_, places = tf.while_loop(
        lambda t, *_: t < mnist.frames,
        step,
        (0, draws[..., 1:3], velocity, tf.TensorArray(tf.int32, mnist.frames)),
        maximum_iterations=mnist.frames,
    )
    return tf.transpose(places.stack(), (1, 0, 2, 3))


def _uniform(mnist, indices):
    """`draw.uniform`, `[n, digits, numbers of a digit]`."""
    bits = random_bits(
        mnist.seed,
        tf.cast(indices, tf.uint64),
        mnist.digits * mnist.draws_per_digit,
        tf.bitwise.right_shift,
    )
    bits = tf.bitwise.right_shift(bits, np.uint64(11))
    shape = (-1, mnist.digits, mnist.draws_per_digit)
    return tf.reshape(tf.cast(bits, tf.float64) * 2.0**-53, shape)


def _pictures(mnist, pixels, places):
    """Draws glyphs: every pixel of a frame looks up its own of the glyph.

    Args:
        mnist: a `MovingMNIST`.
        pixels: uint8, an empty pixel and then all glyphs.
        places: as `_places` returns them.

    Returns:
        uint8, `[n, frames, size, size]`.
    """
    _, height, width = mnist.glyphs.shape
    glyph, top, left = tf.unstack(places[..., None], axis=-2)
    row = tf.range(mnist.size) - top
    column = tf.range(mnist.size) - left
    # Outside of the glyph, low enough for every sum to be below 0.
    outside = -len(pixels)
    row = tf.where(
        (row >= 0) & (row < height),
        1 + (glyph * height + row) * width,
        outside,
    )
    column = tf.where((column >= 0) & (column < width), column, outside)
    at = row[..., :, None] + column[..., None, :]
    digits = [
        tf.gather(pixels, tf.maximum(of_digit, 0))
        for of_digit in tf.unstack(at, axis=2)
    ]
    return functools.reduce(tf.maximum, digits)
