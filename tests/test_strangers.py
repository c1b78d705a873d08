"""Files of others: however they are broken, a sentence or what they hold."""

import gzip
import json
import pathlib
import re
import struct
import sys

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import torch_files
from torch_files import write_tensors

from pipelines import import_features
from video_repr import arrays
from video_repr import configs
from video_repr.data import ClipDataset
from video_repr.data import features as fields
from video_repr.data.digits import load_digits
from video_repr.data.features import Clip
from video_repr.data.features import Features
from video_repr.errors import InputError
from video_repr.export import layout
from video_repr.files import sha256
from video_repr.models import torch_weights
from video_repr.runs import Run

_ENDS = (
    b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f", b"\0\0\0\x80",
    b"\0\0\0\0\0\0\0\x10",
)  # fmt: skip


def mutated(data, rng):
    """Bytes that were cut, flipped, lost, put in, or are another's size."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, other = (int(n) for n in rng.integers(len(data) or 1, size=2))
        few = int(rng.integers(1, 20))
        match rng.integers(7):
            case 0:
                del data[at:]
            case 1:
                data[at : at + 1] = rng.bytes(1)
            case 2:
                del data[at : at + few]
            case 3:
                data[at:at] = rng.bytes(few)
            case 4:
                end = _ENDS[rng.integers(len(_ENDS))]
                data[at : at + len(end)] = end
            case 5:
                data[other : other + few] = data[at : at + few]
            case 6 if data:
                data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


_STRANGE = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**30, 0.5, float("nan"),
    float("inf"), "", "../x", "/etc/passwd", "x" * 300, "\0", "\ud800", "..",
    [], {}, [[]], [1, 2], {"a": 1},
)  # fmt: skip


def mutated_json(data, rng):
    """JSON in which something is missing or of another kind."""
    if rng.integers(4) == 0:
        return mutated(data, rng)
    whole = {"": json.loads(data)}
    for _ in range(rng.integers(1, 3)):
        found = list(places(whole))
        inside, key = found[rng.integers(len(found))]
        if inside is not whole and rng.integers(3) == 0:
            del inside[key]
        else:
            inside[key] = _STRANGE[rng.integers(len(_STRANGE))]
    return json.dumps(whole[""]).encode()


def places(found):
    """Each object or list of a JSON, with each key that it has."""
    keys = range(len(found)) if isinstance(found, list) else found
    for key in list(keys):
        yield found, key
        if isinstance(found[key], (dict, list)):
            yield from places(found[key])


# Of each kind: makes a whole file below a folder, and returns it and a
# function that reads what there is of it as arrays.


def npy(folder, rng):
    np.save(folder / "x.npy", rng.random((5, 3, 7), np.float32))
    return folder / "x.npy", lambda path: [
        arrays.read_npy(path),
        arrays.read_npy(path, mapped=True),
    ]


def npz(folder, rng, save=np.savez):
    save(folder / "x.npz", a=rng.random((5, 7)), b=rng.integers(9, size=3))
    return folder / "x.npz", lambda path: arrays.read_npz(path).values()


def compressed(folder, rng):
    return npz(folder, rng, np.savez_compressed)


def hdf5(folder, rng, version="earliest", **options):
    with h5py.File(folder / "x.h5", "w", libver=version) as file:
        for name in ("a", "group/b"):
            values = rng.random((4, 7), np.float32)
            file.create_dataset(name, data=values, **options)

    def read(path):
        file = arrays.Hdf5(path)
        return [file.read(name) for name in file.shapes]

    return folder / "x.h5", read


def hdf5_in_chunks(folder, rng):
    return hdf5(folder, rng, chunks=True, compression="gzip")


def hdf5_of_today(folder, rng):
    return hdf5(folder, rng, "latest", chunks=True, shuffle=True)


def torch(folder, rng):
    whole = torch_files.modules()
    with pytest.MonkeyPatch.context() as patched:
        for name, module in whole.items():
            patched.setitem(sys.modules, name, module)
        tensors = {
            "a": rng.random((5, 3), np.float32),
            "turned": np.asfortranarray(rng.random((4, 7), np.float32)),
            "count": np.array(7),
        }
        write_tensors(folder / "x.pth", whole["torch"], tensors)
    return folder / "x.pth", lambda path: torch_weights.read(path).values()


def idx(folder, rng, pack=bytes, ending=""):
    images = rng.integers(0, 256, (12, 4, 4), np.uint8)
    data = pack(
        b"\0\0\x08\x03" + struct.pack(">3I", 12, 4, 4) + images.tobytes()
    )
    for name in ("train-images", "t10k-images"):
        file = folder / f"{name}-idx3-ubyte{ending}"
        file.write_bytes(data)
    return file, lambda path: [load_digits(str(path.parent)).test]


def idx_gz(folder, rng):
    return idx(folder, rng, gzip.compress, ".gz")


def checkpoint(folder, rng):
    run = Run(folder)
    run.last.parent.mkdir()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    run.save(model, run.last, 3)
    return run.last, lambda path: [np.asarray(run.epochs(path))]


def table(folder, rng):
    (folder / "index.csv").write_text(
        "clip,label,group,split\n"
        'a,run,g1,train\n"b, ""c""",walk,g2,test\nd,run,g3,validation\n'
    )

    def read(path):
        found = import_features.read_index(path, "x.npy").sources
        assert all(s.media_id and s.label and s.group for s in found)
        return [np.zeros(len(found))]

    return folder / "index.csv", read


def dataset(folder, rng, name="info.json"):
    features = Features(fields.IMAGE, (4, 6, 3), ("a", "b"))
    file = folder / "d-train-00000-of-00001.tfrecord"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for number in range(2):
            values = rng.integers(0, 256, (5, 4, 6, 3), np.uint8)
            clip = Clip(f"c{number}", values, "f", 0, f"{number}", "g", "a")
            writer.write(features.serialize(clip))
    shard = {
        **{"name": file.name, "split": "train", "sha256": sha256(file)},
        "bytes": file.stat().st_size,
    }
    frames = {"min": 5, "max": 5}
    source = {"media_id": "0", "split": "train", "clips": 1}
    info = {
        "splits": {"train": {"clips": 2, "frames": frames, "mean": [0.5]}},
        "shards": [shard],
        "sources": [{**source, "clip_frames": frames}],
    }
    (folder / "info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(json.dumps(features.to_dict()))
    (folder / "COMPLETED").touch()

    def read(path):
        found = ClipDataset(path.parent)
        for split in found.info["splits"]:
            clips = found.clips(split, labels=True)
            yield from (clip for clip, _ in clips.as_numpy_iterator())

    return folder / name, read


def dataset_features(folder, rng):
    return dataset(folder, rng, "features.json")


def config(folder, rng):
    values = configs.load("demo").to_dict()
    (folder / "config.json").write_text(json.dumps(values))

    def read(path):
        Run(path.parent).config()
        return []

    return folder / "config.json", read


def metrics(folder, rng):
    line = {"step": 1, "sequences": 2, "seconds": 3.0, "loss": 4.0}
    (folder / "metrics.jsonl").write_text(
        f"{json.dumps({**line, 'val_loss': 5.0})}\n" * 3
    )

    def read(path):
        Run(path.parent).metrics()
        return []

    return folder / "metrics.jsonl", read


def sums(folder, rng):
    (folder / "variables").mkdir()
    for name in ("saved_model.pb", "encoder.keras", "variables/a"):
        (folder / name).write_bytes(rng.bytes(9))
    layout.write_config(folder, {})
    layout.seal(folder)

    def read(path):
        layout.check(path.parent)
        return []

    return folder / "SHA256SUMS", read


_KINDS = (
    npy, npz, compressed, hdf5, hdf5_in_chunks, hdf5_of_today, torch, idx,
    idx_gz, checkpoint, table, metrics, sums,
)  # fmt: skip
_JSON = (dataset, dataset_features, config)


def peak(anew=False):
    """The most memory that this process has had, kB; from now on if anew."""
    if anew:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def check(kind, folder, rng, count):
    file, read = kind(folder, rng)
    whole = file.read_bytes()
    assert all(array.size for array in read(file))
    mutate = mutated_json if kind in _JSON else mutated
    before = peak(anew=True)
    refused = 0
    for number in range(count):
        file.write_bytes(mutate(whole, rng))
        # What ended the process is then looked at there.
        (folder / "tried").write_bytes(file.read_bytes())
        try:
            for array in read(file):
                assert np.asarray(array).nbytes < 1e6
        except InputError as error:
            assert "Expected" in str(error), number
            assert "Received" in str(error), number
            assert len(str(error)) < 2000, number
            refused += 1
        except tf.errors.OpError:
            assert kind in _JSON, number
            refused += 1
    # In kB: none of these files has more than 20.
    assert peak() - before < 200_000
    assert refused > count // 5


@pytest.mark.parametrize("kind", [*_KINDS, *_JSON], ids=lambda k: k.__name__)
def test_a_broken_file_is_a_sentence(kind, tmp_path, rng):
    check(kind, tmp_path, rng, 20)


@pytest.mark.hard
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [*_KINDS, *_JSON], ids=lambda k: k.__name__)
def test_thousands_of_broken_files(kind, tmp_path, seed):
    # Those that TensorFlow reads take longer.
    count = 150 if kind in (dataset, dataset_features) else 2000
    check(kind, tmp_path, np.random.default_rng(seed), count)
