"""Tensors from a file that torch.save wrote in its first format, no torch.

Such a file is five pickles and then raw storages. A pickle can run any code;
this reader knows the few names that tensors need and refuses all others.
"""

import collections
import pickle
import struct

import numpy as np

from video_repr.errors import InputError

_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


class _Storage:
    def __init__(self, dtype, size):
        self.dtype, self.size, self.values = dtype, size, None


class _Tensor:
    def __init__(self, storage, offset, shape, strides, *_):
        self._arguments = storage, offset, shape, strides

    def array(self):
        storage, offset, shape, strides = self._arguments
        ends = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
        if min((offset, *shape, *strides)) < 0:
            raise ValueError("a tensor has negative sizes")
        if 0 not in shape and offset + sum(ends) >= storage.size:
            raise ValueError("a tensor reaches beyond its storage")
        return np.lib.stride_tricks.as_strided(
            storage.values[offset:],
            shape,
            [s * storage.dtype.itemsize for s in strides],
        ).copy()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, storages):
        super().__init__(file)
        self._storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it wants {module}.{name}")

    def persistent_load(self, key):
        kind, dtype, name, _, size, *_ = key
        if kind != "storage" or dtype not in _TYPES.values():
            raise pickle.UnpicklingError(f"it wants {key!r}")
        return self._storages.setdefault(name, _Storage(dtype, size))


def read(path):
    """The tensors of a file.

    Args:
        path: a file of a dict of tensors.

    Returns:
        A dict of NumPy arrays.

    Raises:
        InputError: if the file holds anything but tensors, or is broken.
    """
    storages = {}
    try:
        with open(path, "rb") as file:
            if _Unpickler(file, storages).load() != _MAGIC:
                raise ValueError("it is not in torch's first format")
            for _ in ("version", "system"):
                _Unpickler(file, storages).load()
            tensors = _Unpickler(file, storages).load()
            for name in _Unpickler(file, storages).load():
                storage = storages[name]
                (size,) = struct.unpack("<q", file.read(8))
                data = file.read(size * storage.dtype.itemsize)
                if size != storage.size:
                    raise ValueError("a storage has another size")
                storage.values = np.frombuffer(data, storage.dtype, size)
        return {name: tensor.array() for name, tensor in tensors.items()}
    except Exception as error:
        # A broken pickle raises whatever its bytes make it raise.
        raise InputError(
            f"Expected tensors as torch.save wrote them until 2020. Received: "
            f"{path}: {str(error) or type(error).__name__}"
        ) from error
