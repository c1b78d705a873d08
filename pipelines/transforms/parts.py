"""Writes records into parts.

Each source has its own part for its records, which is whole or absent. So no
record waits in memory, and a resumed job does not repeat finished sources.

    STAGING/parts/HASH.tfrecord   the records of a source, if there are any
    STAGING/parts/HASH.json       its summary; written last
"""

import hashlib
import json
import struct
import uuid

import apache_beam as beam
import google_crc32c
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from pipelines.sources import Source
from pipelines.sources import attempt
from pipelines.sources import described
from pipelines.storage import create
from pipelines.storage import write_whole
from pipelines.transforms.moments import Moments
from video_repr.data.features import Clip
from video_repr.data.features import Features
from video_repr.data.film import Decoded


def frame_record(data):
    """A record in the format of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _checksum(length), data, _checksum(data)))


def _checksum(data):
    crc = google_crc32c.value(data)
    return struct.pack(
        "<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    )


def hash_of(text):
    """Hexadecimal hash of a name, which determines the order of records."""
    return hashlib.sha256(text.encode()).hexdigest()


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
        # A runner may have given the source to two workers.
        self._partial = f"{self._path}.{uuid.uuid4().hex}.partial"
        self._file = None
        self._records = []
        self._offset = 0
        self._moments = Moments()
        # For sources without a file of their own.
        self._values = None if source.row is None else hashlib.sha256()

    def add(self, clip: Clip):
        """Writes a clip's record."""
        record = frame_record(self._features.serialize(clip))
        if self._file is None:
            # Opened only now, as Beam cannot write empty files to s3://.
            self._file = create(self._partial)
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
            failure: why the source cannot be used; None if it can. A source
                without records has failed.
            **about: further entries for the summary.
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
            # Records that were read before are kept.
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
    """Path of the part of a source, without the ending."""
    return FileSystems.join(staging, "parts", hash_of(media_id)[:32])


def _count(name, number=1):
    Metrics.counter("video_repr", name).inc(number)


def leave_out(staging, source, features):
    """Writes the part of a source that is left out."""
    part = Part(staging, source, features)
    part.decoded.left_out = 1
    part.decoded.problems.append(source.left_out)
    about, failure = described(source)
    part.close(failure, **about)


class WriteParts(beam.DoFn):
    """Writes the parts of sources, one by one.

    Args:
        reader: object with `clips(source, decoded)`, which yields the `Clip`s
            of a source and fills a `Decoded`.
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
