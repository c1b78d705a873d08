"""Random numbers that are the same on every machine."""

import hashlib

import numpy as np


def rng_of(*names):
    """A random generator that depends on names alone.

    It is the same on every machine and in every order of work.
    """
    return np.random.default_rng(_seed_of(names))


def permutation(count, *names):
    """The numbers below `count` in an order that depends on names alone.

    Unlike the numbers of `rng_of`, it is the same with every version of NumPy.
    """
    keys = uniform(_seed_of(names), np.arange(count), 1)[:, 0]
    return np.argsort(keys, kind="stable")


def uniform(seed, indices, count):
    """Uniform numbers in [0, 1) by hashing: `[len(indices), count]`.

    NumPy may change the streams of its distributions in a future version, and
    has no vectorised way to make a stream per index.
    """
    bits = random_bits(seed, indices.astype(np.uint64), count)
    return (bits >> np.uint64(11)) * 2.0**-53


def random_bits(seed, indices, count, shift_right=np.right_shift):
    """Random bits by hashing: uint64, `[len(indices), count]`.

    SplitMix64 (Steele, Lea and Flood, 2014) over seed, index and position.

    Args:
        seed: an integer.
        indices: uint64, `[n]`; an array, or a tensor with TensorFlow's
            `shift_right`.
        count: how many numbers for each index.
        shift_right: shifts an array or tensor by a number of bits.
    """
    with np.errstate(over="ignore"):
        key = _mix(np.uint64(seed % 2**64) + _GOLDEN, np.right_shift)
        # Not symmetric: (seed, index) is not (index, seed).
        key = _mix(
            (indices[:, None] + np.uint64(1)) * _GOLDEN + key, shift_right
        )
        counter = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        return _mix(key + counter, shift_right)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(z, shift_right):
    z = (z ^ shift_right(z, np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ shift_right(z, np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ shift_right(z, np.uint64(31))


def _seed_of(names):
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:16], "little")
