"""One job at a time on an output.

On this machine a lock is a file that the system unlocks when its process ends
for any reason. In a bucket it is an object, `.NAME.lock` beside the output,
that its job renews; if it is not renewed, the job has died. Amazon's and
Google's stores can write it only if nobody else has changed it; in others the
job reads it again after a while.
"""

import contextlib
import datetime
import itertools
import json
import os
import socket
import threading
import time
import uuid

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.storage import file_systems
from video_repr.errors import InputError
from video_repr.files import only_writer

FileSystems = file_systems()

_RENEWED = 10.0  # seconds between two renewals
_EXPIRES = 60.0  # seconds without renewal until a job counts as dead
_SETTLED = 2.0  # seconds until a simultaneous write of others is visible


def is_local(path):
    """Whether a path is on this machine, by its form alone."""
    return FileSystems.get_scheme(path) is None


@contextlib.contextmanager
def only_job(path, beam_options=()):
    """Refuses a second job on an output while there is one.

    Args:
        path: path of the output.
        beam_options: Beam's options, for access to a bucket.

    Yields:
        A function that raises `InputError` if another job has taken over, which
        can happen after this machine was suspended.

    Raises:
        InputError: if there is another job (in a bucket, this waits until the
            other renews its lock), or if the output cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            if is_local(path):
                stack.enter_context(only_writer(path))
                check = _nothing
            else:
                check = stack.enter_context(_leased(path, beam_options))
        except InputError:
            raise
        except Exception as error:
            # Every store has its own errors.
            raise InputError(
                f"Expected an output that can be written. Received: {path}: "
                f"{error}"
            ) from error
        yield check


def _nothing():
    """The check for a local output, where the system keeps the lock."""


@contextlib.contextmanager
def _leased(path, beam_options):
    lease = _Lease(path, beam_options)
    lease.take()
    ended = threading.Event()
    renewing = threading.Thread(target=lease.keep, args=(ended,), daemon=True)
    renewing.start()
    try:
        yield lease.check
    finally:
        ended.set()
        renewing.join()
        lease.give_back()


class _Lease:
    """The lock of an output in a bucket."""

    def __init__(self, path, beam_options):
        head, tail = FileSystems.split(path.rstrip("/"))
        self._output = path
        self._path = FileSystems.join(head, f".{tail}.lock")
        kind = _CONDITIONAL.get(FileSystems.get_scheme(path), _Object)
        self._object = kind(self._path, PipelineOptions(list(beam_options)))
        self._job = {
            "id": uuid.uuid4().hex,
            "process": os.getpid(),
            "host": socket.gethostname(),
            "began": f"{datetime.datetime.now().astimezone():%F %T %Z}",
        }
        self._renewals = itertools.count()
        self._seen = None

    def take(self):
        # A change shows that its job is alive, whatever the clocks say.
        first, since = self._object.read(), time.monotonic()
        if first is not None:
            print(
                f"{self._path} is there: waiting up to {_EXPIRES:g} seconds "
                "for a sign of its job."
            )
        found = first
        while True:
            dead = time.monotonic() - since >= _EXPIRES
            if found is None or (found == first and dead):
                self._seen = self._write(found)
                if self._seen is not None:
                    return
            elif found != first:
                raise InputError(self._held_by(found))
            else:
                time.sleep(_RENEWED / 10)
            found = self._object.read()

    def keep(self, ended):
        while not ended.wait(_RENEWED):
            # If the store cannot be reached, try again before others take this
            # job for dead.
            with contextlib.suppress(Exception):
                seen = self._write(self._seen)
                if seen is None:
                    return
                self._seen = seen

    def check(self):
        if not self._is_ours(self._object.read()):
            raise InputError(
                f"Expected to be the only job on {self._output}. Received: "
                f"{self._path} without this one's name, as another took over "
                f"when this one had not renewed it for {_EXPIRES:g} seconds"
            )

    def give_back(self):
        # If it stays there, it expires as that of a dead job.
        with contextlib.suppress(Exception):
            if self._is_ours(self._object.read()):
                FileSystems.delete([self._path])

    def _write(self, seen):
        text = json.dumps({**self._job, "renewals": next(self._renewals)})
        written = self._object.write(text, seen)
        if written is None:
            # An earlier try may have written it, with its answer lost.
            found = self._object.read()
            written = found if self._is_ours(found) else None
        return written

    def _is_ours(self, found):
        return found is not None and self._job["id"] in found[1]

    def _held_by(self, found):
        try:
            job = json.loads(found[1])
            who = (
                f"process {job['process']} on {job['host']}, which began at "
                f"{job['began']}"
            )
        except (ValueError, KeyError, TypeError):
            who = "another job"
        return (
            "Expected an output that nobody writes. Received: "
            f"{self._output}, which is being written by {who}. Wait until it "
            "has ended, or end it, and give the same command again: it takes "
            f"over when {self._path} has not been renewed for "
            f"{_EXPIRES:g} seconds"
        )


class _Object:
    """A small object in a bucket that one job at a time changes.

    Args:
        path: path of the object.
        options: Beam's `PipelineOptions`.
    """

    def __init__(self, path, options):
        self._path = path

    def read(self):
        """Version and text of the object; None if it does not exist."""
        if not FileSystems.exists(self._path):
            return None
        try:
            with FileSystems.open(
                self._path, compression_type="uncompressed"
            ) as file:
                text = file.read().decode()
        except Exception:
            # It may be gone by now; each file system has its own error.
            if FileSystems.exists(self._path):
                raise
            return None
        return text, text

    def write(self, text, seen):
        """Writes the object if nobody has changed it since it was seen.

        Returns:
            The new version and text, as `read`; None if somebody has.
        """
        if self.read() != seen:
            return None
        with FileSystems.create(
            self._path, compression_type="uncompressed"
        ) as file:
            file.write(text.encode())
        time.sleep(_SETTLED)
        found = self.read()
        return found if found is not None and found[1] == text else None


class _OfAmazon(_Object):
    def __init__(self, path, options):
        from apache_beam.io.aws import s3io

        super().__init__(path, options)
        bucket, key = s3io.parse_s3_path(path)
        self._of = {"Bucket": bucket, "Key": key}
        self._client = s3io.S3IO(options=options).client.client

    def read(self):
        try:
            found = self._client.get_object(**self._of)
        except self._client.exceptions.NoSuchKey:
            return None
        return found["ETag"], found["Body"].read().decode()

    def write(self, text, seen):
        from botocore.exceptions import ClientError

        only_if = {"IfNoneMatch": "*"} if seen is None else {"IfMatch": seen[0]}
        try:
            put = self._client.put_object(
                **self._of, **only_if, Body=text.encode()
            )
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status in (404, 409, 412):
                return None
            if status == 501:
                # The store implements Amazon's protocol without this part.
                return super().write(text, seen)
            raise
        return put["ETag"], text


class _OfGoogle(_Object):
    def __init__(self, path, options):
        from apache_beam.io.gcp import gcsio

        super().__init__(path, options)
        bucket, key = gcsio.parse_gcs_path(path)
        client = gcsio.create_storage_client(options)
        self._bucket, self._key = client.bucket(bucket), key

    def read(self):
        from google.api_core.exceptions import NotFound
        from google.api_core.exceptions import PreconditionFailed

        while True:
            blob = self._bucket.get_blob(self._key)
            if blob is None:
                return None
            generation = blob.generation
            # Otherwise it has changed since.
            with contextlib.suppress(NotFound, PreconditionFailed):
                text = blob.download_as_text(if_generation_match=generation)
                return generation, text

    def write(self, text, seen):
        from google.api_core.exceptions import PreconditionFailed

        blob = self._bucket.blob(self._key)
        try:
            blob.upload_from_string(
                text, if_generation_match=0 if seen is None else seen[0]
            )
        except PreconditionFailed:
            return None
        return blob.generation, text


_CONDITIONAL = {"s3": _OfAmazon, "gs": _OfGoogle}
