"""Reads tensors that torch.save wrote in its first format, without torch.

Such a file is five pickles and then raw storages. A pickle is a program for a
stack machine that can call anything. This reader follows only the instructions
that data need, recognises two functions by name, and never calls anything.
"""

import io
import math
import pathlib
import pickletools
import struct
from typing import NamedTuple

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
_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_NAMES = {_DICT, _TENSOR, *(f"torch {name}" for name in _TYPES)}
# Instructions that put their own argument on the stack.
_VALUES = {
    "BINFLOAT", "BININT", "BININT1", "BININT2", "BINSTRING", "BINUNICODE",
    "LONG1", "LONG4", "SHORT_BINSTRING",
}  # fmt: skip
_CONSTANTS = {
    "EMPTY_TUPLE": (), "NEWFALSE": False, "NEWTRUE": True, "NONE": None
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name(NamedTuple):
    name: str


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple

    def array(self, values):
        """The tensor in the values of its storage."""
        if math.prod(self.shape) > values.size:
            raise ValueError("a tensor is larger than its storage")
        size = values.itemsize
        # NumPy raises an error for a view beyond the buffer.
        return np.ndarray(
            self.shape,
            values.dtype,
            values.data,
            self.offset * size,
            [stride * size for stride in self.strides],
        ).copy()


def _unpickle(file):
    """The content of the pickle at a file's position; reads to its end."""
    stack, marks, memo = [], [], {}

    def since_mark():
        place = marks.pop()
        found = stack[place:]
        del stack[place:]
        return found

    for code, argument, _ in pickletools.genops(file):
        match code.name:
            case "PROTO":
                pass
            case "MARK":
                marks.append(len(stack))
            case name if name in _VALUES:
                stack.append(argument)
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case name if name in _TUPLES:
                found = tuple(stack[-_TUPLES[name] :])
                del stack[-_TUPLES[name] :]
                stack.append(found)
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _put(stack[-1], [(key, value)])
            case "SETITEMS":
                found = since_mark()
                pairs = zip(found[::2], found[1::2], strict=True)
                _put(stack[-1], pairs)
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                found = since_mark()
                stack[-1].extend(found)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                if argument not in _NAMES:
                    raise ValueError(f"it wants {argument.replace(' ', '.')}")
                stack.append(_Name(argument))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_made(function, arguments))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "BUILD":
                # The state of an OrderedDict: versions of modules.
                stack.pop()
            case "STOP":
                return stack.pop()
            case name:
                raise ValueError(f"it has the instruction {name}")


def _made(function, arguments):
    if function == _Name(_TENSOR):
        storage, offset, shape, strides, *_ = arguments
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor has no storage")
        return _Tensor(storage, offset, shape, strides)
    if function != _Name(_DICT):
        raise ValueError("it calls what is no function")
    made = {}
    # Python 2 gives the items here, later ones put them in.
    for items in arguments:
        _put(made, items)
        # A small file must not multiply them.
        items.clear()
    return made


def _put(made, pairs):
    for key, value in pairs:
        # Hashing a deeply nested key would crash the process.
        if not isinstance(key, (int, str)):
            raise ValueError(f"a dict has a {type(key).__name__} for a key")
        made[key] = value


def _storage(found):
    kind, name, key, _, size, *_ = found
    if kind != "storage" or not isinstance(name, _Name):
        raise ValueError("it wants what is no storage")
    if not isinstance(key, str) or not isinstance(size, int):
        raise ValueError("a storage has no name or no size")
    return _Storage(key, _TYPES[name.name.removeprefix("torch ")], size)


def _read_storages(file, storages, keys):
    """The values of each storage; they lie one after the other."""
    data, values = file.getbuffer(), {}
    for key in keys:
        storage = storages[key]
        (size,) = struct.unpack("<q", file.read(8))
        if size != storage.size or size < 0:
            raise ValueError("a storage has another size")
        begin = file.tell()
        end = begin + size * storage.dtype.itemsize
        if end > len(data):
            raise ValueError("it ends within a storage")
        values[key] = np.frombuffer(data[begin:end], storage.dtype)
        file.seek(end)
    return values


def read(path):
    """The tensors of a file.

    Args:
        path: a file of a dict of tensors.

    Returns:
        A dict of NumPy arrays.

    Raises:
        InputError: if the file holds anything but tensors, or is broken.
    """
    try:
        file = io.BytesIO(pathlib.Path(path).read_bytes())
        if _unpickle(file) != _MAGIC:
            raise ValueError("it is not in torch's first format")
        for _ in ("version", "system"):
            _unpickle(file)
        tensors, keys = _unpickle(file), _unpickle(file)
        for name, tensor in tensors.items():
            if not isinstance(tensor, _Tensor):
                raise ValueError(f"it holds {type(tensor).__name__} {name!r}")
        storages = {}
        for storage, *_ in tensors.values():
            if storages.setdefault(storage.key, storage) != storage:
                raise ValueError("a storage has two sizes or types")
        values = _read_storages(file, storages, keys)
        return {
            name: tensor.array(values[tensor.storage.key])
            for name, tensor in tensors.items()
        }
    except Exception as error:
        # A broken file can raise any exception.
        reason = str(error)
        if not isinstance(error, (OSError, ValueError)):
            reason = f"it is broken ({type(error).__name__}: {error})"
        raise InputError(
            f"Expected tensors as torch.save wrote them until 2020. Received: "
            f"{path}: {reason:.200}"
        ) from error
