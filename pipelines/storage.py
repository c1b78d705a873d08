"""Access to Beam's file systems."""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import tempfile
import uuid


@functools.cache
def file_systems():
    """Beam's `FileSystems`, imported when they are first used.

    Importing Beam takes longer than reading and checking arguments.
    """
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    # Buckets need some options; an `Engine` with options sets its own.
    FileSystems.set_options(PipelineOptions([]))
    return FileSystems


def write_whole(path, data):
    """Writes a small file, whole or not at all; it must not be empty."""
    partial = f"{path}.{uuid.uuid4().hex}.partial"
    with create(partial) as file:
        file.write(data)
    file_systems().rename([partial], [path])


def create(path):
    """Opens a file to write."""
    # Beam would choose a compression by the name's ending.
    return file_systems().create(
        path,
        mime_type="application/octet-stream",
        compression_type="uncompressed",
    )


def read_json(path):
    """The JSON of a file."""
    with file_systems().open(path, compression_type="uncompressed") as file:
        return json.loads(file.read())


@contextlib.contextmanager
def local_file(path):
    """A local copy of a file in any of Beam's file systems."""
    if os.path.exists(path):
        # FFmpeg would take "film:1.mp4" for a protocol.
        yield os.path.join(os.curdir, path)
        return
    with (
        tempfile.NamedTemporaryFile(
            suffix=pathlib.PurePosixPath(path).suffix
        ) as copy,
        file_systems().open(path, compression_type="uncompressed") as source,
    ):
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        yield copy.name
