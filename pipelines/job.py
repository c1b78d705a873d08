"""A job: sources into a dataset directory that is whole or absent."""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import shutil
import sys
import time
import uuid

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError

from pipelines import copies
from pipelines import directory
from pipelines.arguments import Output
from pipelines.engine import Engine
from pipelines.lock import is_local
from pipelines.lock import only_job
from pipelines.looking import looking
from pipelines.sources import Source
from pipelines.sources import Sources
from pipelines.sources import described
from pipelines.storage import file_systems
from pipelines.transforms import write
from video_repr._quiet import import_tensorflow
from video_repr.data.action_lists import check_groups
from video_repr.data.features import Features
from video_repr.errors import FailureRateError
from video_repr.errors import InputError
from video_repr.files import put_back
from video_repr.files import replace_directory

FileSystems = file_systems()

_SECONDS_BETWEEN_LINES = 2.0
_JOB = "job.json"


class ChangedSourcesError(InputError):
    """A dataset is complete, but its sources are no longer what they were."""


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
            InputError: if the output is taken, another job writes it, or no
                clip came of the sources.
            FailureRateError: if too many sources failed.
        """
        # As it will be read again.
        told = json.loads(json.dumps(self._told(output)))
        import_tensorflow()
        sources = self._with_splits(output)
        if self.sources.copies:
            print(copies.told(self.sources))
        if (
            not output.overwrite
            and _is_made(output, told)
            and not _is_left(_staging(output))
        ):
            # Looked at without a lock: it may lie where nothing can be
            # written.
            written = False
        else:
            written = self._alone(output, engine, told, sources)
        if not written:
            _check_unchanged(output.path, sources)
        print(
            f"{output.path} "
            + ("written." if written else "is complete already.")
        )

    def _alone(self, output, engine, told, sources):
        with only_job(output.path, engine.beam_options) as check:
            staging = _claim(output, told, check)
            if staging is None:
                return False
            self._write(staging, output, engine, told, sources, check)
            return True

    def _write(self, staging, output, engine, told, sources, check):
        splits = {source.media_id: source.split for source in sources}
        done = _names(FileSystems.join(staging, "parts"), ".json")
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
            for folder in ("done", "shards"):
                _delete(_found(FileSystems.join(staging, folder), "*"))
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
            check()
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
        check()
        directory.describe(staging, output.name, self, told, summaries, splits)
        _deliver(staging, output, check)

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


def _is_made(output, told):
    """Whether the output is complete, and what the job would make."""
    path = output.path
    names = ("COMPLETED", "info.json", "features.json")
    try:
        if not all(_exists(FileSystems.join(path, name)) for name in names):
            return False
        info = write.read_json(FileSystems.join(path, "info.json"))
    except (OSError, BeamIOError):
        # Another job is replacing it.
        return False
    made_by = info.get("made_by", {})
    if made_by != told:
        others = {**made_by, "sources": told["sources"]} == told
        raise (ChangedSourcesError if others else InputError)(
            "Expected a new output, or --overwrite. Received: "
            f"{path}, a dataset made with {_difference(made_by, told)}"
        )
    return True


def _claim(output, told, check):
    """Finds the folder in which the job goes on, or makes one.

    It has a name of its own, STAGING/ID, so that what is left of other jobs,
    as workers on other machines, writes nothing into it. STAGING/job.json,
    written first and removed first, says which one it is.

    Returns:
        The folder; None if there is no work to do.
    """
    path, staging = output.path, _staging(output)
    if is_local(path):
        _check_place(path)
    begun, work = _begun(staging)
    if begun is not None and _exists(_delivering(work)):
        # Of the old dataset a part may be gone.
        _finish_delivery(work, output, check)
        begun = None
    # Other versions of what decodes would be mixed.
    told = {**told, "versions": directory.versions()}
    overwrites = begun is not None and begun.pop("overwrite", False)
    if output.overwrite:
        if _has_files(path) and not _is_dataset(path):
            raise InputError(
                "Expected a dataset to overwrite. Received: "
                f"{path}, which has other files"
            )
        if not overwrites:
            begun = None
    elif _is_made(output, {k: v for k, v in told.items() if k != "versions"}):
        if begun in (None, told):
            _remove(staging)
        return None
    elif _has_files(path):
        raise InputError(
            f"Expected a new output, or --overwrite. Received: {path}, "
            "which has files"
        )
    if begun == told:
        # They are in the output where a job was killed after its delivery.
        _make(FileSystems.join(work, "shards"))
        return work
    if begun is not None and not output.overwrite:
        raise InputError(
            "Expected the unfinished job to go on with, or --overwrite. "
            f"Received: {staging}, begun with {_difference(begun, told)}"
        )
    check()
    return _begin({**told, "overwrite": output.overwrite}, output, check)


def _check_place(path):
    put_back(path, directory.DATASET)
    found = None
    if os.path.islink(path):
        found = "a link"
    elif os.path.exists(path) and not os.path.isdir(path):
        found = "a file"
    if found:
        raise InputError(
            f"Expected a directory to write. Received: {path}, {found}"
        )


def _begun(staging):
    """What was told of the job that was begun, and its folder, or two Nones."""
    job = FileSystems.join(staging, _JOB)
    if not _exists(job):
        return None, None
    begun = write.read_json(job)
    # Before 0.2 a job had no folder of its own.
    return begun, FileSystems.join(staging, begun.pop("folder", ""))


def _begin(told, output, check):
    staging, folder = _staging(output), uuid.uuid4().hex[:8]
    work = FileSystems.join(staging, folder)
    try:
        for name in ("parts", "shards", "done"):
            _make(FileSystems.join(work, name))
        job = json.dumps({**told, "folder": folder})
        write.write_whole(FileSystems.join(staging, _JOB), job.encode())
    except (OSError, BeamIOError) as error:
        raise InputError(
            f"Expected an output that can be written. Received: {output.path}: "
            f"{error}"
        ) from error
    check()
    # What other jobs have left.
    if is_local(staging):
        for name in set(os.listdir(staging)) - {_JOB, folder}:
            _remove_local(os.path.join(staging, name))
    else:
        ours = (FileSystems.join(staging, _JOB), work + "/")
        others = [p for p in _found(staging, "**") if not p.startswith(ours)]
        _delete(others)
    return work


def _is_done(staging, source, done):
    path = write.part_path(staging, source.media_id)
    if os.path.basename(path) not in done:
        return False
    summary = write.read_json(f"{path}.json")
    # What made it fail may be mended by now, and what was read may be another.
    return summary["failure"] is None and _is_unchanged(source, summary)


def _is_unchanged(source, recorded):
    """Whether the content of a source is what was read of it."""
    about, _ = described(source)
    return about == {name: recorded.get(name) for name in about}


def _check_unchanged(path, sources):
    """Refuses a complete dataset whose sources have other content by now.

    Raises:
        ChangedSourcesError: naming one of them.
    """
    info = write.read_json(FileSystems.join(path, "info.json"))
    recorded = {source["media_id"]: source for source in info["sources"]}
    changed = [
        source.media_id
        for source in sources
        # Before 0.2 not of folders of pictures.
        if "sha256" in recorded.get(source.media_id, {})
        and not _is_unchanged(source, recorded[source.media_id])
    ]
    if changed:
        raise ChangedSourcesError(
            "Expected the films that the dataset was made of, a new output, "
            f"or --overwrite. Received: {path}, and other content of "
            f"{len(changed)} of its {len(sources)} sources, as {changed[0]!r}"
        )


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
        parts = FileSystems.join(staging, "parts")
        for name in _names(parts, ".json") - seen:
            seen.add(name)
            summary = write.read_json(FileSystems.join(parts, f"{name}.json"))
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


def _found(path, pattern):
    (matched,) = FileSystems.match([FileSystems.join(path, pattern)])
    return [found.path for found in matched.metadata_list]


def _names(path, ending=""):
    return {
        os.path.basename(file).removesuffix(ending)
        for file in _found(path, f"*{ending}")
    }


def _has_files(path):
    if is_local(path):
        return os.path.isdir(path) and bool(os.listdir(path))
    return bool(_found(path, "**"))


def _is_left(staging):
    if is_local(staging):
        return os.path.isdir(staging)
    return _has_files(staging)


def _is_dataset(path):
    if is_local(path):
        return directory.DATASET.holds(pathlib.Path(path))
    # Buckets have files, no folders.
    below = path.rstrip("/") + "/"
    return directory.are_of_a_dataset(
        {file.removeprefix(below) for file in _found(path, "**")}
    )


def _exists(path):
    return FileSystems.exists(path)


def _make(path):
    with contextlib.suppress(OSError):
        FileSystems.mkdirs(path)


def _remove(staging):
    """Removes what is left of a job, first what says that there is one."""
    job = FileSystems.join(staging, _JOB)
    if _exists(job):
        _delete([job])
    if is_local(staging):
        _remove_local(staging)
    else:
        _delete(_found(staging, "**"))


def _remove_local(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _delete(files):
    if files:
        FileSystems.delete(files)


def _deliver(work, output, check):
    """The finished directory to its place."""
    shards = FileSystems.join(work, "shards")
    _delete(_found(shards, "*.partial"))
    check()
    if is_local(output.path):
        kind = directory.DATASET if output.overwrite else None
        replace_directory(shards, output.path, kind)
        _remove(_staging(output))
    else:
        write.write_whole(_delivering(work), b"\n")
        _finish_delivery(work, output, check)


def _delivering(work):
    """The file that says that the output is being replaced."""
    return FileSystems.join(work, "delivering")


def _finish_delivery(work, output, check):
    """Copies the finished files into a bucket, COMPLETED last.

    No rename takes them all at once. They are copied so that the next job
    can do it again from the start if this one is killed.
    """
    shards = FileSystems.join(work, "shards")
    if _is_delivered(shards, output.path):
        _remove(_staging(output))
        return
    names = _names(shards)
    old = {
        name for name in _names(output.path) if directory.are_its_own({name})
    }

    def to_output(name):
        check()
        FileSystems.copy(
            [FileSystems.join(shards, name)],
            [FileSystems.join(output.path, name)],
        )

    def remove(names):
        check()
        _delete([FileSystems.join(output.path, name) for name in names])

    remove(old & {"COMPLETED"})
    for name in sorted(names - {"COMPLETED"}):
        to_output(name)
    remove(old - names)
    to_output("COMPLETED")
    _remove(_staging(output))


def _is_delivered(shards, path):
    names = ("COMPLETED", "info.json")
    if not all(_exists(FileSystems.join(path, name)) for name in names):
        return False
    ours, there = (
        write.read_json(FileSystems.join(folder, "info.json"))
        for folder in (shards, path)
    )
    return ours == there
