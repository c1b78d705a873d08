"""Files as torch.save wrote them until 2020, without torch."""

import io
import pickle
import struct
import sys
import types


class Reference:
    """A pickled call of any function."""

    def __init__(self, function, *arguments):
        self._reduced = function, arguments

    def __reduce__(self):
        return self._reduced


def modules():
    """As much of torch as its first file format refers to."""
    torch = types.ModuleType("torch")
    utils = types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage"):
        kind = type(name, (), {"__module__": "torch", "__qualname__": name})
        setattr(torch, name, kind)

    def rebuild(*arguments):
        raise AssertionError("only its name is pickled")

    rebuild.__module__ = "torch._utils"
    rebuild.__qualname__ = rebuild.__name__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    return {"torch": torch, "torch._utils": utils}


class _Pickler(pickle.Pickler):
    def persistent_id(self, item):
        return item.key if isinstance(item, Stored) else None


class Stored:
    def __init__(self, key):
        self.key = key


def write_tensors(path, torch, tensors, **others):
    """What torch.save wrote until 2020."""
    values = dict(others)
    for name, array in tensors.items():
        kind = {"f": torch.FloatStorage, "i": torch.LongStorage}
        stored = Stored(
            ("storage", kind[array.dtype.kind], name, "cpu", array.size, None)
        )
        strides = tuple(s // array.itemsize for s in array.strides)
        values[name] = Reference(
            sys.modules["torch._utils"]._rebuild_tensor_v2,
            *(stored, 0, array.shape, strides, False, {}),
        )
    with open(path, "wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {}, values, [*tensors]):
            buffer = io.BytesIO()
            _Pickler(buffer, 2).dump(part)
            file.write(buffer.getvalue())
        for array in tensors.values():
            file.write(struct.pack("<q", array.size) + array.tobytes("A"))
    return path
