"""records.npy: where the records are."""

import os
import pathlib
import threading

import numpy as np
import pytest
import tensorflow as tf
from record_data import clip_of
from record_data import write_dataset

from video_repr.data import ClipDataset
from video_repr.data import features as fields
from video_repr.data import records
from video_repr.data.features import Features
from video_repr.errors import InputError


@pytest.fixture
def made(rng, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    clips = [clip_of(rng.random((3 + n, 8), np.float32), n) for n in range(9)]
    path = tmp_path / "percepts"
    return write_dataset(path, Features(fields.RGB, (8,)), clips, 4), clips


@pytest.fixture
def looked_up(monkeypatch):
    """Shards that are looked up."""
    names, look_up = [], records._look_up
    monkeypatch.setattr(
        records,
        "_look_up",
        lambda path, shard: names.append(shard["name"]) or look_up(path, shard),
    )
    return names


def read_first(path):
    clips = ClipDataset(path).clips("train", clip_length=3, shuffle=True)
    return next(clips.as_numpy_iterator())


def test_what_is_found_is_what_is_there(made):
    path, clips = made
    table = ClipDataset(path).records
    shards = [clips[n::4] for n in range(4)]
    lengths = [len(clip.values) for shard in shards for clip in shard]
    assert table[:, records.FRAMES_OF].tolist() == lengths
    with records.opened(
        path, dict(enumerate(ClipDataset(path).info["shards"])), table
    ) as read:
        found = [
            ClipDataset(path).features.parse(record)["id"].numpy().decode()
            for record in read(np.arange(9))
        ]
    assert found == [clip.id for shard in shards for clip in shard]


def test_several_records_are_read_at_once(made, monkeypatch):
    path, _ = made
    pread, two = os.pread, threading.Barrier(2)

    def read_beside_another(*given):
        # Each waits for another one; alone it would fail.
        two.wait(timeout=60)
        return pread(*given)

    dataset = ClipDataset(path)
    shards = dict(enumerate(dataset.info["shards"]))
    with records.opened(path, shards, dataset.records) as read:
        one_by_one = [read(np.array([n]))[0] for n in range(8)]
        monkeypatch.setattr(os, "pread", read_beside_another)
        assert [*read(np.arange(8))] == one_by_one


def test_old_datasets_are_looked_up_once(made, looked_up, tmp_path):
    path, _ = made
    first = read_first(path)
    assert len(looked_up) == 4
    np.testing.assert_array_equal(read_first(path), first)
    assert len(looked_up) == 4
    assert (path / records.FILE).is_file()
    assert not (tmp_path / "caches").exists()


@pytest.mark.parametrize("also", ["", "caches"])
def test_where_nothing_can_be_written(
    made, looked_up, tmp_path, monkeypatch, also
):
    """Root may write to what is read-only: it is refused here by hand."""
    path, _ = made
    whole_file = records.whole_file

    def refused(file):
        for name in filter(None, (path.name, also)):
            if name in pathlib.Path(file).parts:
                raise PermissionError(13, "Permission denied", str(file))
        return whole_file(file)

    monkeypatch.setattr(records, "whole_file", refused)
    before = {file: file.stat().st_mtime_ns for file in path.iterdir()}
    first = read_first(path)
    np.testing.assert_array_equal(read_first(path), first)
    assert len(looked_up) == (8 if also else 4)
    assert before == {file: file.stat().st_mtime_ns for file in path.iterdir()}
    assert bool(list((tmp_path / "caches").rglob("*.npy"))) != bool(also)


@pytest.mark.parametrize("damage", ["cut off", "empty", "text", "other", "one"])
def test_what_does_not_fit_is_made_anew(made, looked_up, damage):
    path, _ = made
    first, file = read_first(path), path / records.FILE
    whole = file.read_bytes()
    table = np.load(file)
    if damage == "cut off":
        file.write_bytes(whole[:-9])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "text":
        file.write_text("clip,label\na,b\n")
    elif damage == "other":
        np.save(file, table[:-1])
    else:
        table[3, records.OFFSET] += 1
        np.save(file, table)
    np.testing.assert_array_equal(read_first(path), first)
    assert len(looked_up) == 8
    assert file.read_bytes() == whole


def test_shards_are_checked_before_they_are_looked_up(made):
    path, _ = made
    file = path / "d-train-00001-of-00004.tfrecord"
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"00001-of-00004\.tfrecord as it"):
        read_first(path)


@pytest.mark.parametrize("length", [3, 5])
def test_shards_are_checked_before_they_are_read(made, length):
    path, _ = made
    clips = ClipDataset(path).clips(
        "train", clip_length=length, shuffle=True, skip_shorter=True
    )
    list(clips)
    file = path / "d-train-00002-of-00004.tfrecord"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"00002-of-00004.tfrecord as it"
    ):
        list(clips)
