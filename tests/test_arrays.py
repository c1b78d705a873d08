"""Arrays from files of others."""

import os
import struct
import zipfile

import h5py
import numpy as np
import pytest

from video_repr import arrays
from video_repr.errors import InputError


def bomb(path, header):
    """An .npy file whose header promises more than there is."""
    np.save(path, np.zeros((2, 3), np.float32))
    data = path.read_bytes().replace(b"(2, 3)", header)
    length = data.index(b"\n") + 1 - 10
    path.write_bytes(data[:8] + struct.pack("<H", length) + data[10:])
    return path


@pytest.mark.parametrize(
    "shape", [b"(2, 4)", b"(1000000000000, 3)", b"(2, -3)", b"(4294967296,)*4"]
)
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_sizes_that_are_not_there(tmp_path, shape, ending):
    path = bomb(tmp_path / "a.npy", shape)
    read = arrays.read_npy
    if ending == "npz":
        read, npz = arrays.read_npz, tmp_path / "a.npz"
        with zipfile.ZipFile(npz, "w") as archive:
            archive.write(path, "a.npy")
        path = npz
    with pytest.raises(InputError, match=rf"whole \.{ending} file. Received"):
        read(path)


def test_what_is_no_file_of_arrays(tmp_path):
    (tmp_path / "text").write_text("no array")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("notes.txt", "no array")
    for name, reason in (
        ("text", "does not begin as such files do"),
        ("a.npz", "it is an archive of arrays"),
        ("objects.npy", "Object arrays cannot|Python objects"),
        ("none", "does not exist"),
    ):
        for mapped in (False, True):
            with pytest.raises(InputError, match=reason):
                arrays.read_npy(tmp_path / name, mapped=mapped)
    for name, reason in (
        ("text", "File is not a zip file"),
        ("cut.npz", "File is not a zip file"),
        ("other.npz", "it holds 'notes.txt', no array"),
        ("none", "No such file"),
        (".", "Is a directory"),
    ):
        with pytest.raises(InputError, match=reason):
            arrays.read_npz(tmp_path / name)


def opened():
    """Paths of the files that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return found


def test_no_file_stays_open(tmp_path, rng):
    values = rng.random((3, 4, 5))
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["group/a"] = values
        file["b"] = values[0]
    np.savez(tmp_path / "a.npz", a=values)
    found = arrays.Hdf5(path)
    assert found.shapes == {"group/a": (3, 4, 5), "b": (4, 5)}
    np.testing.assert_array_equal(found.read("group/a", 1), values[1])
    np.testing.assert_array_equal(found.read("b"), values[0])
    arrays.read_npz(tmp_path / "a.npz")
    assert not [name for name in opened() if name.startswith(str(tmp_path))]
    # It can be written, and what is read is what is there.
    with h5py.File(path, "a") as file:
        file["b"][:] = 7
    assert (found.read("b") == 7).all()
    path.unlink()
    with pytest.raises(InputError, match=r"whole \.h5 file. Received"):
        found.read("b")


def external(file, other):
    file.create_dataset("x", (4,), "f4", external=[(str(other), 0, 16)])


def virtual(file, other):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(other), "x", (4,))
    file.create_virtual_dataset("x", layout)


def sparse(file, other):
    file.create_dataset("x", (10**7, 10**3), "f4", chunks=(10, 10))


def text(file, other):
    file["x"] = ["a", "b"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (external, "'x' lies in another file"),
        (virtual, "'x' lies in another file"),
        (sparse, "'x' has no such size"),
        (text, "'x' holds object, no numbers"),
    ],
)
def test_hdf5_of_more_than_arrays(tmp_path, write, message):
    other = tmp_path / "other"
    other.write_bytes(b"0123456789abcdef")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file, other)
    with pytest.raises(InputError, match=message):
        arrays.Hdf5(tmp_path / "a.h5")
