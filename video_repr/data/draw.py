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

    SplitMix64 (Steele, Lea and Flood, 2014) over seed, index and position.
    NumPy may change the streams of its distributions in a future version, and
    has no vectorised way to make a stream per index.
    """
    with np.errstate(over="ignore"):
        key = _mix(np.uint64(seed % 2**64) + _GOLDEN)
        # Not symmetric: (seed, index) is not (index, seed).
        key = _mix(
            key + (indices.astype(np.uint64)[:, None] + np.uint64(1)) * _GOLDEN
        )
        counter = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        bits = _mix(key + counter)
    return (bits >> np.uint64(11)) * 2.0**-53


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _seed_of(names):
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:16], "little")
