"""A job: sources into a dataset directory that is whole or absent."""

import contextlib
import dataclasses
import json
import math
import os
import re
import shutil
import sys
import threading
import time

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from pipelines import directory
from pipelines.engine import Engine
from pipelines.sources import Sources
from pipelines.transforms import write
from video_repr.data.action_lists import check_groups
from video_repr.data.features import Features
from video_repr.errors import InputError

_SECONDS_BETWEEN_LINES = 2.0


class FailureRateError(RuntimeError):
    """More sources failed than a job may lose."""


@dataclasses.dataclass(frozen=True)
class Output:
    """Where the dataset goes, and when it is refused.

    Attributes:
        path: directory to write, <data_dir>/<name>/<version>.
        overwrite: replace what is there.
        max_failure_rate: share of the sources that may fail.
        validation: share of the groups that are for validation; of those for
            training where official lists say which are for testing.
        test: share of the groups that are for testing, without such lists.
        shard_mb: size to divide the records by, MB.
    """

    path: str
    overwrite: bool = False
    max_failure_rate: float = 0.01
    validation: float = 0.1
    test: float = 0.1
    shard_mb: int = 64

    def __post_init__(self):
        parts = self.path.rstrip("/").split("/")
        # Beam would take a * for any name.
        if (
            len(parts) < 2
            or not all(re.fullmatch(r"[\w.-]+", part) for part in parts[-2:])
            or set(self.path) & set("*?[]")
        ):
            raise InputError(
                "Expected an output path <data_dir>/<name>/<version>, the "
                "last two of letters, digits, '.', '-' and '_'. Received: "
                f"{self.path!r}"
            )
        for name in ("max_failure_rate", "validation", "test"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(
                    f"Expected {name} from 0 to 1. Received: {value}"
                )
        if self.validation + self.test >= 1:
            raise InputError(
                "Expected validation and test to leave groups to train on. "
                f"Received: {self.validation} + {self.test}"
            )
        if self.shard_mb < 1:
            raise InputError(
                f"Expected shards of at least 1 MB. Received: {self.shard_mb}"
            )

    @property
    def name(self):
        """Name of the dataset."""
        return self.path.rstrip("/").split("/")[-2]

    @property
    def staging(self):
        """Folder of the unfinished job, beside the output."""
        head, tail = FileSystems.split(self.path.rstrip("/"))
        return FileSystems.join(head, f".{tail}.unfinished")


@dataclasses.dataclass(frozen=True)
class Job:
    """What is made, from what, and where.

    Attributes:
        program: name of the pipeline.
        arguments: JSON-ready, all that the records depend on.
        sources: `Sources`.
        features: `Features` of the records.
        make_parts: makes the transform of `Source`s into media ids of
            finished parts, given the staging folder.
    """

    program: str
    arguments: dict
    sources: Sources
    features: Features
    make_parts: object

    def run(self, output: Output, engine: Engine):
        """Writes the dataset directory.

        Raises:
            InputError: if the output is taken, or no clip came of the
                sources.
            FailureRateError: if too many sources failed.
        """
        # As it will be read again.
        told = json.loads(json.dumps(self._told(output)))
        splits = self._splits(output)
        if not _claim(output, told):
            print(f"{output.path} is complete already.")
            return
        staging = output.staging
        media_ids = [source.media_id for source in self.sources.sources]
        done = _names(staging, "parts", ".json")
        waiting = [
            source
            for source in self.sources.sources
            if not _is_done(staging, source, done)
        ]
        if len(waiting) < len(media_ids):
            print(
                f"{len(media_ids) - len(waiting)} of {len(media_ids)} "
                "sources are done already."
            )
        if waiting:
            with _progress(staging, len(media_ids)), engine.pipeline() as p:
                _ = (
                    p
                    | "Sources" >> beam.Create(waiting, reshuffle=True)
                    | self.make_parts(staging)
                )
        summaries = [
            _summary(staging, media_id) for media_id in sorted(media_ids)
        ]
        _check_failures(summaries, output)
        shards = _shards(summaries, splits, output.shard_mb)
        if "train" not in shards:
            raise InputError(
                "Expected clips to train on. Received: "
                f"{len({s.group for s in self.sources.sources})} groups, "
                f"all of them for {' and '.join(shards)}; choose other "
                "--output.validation and --output.test"
            )
        with engine.pipeline() as p:
            _ = (
                p
                | beam.Create([s["media_id"] for s in summaries if s["clips"]])
                | write.FillShards(staging, output.name, shards, splits)
            )
        directory.describe(staging, output.name, self, told, summaries, splits)
        _deliver(staging, output)

    def _told(self, output):
        sources = [
            [s.media_id, s.group, s.label, s.split]
            for s in self.sources.sources
        ]
        return {
            "program": self.program,
            "arguments": {
                **self.arguments,
                "validation": output.validation,
                "test": output.test,
                "shard_mb": output.shard_mb,
            },
            "features": self.features.to_dict(),
            "sources": write.hash_of(json.dumps(sources)),
        }

    def _splits(self, output):
        sources = self.sources.sources
        # A list that has a validation set is not carved once more.
        given = any(source.split == "validation" for source in sources)
        validation = 0.0 if given else output.validation
        splits = {
            s.media_id: split_of(s.group, s.split, validation, output.test)
            for s in sources
        }
        check_groups(
            [dataclasses.replace(s, split=splits[s.media_id]) for s in sources]
        )
        return splits


def split_of(group, official, validation, test):
    """The split of a group, the same on every machine.

    Args:
        group: its name.
        official: "train", "validation" or "test" where a list says so.
        validation: share of the groups, of "train" where it is official.
        test: share of the groups where nothing is official.

    Returns:
        "train", "validation" or "test".
    """
    if official in ("validation", "test"):
        return official
    place = int(write.hash_of(f"split\0{group}")[:13], 16) / 16**13
    if place < validation:
        return "validation"
    if official is None and place < validation + test:
        return "test"
    return "train"


def _claim(output, told):
    """Makes the staging folder; returns whether there is work to do."""
    path, staging = output.path, output.staging
    if output.overwrite:
        if _has_files(path) and not _is_dataset(path):
            raise InputError(
                "Expected a dataset to overwrite. Received: "
                f"{path}, which has other files"
            )
        _remove(staging)
    elif _is_dataset(path) and _exists(FileSystems.join(path, "COMPLETED")):
        info = write.read_json(FileSystems.join(path, "info.json"))
        if info.get("made_by") == told:
            return False
        raise InputError(
            "Expected a new output, or --output.overwrite. Received: "
            f"{path}, a dataset made with {_difference(info['made_by'], told)}"
        )
    elif _has_files(path):
        raise InputError(
            f"Expected a new output, or --output.overwrite. Received: {path}, "
            "which has files"
        )
    job = FileSystems.join(staging, "job.json")
    if _exists(job):
        before = write.read_json(job)
        if before != told:
            raise InputError(
                "Expected the unfinished job to go on with, or "
                f"--output.overwrite. Received: {staging}, begun with "
                f"{_difference(before, told)}"
            )
    else:
        for folder in ("parts", "shards", "done"):
            _make(FileSystems.join(staging, folder))
        write.write_whole(job, json.dumps(told).encode())
    return True


def _is_done(staging, source, done):
    path = write.part_path(staging, source.media_id)
    if os.path.basename(path) not in done:
        return False
    # What made it fail may be mended by now.
    return write.read_json(f"{path}.json")["failure"] is None


def _difference(before, now):
    flat = {
        name: dict(
            **d.get("arguments", {}),
            **{k: v for k, v in d.items() if k != "arguments"},
        )
        for name, d in (("before", before), ("now", now))
    }
    names = [
        name
        for name in flat["now"]
        if flat["before"].get(name) != flat["now"][name]
    ]
    return "other " + ", ".join(names) if names else "other code"


def _summary(staging, media_id):
    summary = write.read_json(f"{write.part_path(staging, media_id)}.json")
    records = summary.pop("records")
    summary["clips"] = len(records)
    summary["written_bytes"] = sum(r["bytes"] for r in records)
    frames = [r["frames"] for r in records]
    summary["clip_frames"] = {
        "min": min(frames, default=None), "max": max(frames, default=None)
    }  # fmt: skip
    return summary


def _check_failures(summaries, output):
    failed = [s for s in summaries if s["failure"]]
    lines = [f"  {s['path']}: {s['failure']}" for s in failed]
    if not any(s["clips"] for s in summaries):
        raise InputError(
            f"Expected clips. Received: {len(summaries)} sources without any\n"
            + "\n".join(lines[:20])
        )
    if len(failed) > output.max_failure_rate * len(summaries):
        raise FailureRateError(
            f"{len(failed)} of {len(summaries)} sources failed, more than "
            f"--output.max-failure-rate {output.max_failure_rate}:\n"
            + "\n".join(lines)
        )


def _shards(summaries, splits, shard_mb):
    sizes = {}
    for summary in summaries:
        split = splits[summary["media_id"]]
        sizes[split] = sizes.get(split, 0) + summary["written_bytes"]
    return {
        split: max(1, math.ceil(size / (shard_mb * 1e6)))
        for split, size in sizes.items()
    }


@contextlib.contextmanager
def _progress(staging, total):
    """A live line of what is done."""
    ended = threading.Event()
    seen, frames, failed = set(), 0, 0
    started = time.monotonic()

    def look(last=False):
        nonlocal frames, failed
        for name in _names(staging, "parts", ".json") - seen:
            seen.add(name)
            summary = write.read_json(
                FileSystems.join(staging, "parts", f"{name}.json")
            )
            frames += summary["frames"]
            failed += summary["failure"] is not None
        seconds = time.monotonic() - started
        line = (
            f"{len(seen):,} of {total:,} videos   {frames:,} frames   "
            f"{failed:,} failed   {frames / seconds:,.0f} frames/s"
        )
        end = "\n" if last or not sys.stderr.isatty() else "\r"
        if last or sys.stderr.isatty():
            print(line, end=end, file=sys.stderr, flush=True)

    def watch():
        while not ended.wait(_SECONDS_BETWEEN_LINES):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look(last=True)


def _names(path, folder=None, ending=""):
    if folder:
        path = FileSystems.join(path, folder)
    (matched,) = FileSystems.match([FileSystems.join(path, f"*{ending}")])
    return {
        os.path.basename(found.path).removesuffix(ending)
        for found in matched.metadata_list
    }


def _has_files(path):
    if os.path.isdir(path):
        return bool(os.listdir(path))
    return bool(_names(path))


def _is_dataset(path):
    return all(
        _exists(FileSystems.join(path, name))
        for name in ("info.json", "features.json")
    )


def _exists(path):
    return FileSystems.exists(path)


def _make(path):
    with contextlib.suppress(OSError):
        FileSystems.mkdirs(path)


def _remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
        return
    # Buckets have files, no folders.
    (matched,) = FileSystems.match([FileSystems.join(path, "**")])
    files = [found.path for found in matched.metadata_list]
    if files:
        FileSystems.delete(files)


def _deliver(staging, output):
    """The finished directory to its place, COMPLETED last."""
    shards = FileSystems.join(staging, "shards")
    for name in _names(shards, ending=".partial"):
        FileSystems.delete([FileSystems.join(shards, f"{name}.partial")])
    _remove(output.path)
    if os.path.isdir(shards):
        os.replace(shards, output.path)
    else:
        names = sorted(_names(shards), key=lambda n: n == "COMPLETED")
        for name in names:
            FileSystems.rename(
                [FileSystems.join(shards, name)],
                [FileSystems.join(output.path, name)],
            )
    _remove(staging)
    print(f"{output.path} written.")
