"""Fills shards from parts.

The hash of a record's id determines its shard and its place there, so the bytes
do not depend on the runner.

    STAGING/shards/NAME           a finished shard
    STAGING/done/NAME.json        its checksum; written last
"""

import collections
import contextlib
import hashlib
import itertools
import json
import uuid

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from pipelines.storage import create
from pipelines.storage import read_json
from pipelines.storage import write_whole
from pipelines.transforms.parts import hash_of
from pipelines.transforms.parts import part_path

_OPEN_PARTS = 64


class FillShards(beam.PTransform):
    """Fills shards with the records of sources whose parts are finished.

    Args:
        staging: folder of the job.
        name: name of the dataset.
        shards: number of shards of each split.
    """

    def __init__(self, staging, name, shards):
        super().__init__()
        self._arguments = staging, name, shards

    def expand(self, sources):
        staging, name, shards = self._arguments
        return (
            sources
            | "Find records" >> beam.FlatMap(_records, staging, shards)
            | "Group by shard" >> beam.GroupByKey()
            | "Write shard" >> beam.Map(_write_shard, staging, name, shards)
        )


def _records(source, staging, shards):
    split = source.split
    path = part_path(staging, source.media_id)
    for record in read_json(f"{path}.json")["records"]:
        key = hash_of(record["id"])
        shard = int(key[:15], 16) % shards[split]
        yield (
            (split, shard),
            (
                key,
                record["id"],
                path,
                record["offset"],
                record["bytes"],
                record["frames"],
            ),
        )


def shard_name(name, split, shard, shards):
    """File name of a shard."""
    return f"{name}-{split}-{shard:05}-of-{shards[split]:05}.tfrecord"


def _write_shard(shard, staging, name, shards):
    key, records = shard
    file_name = shard_name(name, *key, shards)
    path = FileSystems.join(staging, "shards", file_name)
    done = FileSystems.join(staging, "done", f"{file_name}.json")
    # The shard is gone if a job was killed after delivering it.
    if FileSystems.exists(done) and FileSystems.exists(path):
        return file_name
    records = sorted(records)
    for before, after in itertools.pairwise(records):
        if before[0] == after[0]:
            raise ValueError(
                "Expected each clip's id once. Received: "
                f"{before[1]!r} in {before[2]} and in {after[2]}"
            )
    digest, size = hashlib.sha256(), 0
    # Not in shards/, or the partial file of a killed job would be delivered.
    partial = FileSystems.join(staging, "parts", f"{uuid.uuid4().hex}.partial")
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(create(partial))
        parts = stack.enter_context(_OpenParts())
        for _, _, part, offset, length, _ in records:
            data = parts.read(f"{part}.tfrecord", offset, length)
            out.write(data)
            digest.update(data)
            size += length
    FileSystems.rename([partial], [path])
    summary = {
        "name": file_name,
        "split": key[0],
        "clips": len(records),
        "bytes": size,
        "sha256": digest.hexdigest(),
        # For records.npy.
        "records": [(length, frames) for *_, length, frames in records],
    }
    write_whole(done, json.dumps(summary).encode())
    return file_name


class _OpenParts:
    """Files for random access; those used last are kept open."""

    def __enter__(self):
        self._files = collections.OrderedDict()
        return self

    def __exit__(self, *_):
        for file in self._files.values():
            file.close()

    def read(self, path, offset, length):
        if path in self._files:
            self._files.move_to_end(path)
        else:
            self._files[path] = FileSystems.open(
                path, compression_type="uncompressed"
            )
        if len(self._files) > _OPEN_PARTS:
            self._files.popitem(last=False)[1].close()
        file = self._files[path]
        file.seek(offset)
        data = file.read(length)
        if len(data) != length:
            raise OSError(f"{path} is shorter than its summary says")
        return data
