"""Arrays from files that others wrote: .npy, .npz, .h5.

The readers raise any kind of error for a broken file; here each becomes an
`InputError` of one sentence.
"""

import contextlib
import math
import pathlib
import zipfile

import numpy as np

from video_repr.errors import InputError

_NPY = np.lib.format.MAGIC_PREFIX
# The best compression ratio, of zeros, by deflate and the other filters.
_COMPRESSED = 1100


@contextlib.contextmanager
def _reading(path, expected):
    try:
        yield
    except Exception as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"Expected {expected}. Received: {path}, which cannot be read: "
            f"{str(reason) or type(error).__name__:.200}"
        ) from error


def read_npy(path, expected="a whole .npy file", mapped=False):
    """The array of an .npy file.

    Args:
        path: of the file.
        expected: what it should be, for messages.
        mapped: whether to memory-map the array.

    Raises:
        InputError: if the file is missing, broken or holds objects.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(
            f"Expected {expected}. Received: {str(path)!r}, which does not "
            "exist"
        )
    with _reading(path, expected):
        with path.open("rb") as file:
            begin = file.read(len(_NPY))
        if begin.startswith(b"PK"):
            raise ValueError("it is an archive of arrays")
        if begin != _NPY:
            raise ValueError("it does not begin as such files do")
        return np.load(
            path, mmap_mode="r" if mapped else None, allow_pickle=False
        )


def read_npz(path, expected="a whole .npz file"):
    """The arrays of an .npz file by their names.

    Args:
        path: of the file.
        expected: what it should be, for messages.

    Raises:
        InputError: if the file is missing, broken or holds anything else.
    """
    arrays = {}
    with _reading(path, expected), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                raise ValueError(f"it holds {member.filename!r}, no array")
            if member.file_size > _COMPRESSED * (member.compress_size + 1):
                raise ValueError(f"{member.filename!r} has no such size")
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as file:
                arrays[name] = np.lib.format.read_array(
                    file, allow_pickle=False
                )
    return arrays


class Hdf5:
    """The datasets of an HDF5 file, which is open only while one is read.

    Args:
        path: of the file.
        expected: what it should be, for messages.

    Attributes:
        shapes: shape of each dataset by its name.

    Raises:
        InputError: if the file is missing, broken, holds no numbers, or
            keeps them in other files.
    """

    def __init__(self, path, expected="a whole .h5 file"):
        self._path, self._expected = path, expected
        self.shapes = {}
        with self._opened() as file:
            file.visititems(self._add)

    def read(self, name, row=()):
        """A dataset, or a row of it, as an array.

        Raises:
            InputError: if it cannot be read.
        """
        with self._opened() as file:
            return np.asarray(file[name][row])

    @contextlib.contextmanager
    def _opened(self):
        import h5py

        with (
            _reading(self._path, self._expected),
            h5py.File(self._path, "r") as file,
        ):
            yield file

    def _add(self, name, item):
        import h5py

        if not isinstance(item, h5py.Dataset):
            return
        if item.external or item.is_virtual:
            raise ValueError(f"{name!r} lies in another file")
        if item.dtype.kind not in "fiub":
            raise ValueError(f"{name!r} holds {item.dtype}, no numbers")
        # h5py would fill the size that a broken file claims with zeros.
        stored = item.id.get_storage_size()
        if math.prod(item.shape) * item.dtype.itemsize > _COMPRESSED * stored:
            raise ValueError(f"{name!r} has no such size")
        self.shapes[name] = item.shape
