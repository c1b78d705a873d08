"""Records into parts, parts into shards.

A source's records go into a part of its own, whole or absent. Shards are then
filled from the parts: which shard a record goes to, and its place there, are
those of its id's hash. So the bytes do not depend on the engine, no record
waits in memory, and what is done is not done again.

    STAGING/parts/HASH.tfrecord   the records of a source, if there are any
    STAGING/parts/HASH.json       what is in it; written last
    STAGING/shards/NAME           a finished shard
    STAGING/done/NAME.json        its checksum; written last
"""

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json
import struct
import uuid

import apache_beam as beam
import google_crc32c
import numpy as np
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from pipelines.sources import Source
from pipelines.sources import described
from pipelines.transforms.decode import attempt
from video_repr.data.features import Clip
from video_repr.data.features import Features
from video_repr.data.film import Decoded

_OPEN_PARTS = 64


def frame_record(data):
    """A record as it stands in a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _checksum(length), data, _checksum(data)))


def _checksum(data):
    crc = google_crc32c.value(data)
    return struct.pack(
        "<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    )


def hash_of(text):
    """Hexadecimal hash of a name: the order of everything written."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_whole(path, data):
    """Writes a small file, not an empty one, that is whole or absent."""
    partial = f"{path}.{uuid.uuid4().hex}.partial"
    with _create(partial) as file:
        file.write(data)
    FileSystems.rename([partial], [path])


def _create(path):
    # Beam would compress by the name's ending.
    return FileSystems.create(
        path,
        mime_type="application/octet-stream",
        compression_type="uncompressed",
    )


def read_json(path):
    """The JSON of a file."""
    with FileSystems.open(path, compression_type="uncompressed") as file:
        return json.loads(file.read())


@dataclasses.dataclass
class Moments:
    """Sums that give the statistics of values.

    Attributes:
        count: number of values of each channel.
        sums: `[channels]`, and their squares' in `squares`.
        minimum: of all values, and `maximum`.
        zeros: number of values that are 0.
    """

    count: int = 0
    sums: np.ndarray | int = 0
    squares: np.ndarray | int = 0
    minimum: float = np.inf
    maximum: float = -np.inf
    zeros: int = 0

    def add(self, values, channels):
        """Adds values whose last axis is that of the channels."""
        rows = values.reshape(-1, channels)
        if rows.dtype == np.uint8:
            self._add_pixels(rows)
            return
        rows = rows.astype(np.float64)
        self.count += len(rows)
        self.sums = self.sums + rows.sum(axis=0)
        self.squares = self.squares + (rows * rows).sum(axis=0)
        self.minimum = min(self.minimum, float(rows.min()))
        self.maximum = max(self.maximum, float(rows.max()))
        self.zeros += int((rows == 0).sum())

    def _add_pixels(self, rows):
        # Exact, so that the order of the sums does not matter.
        counts = np.stack([np.bincount(c, minlength=256) for c in rows.T])
        pixels = np.arange(256)
        self.count += len(rows)
        self.sums = self.sums + counts @ pixels
        self.squares = self.squares + counts @ pixels**2
        seen = np.flatnonzero(counts.sum(axis=0))
        self.minimum = min(self.minimum, float(seen[0]))
        self.maximum = max(self.maximum, float(seen[-1]))
        self.zeros += int(counts[:, 0].sum())

    def merge(self, other):
        """Adds what another has counted."""
        self.count += other.count
        self.sums = self.sums + other.sums
        self.squares = self.squares + other.squares
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.zeros += other.zeros

    def to_dict(self):
        values = dataclasses.asdict(self)
        for name in ("sums", "squares"):
            values[name] = np.asarray(values[name]).tolist()
        return values

    @classmethod
    def from_dict(cls, values):
        arrays = {n: np.asarray(values[n]) for n in ("sums", "squares")}
        return cls(**{**values, **arrays})


class Part:
    """Writes the records of a source.

    Args:
        staging: folder of the job.
        source: a `Source`.
        features: `Features` of the records.
    """

    def __init__(self, staging, source: Source, features: Features):
        self.source = source
        self.decoded = Decoded()
        self._features = features
        self._path = part_path(staging, source.media_id)
        # An engine may have given the source to two workers.
        self._partial = f"{self._path}.{uuid.uuid4().hex}.partial"
        self._file = None
        self._records = []
        self._offset = 0
        self._moments = Moments()
        # Of what has no file of its own.
        self._values = None if source.row is None else hashlib.sha256()

    def add(self, clip: Clip):
        """Writes a clip's record."""
        record = frame_record(self._features.serialize(clip))
        if self._file is None:
            # Not sooner: Beam writes no empty files to s3://.
            self._file = _create(self._partial)
        self._file.write(record)
        self._records.append(
            {
                "id": clip.id,
                "offset": self._offset,
                "bytes": len(record),
                "frames": len(clip.values),
            }
        )
        self._offset += len(record)
        shape = self._features.frame_shape
        channels = shape[2] if len(shape) == 3 else 1
        self._moments.add(clip.values, channels)
        if self._values is not None:
            self._values.update(clip.values.tobytes())
        _count("clips")

    def close(self, failure=None, **about):
        """Ends the part.

        Args:
            failure: why the source cannot be used; None if it could. One
                without any record has failed.
            **about: what else to tell of the source.
        """
        if self._file is not None:
            self._file.close()
            FileSystems.rename([self._partial], [f"{self._path}.tfrecord"])
        decoded = self.decoded
        wanted = not decoded.left_out
        if failure is None and not self._records and wanted:
            failure = "no clip came of it"
            if decoded.problems:
                failure += f": {'; '.join(decoded.problems)}"
        elif failure is not None and self._records:
            # What was read before is kept.
            decoded.problems.append(failure)
            failure = None
        _count("frames", decoded.frames)
        _count("failures" if failure else "videos")
        if self._values is not None and self._records:
            about["values_sha256"] = self._values.hexdigest()
        summary = {
            "media_id": self.source.media_id,
            "path": self.source.path,
            "group": self.source.group,
            "failure": failure,
            "problems": decoded.problems,
            "frames": decoded.frames,
            **about,
            "moments": self._moments.to_dict(),
            "records": self._records,
        }
        write_whole(f"{self._path}.json", json.dumps(summary).encode())


def part_path(staging, media_id):
    """Where the part of a source lies, without its ending."""
    return FileSystems.join(staging, "parts", hash_of(media_id)[:32])


def _count(name, number=1):
    Metrics.counter("video_repr", name).inc(number)


def leave_out(staging, source, features):
    """Writes the part of a source of which no clips are wanted."""
    part = Part(staging, source, features)
    part.decoded.left_out = 1
    part.decoded.problems.append(source.left_out)
    about, failure = described(source)
    part.close(failure, **about)


class WriteParts(beam.DoFn):
    """Sources into parts, one by one.

    Args:
        reader: has `clips(source, decoded)`, which yields the `Clip`s of a
            source and fills a `Decoded`.
        features: `Features` of the records.
        staging: folder of the job.
    """

    def __init__(self, reader, features, staging):
        self._reader = reader
        self._features = features
        self._staging = staging

    def process(self, source):
        part = Part(self._staging, source, self._features)
        about, failure = described(source)
        clips = iter(
            () if failure else self._reader.clips(source, part.decoded)
        )
        while failure is None:
            clip, failure = attempt(clips)
            if clip is None:
                break
            part.add(clip)
        part.close(failure, **about)
        yield source.media_id


class FillShards(beam.PTransform):
    """Sources whose parts are finished into shards.

    Args:
        staging: folder of the job.
        name: of the dataset.
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
    # It is gone where a job was killed after it had been delivered.
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
    # Not among the shards, where one that was killed would be delivered.
    partial = FileSystems.join(staging, "parts", f"{uuid.uuid4().hex}.partial")
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(_create(partial))
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
    """Files that are read here and there, the last used kept open."""

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
