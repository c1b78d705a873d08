"""Where the records of a dataset are, so that any of them can be read.

A dataset's records.npy is int64, `[records, 4]`: for each record the index of
its shard in info.json's list, its offset in the shard, its size there in bytes,
and its number of frames. Records are in the order of the shards, and within a
shard in the order of the file.
"""

import concurrent.futures
import contextlib
import functools
import itertools
import os
import pathlib

import numpy as np
import tensorflow as tf

from video_repr.data.features import FRAMES
from video_repr.errors import InputError
from video_repr.files import sha256
from video_repr.files import whole_file

FILE = "records.npy"
SHARD, OFFSET, BYTES, FRAMES_OF = range(4)
# In a TFRecord file a record has its length and a checksum before it, and
# another checksum after it.
_BEFORE, _AROUND = 12, 16
# Reads and checks at the same time.
_AT_ONCE = 8


def table_of(shards):
    """The content of records.npy.

    Args:
        shards: for each shard, pairs of the bytes and frames of its records.
    """
    tables = []
    for number, records in enumerate(shards):
        sizes, frames = np.array(list(records), np.int64).reshape(-1, 2).T
        offsets = np.cumsum(sizes) - sizes
        of_shard = np.full_like(sizes, number)
        tables.append(np.stack([of_shard, offsets, sizes, frames], axis=1))
    return np.concatenate(tables)


def find_records(path, shards, fingerprint):
    """The content of a dataset's records.npy, made if it has none.

    Datasets made before 0.2 have none. The new file is kept in the dataset, or
    in the user's cache folder if the dataset is read-only.

    Args:
        path: of the dataset directory, a `pathlib.Path`.
        shards: info.json's list of them.
        fingerprint: the dataset's.

    Raises:
        InputError: if it has to be made, and a shard is damaged.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    kept = pathlib.Path(caches, "video_repr", "records")
    files = path / FILE, kept / f"{fingerprint}.npy"
    for file in files:
        with contextlib.suppress(OSError, ValueError), open(file, "rb") as f:
            table = np.lib.format.read_array(f, allow_pickle=False)
            if _fits(table, shards):
                return table
    print(f"{path}: looking up where its records are, once.", flush=True)
    table = table_of(_look_up(path, shard) for shard in shards)
    for file in files:
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as partial, open(partial, "wb") as f:
                np.save(f, table)
            break
    return table


def _look_up(path, shard):
    file = path / shard["name"]
    check(file, shard["sha256"])
    frames = tf.io.FixedLenFeature((), tf.int64)

    def look_at(record):
        found = tf.io.parse_single_example(record, {FRAMES: frames})
        return tf.strings.length(record) + _AROUND, found[FRAMES]

    records = tf.data.TFRecordDataset(str(file)).map(look_at)
    return records.as_numpy_iterator()


def _fits(table, shards):
    """Whether records fill their shards without a gap."""
    if table.dtype != np.int64 or table.shape != (len(table), 4):
        return False
    shard, offsets, sizes, frames = table.T
    ends = offsets + sizes
    lasts = np.flatnonzero(np.diff(shard, append=len(shards)))
    firsts = np.roll(lasts + 1, 1) % max(1, len(table))
    return bool(
        np.array_equal(shard[lasts], range(len(shards)))
        and np.array_equal(ends[lasts], [s["bytes"] for s in shards])
        and (offsets[firsts] == 0).all()
        and np.array_equal(np.delete(offsets, firsts), np.delete(ends, lasts))
        and (frames > 0).all()
    )


@contextlib.contextmanager
def opened(path, shards, table):
    """Opens shards to read records from, several at once.

    Args:
        path: of the dataset directory, a `pathlib.Path`.
        shards: dict from a shard's number to its entry in info.json.
        table: content of records.npy.

    Yields:
        A function that takes the numbers of records and returns their bytes.

    Raises:
        InputError: if a shard is damaged.
    """
    with contextlib.ExitStack() as stack:
        # Python waits for neither disks nor checksums in its lock.
        pool = stack.enter_context(
            concurrent.futures.ThreadPoolExecutor(_AT_ONCE)
        )
        names = {number: path / s["name"] for number, s in shards.items()}
        sums = [shard["sha256"] for shard in shards.values()]
        # A list, for the error of a damaged one.
        list(pool.map(check, names.values(), sums))
        files = {}
        for number, file in names.items():
            # Unbuffered: records lie far apart.
            files[number] = stack.enter_context(open(file, "rb", buffering=0))
            if hasattr(os, "posix_fadvise"):
                # All of it will be read, in random order.
                os.posix_fadvise(
                    files[number].fileno(), 0, 0, os.POSIX_FADV_WILLNEED
                )

        def read_some(rows):
            return [
                os.pread(files[shard].fileno(), size - _AROUND, start + _BEFORE)
                for shard, start, size, _ in rows.tolist()
            ]

        def read(records):
            found = np.empty(len(records), object)
            parts = pool.map(
                read_some, np.array_split(table[records], _AT_ONCE)
            )
            found[:] = [*itertools.chain.from_iterable(parts)]
            return found

        yield read


@functools.cache
def _sum_of(name, size, modified):
    return sha256(name)


def check(path, expected):
    """Verifies a shard's checksum, once a process.

    Args:
        path: of the shard, a `pathlib.Path`.
        expected: hexadecimal SHA-256.

    Raises:
        InputError: if it differs.
    """
    status = path.stat()
    if _sum_of(str(path), status.st_size, status.st_mtime_ns) != expected:
        raise InputError(
            f"Expected {path} as it was written. Received: other bytes"
        )
