"""A job: sources into a dataset directory that is whole or absent."""

import contextlib
import dataclasses
import json
import math
import os
import shutil
import sys
import time

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from pipelines import copies
from pipelines import directory
from pipelines.arguments import Output
from pipelines.engine import Engine
from pipelines.looking import looking
from pipelines.sources import Source
from pipelines.sources import Sources
from pipelines.transforms import write
from video_repr._quiet import import_tensorflow
from video_repr.data.action_lists import check_groups
from video_repr.data.features import Features
from video_repr.errors import FailureRateError
from video_repr.errors import InputError

_SECONDS_BETWEEN_LINES = 2.0


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
        import_tensorflow()
        sources = self._with_splits(output)
        splits = {source.media_id: source.split for source in sources}
        if self.sources.copies:
            print(copies.told(self.sources))
        if not _claim(output, told):
            print(f"{output.path} is complete already.")
            return
        staging = _staging(output)
        done = _names(staging, "parts", ".json")
        waiting = [
            source for source in sources if not _is_done(staging, source, done)
        ]
        if len(waiting) < len(sources):
            print(
                f"{len(sources) - len(waiting)} of {len(sources)} "
                "sources are done already."
            )
        if waiting:
            # What was made without these.
            for folder in ("shards", "done"):
                _delete(FileSystems.join(staging, folder, "*"))
            again = [write.part_path(staging, s.media_id) for s in waiting]
            for path in again:
                if os.path.basename(path) in done:
                    FileSystems.delete([f"{path}.json"])
            done -= {os.path.basename(path) for path in again}
            for source in waiting:
                if source.left_out:
                    write.leave_out(staging, source, self.features)
            waiting = [s for s in waiting if not s.left_out]
        if waiting:
            with (
                _progress(staging, done, len(sources)),
                engine.pipeline() as p,
            ):
                _ = (
                    p
                    | _Each(staging, "waiting", waiting)
                    | self.make_parts(staging)
                )
        summaries = [_summary(staging, media_id) for media_id in sorted(splits)]
        _check_failures(summaries, output)
        shards = _shards(summaries, splits, output.shard_mb)
        if "train" not in shards:
            raise InputError(
                "Expected clips to train on. Received: "
                f"{len({s.group for s in self.sources.sources})} groups, "
                f"all of them for {' and '.join(shards)}; choose other "
                "--validation and --test"
            )
        empty = {s["media_id"] for s in summaries if not s["clips"]}
        used = [s for s in sources if s.media_id not in empty]
        # Copying files takes less than the start of more processes.
        with engine.pipeline(workers=1) as p:
            _ = (
                p
                | _Each(staging, "used", used)
                | write.FillShards(staging, output.name, shards)
            )
        directory.describe(staging, output.name, self, told, summaries, splits)
        _deliver(staging, output)

    def _told(self, output):
        sources = [
            [
                *(s.media_id, s.group, s.label, s.split),
                *([s.left_out] if s.left_out else []),
            ]
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

    def _with_splits(self, output):
        sources = self.sources.sources
        # A list that has a validation set is not carved once more.
        given = any(source.split == "validation" for source in sources)
        validation = 0.0 if given else output.validation
        sources = [
            dataclasses.replace(
                s, split=split_of(s.group, s.split, validation, output.test)
            )
            for s in sources
        ]
        check_groups(sources)
        return sources


class _Each(beam.PTransform):
    """Sources, by way of a file: a graph that held them would be too large.

    Args:
        staging: folder of the job.
        name: of the file.
        sources: `Source`s.
    """

    def __init__(self, staging, name, sources):
        super().__init__()
        self._path = FileSystems.join(staging, f"{name}.jsonl")
        lines = "".join(source.to_line() + "\n" for source in sources)
        write.write_whole(self._path, lines.encode())

    def expand(self, pipeline):
        return (
            pipeline
            | beam.io.ReadFromText(self._path)
            | beam.Map(Source.from_line)
            | beam.Reshuffle()
        )


def _staging(output):
    """Folder of the unfinished job, beside the output."""
    head, tail = FileSystems.split(output.path.rstrip("/"))
    return FileSystems.join(head, f".{tail}.unfinished")


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
    path, staging = output.path, _staging(output)
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError(
            f"Expected a directory to write. Received: {path}, a file"
        )
    job = FileSystems.join(staging, "job.json")
    begun = write.read_json(job) if _exists(job) else None
    # Other versions of what decodes would be mixed.
    told = {**told, "versions": directory.versions()}
    if output.overwrite:
        if _has_files(path) and not _is_dataset(path):
            raise InputError(
                "Expected a dataset to overwrite. Received: "
                f"{path}, which has other files"
            )
        _remove(staging)
        begun = None
    elif _is_dataset(path) and _exists(FileSystems.join(path, "COMPLETED")):
        info = write.read_json(FileSystems.join(path, "info.json"))
        made_by = {**info.get("made_by", {}), "versions": told["versions"]}
        if made_by == told:
            return False
        raise InputError(
            "Expected a new output, or --overwrite. Received: "
            f"{path}, a dataset made with {_difference(made_by, told)}"
        )
    elif _has_files(path) and begun != told:
        raise InputError(
            f"Expected a new output, or --overwrite. Received: {path}, "
            "which has files"
        )
    if begun not in (None, told):
        raise InputError(
            "Expected the unfinished job to go on with, or --overwrite. "
            f"Received: {staging}, begun with {_difference(begun, told)}"
        )
    if begun is None:
        try:
            for folder in ("parts", "shards", "done"):
                _make(FileSystems.join(staging, folder))
            write.write_whole(job, json.dumps(told).encode())
        except (OSError, BeamIOError) as error:
            raise InputError(
                f"Expected an output that can be written. Received: {path}: "
                f"{error}"
            ) from error
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
        reasons = [
            f"  {s['path']}: {s['failure'] or '; '.join(s['problems'])}"
            for s in summaries
        ]
        raise InputError(
            f"Expected clips. Received: {len(summaries)} sources without any\n"
            + "\n".join(reasons[:20])
        )
    if len(failed) > output.max_failure_rate * len(summaries):
        raise FailureRateError(
            f"{len(failed)} of {len(summaries)} sources failed, more than "
            f"--max-failure-rate {output.max_failure_rate}:\n"
            + "\n".join(lines)
            + "\nWhat was read is kept: the same command goes on from there "
            "when the films are mended."
        )


def _shards(summaries, splits, shard_mb):
    sizes = {}
    for summary in summaries:
        if not summary["clips"]:
            continue
        split = splits[summary["media_id"]]
        sizes[split] = sizes.get(split, 0) + summary["written_bytes"]
    return {
        split: max(1, math.ceil(size / (shard_mb * 1e6)))
        for split, size in sizes.items()
    }


@contextlib.contextmanager
def _progress(staging, done, total):
    """A live line of what is done, or now and then one without a terminal."""
    seen, frames, failed = set(done), 0, 0
    started = time.monotonic()
    live = sys.stderr.isatty()

    def look():
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
        end = "\r" if live else "\n"
        print(line, end=end, file=sys.stderr, flush=True)

    try:
        with looking(look, _SECONDS_BETWEEN_LINES * (1 if live else 15)):
            yield
    finally:
        if live:
            # The last line stays.
            print(file=sys.stderr)


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
    _delete(FileSystems.join(path, "**"))


def _delete(pattern):
    (matched,) = FileSystems.match([pattern])
    files = [found.path for found in matched.metadata_list]
    if files:
        FileSystems.delete(files)


def _deliver(staging, output):
    """The finished directory to its place, COMPLETED last."""
    shards = FileSystems.join(staging, "shards")
    for name in _names(shards, ending=".partial"):
        FileSystems.delete([FileSystems.join(shards, f"{name}.partial")])
    if os.path.isdir(shards):
        if os.path.isdir(output.path):
            # Not removed before the new one is in its place.
            os.replace(output.path, os.path.join(staging, "replaced"))
        os.replace(shards, output.path)
    else:
        _remove(output.path)
        names = sorted(_names(shards), key=lambda n: n == "COMPLETED")
        for name in names:
            FileSystems.rename(
                [FileSystems.join(shards, name)],
                [FileSystems.join(output.path, name)],
            )
    _remove(staging)
    print(f"{output.path} written.")
