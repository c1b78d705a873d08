"""A job: makes a dataset directory from sources, whole or not at all."""

import dataclasses
import json
import math
import os

import apache_beam as beam

from video_repr._quiet import import_tensorflow

# Before the following modules import it, which would print a dozen lines.
import_tensorflow()

from pipelines import copies
from pipelines import directory
from pipelines.arguments import Output
from pipelines.engine import Engine
from pipelines.lock import only_job
from pipelines.progress import progress
from pipelines.sources import Source
from pipelines.sources import Sources
from pipelines.sources import described
from pipelines.staging import ChangedSourcesError
from pipelines.staging import claim
from pipelines.staging import delete
from pipelines.staging import deliver
from pipelines.staging import found
from pipelines.staging import is_left
from pipelines.staging import is_made
from pipelines.staging import names_in
from pipelines.staging import staging_of
from pipelines.storage import file_systems
from pipelines.storage import read_json
from pipelines.storage import write_whole
from pipelines.transforms.parts import hash_of
from pipelines.transforms.parts import leave_out
from pipelines.transforms.parts import part_path
from pipelines.transforms.shards import FillShards
from video_repr.data.action_lists import check_groups
from video_repr.data.features import Features
from video_repr.errors import FailureRateError
from video_repr.errors import InputError

FileSystems = file_systems()


@dataclasses.dataclass(frozen=True)
class Job:
    """A job of a pipeline.

    Attributes:
        program: name of the pipeline.
        arguments: all arguments that the records depend on, JSON-ready.
        sources: `Sources`.
        features: `Features` of the records.
        make_parts: function that takes the staging folder and returns a
            transform from `Source`s to media ids of finished parts.
    """

    program: str
    arguments: dict
    sources: Sources
    features: Features
    make_parts: object

    def run(self, output: Output, engine: Engine):
        """Writes the dataset directory.

        Raises:
            InputError: if the output exists, another job writes it, or the
                sources gave no clip.
            FailureRateError: if too many sources failed.
        """
        # In the form in which it will be read again.
        recipe = json.loads(json.dumps(self._recipe(output)))
        sources = self._with_splits(output)
        if self.sources.copies:
            print(copies.summary(self.sources))
        if (
            not output.overwrite
            and is_made(output, recipe)
            and not is_left(staging_of(output))
        ):
            # Checked without a lock, as it may lie where nothing can be
            # written.
            written = False
        else:
            written = self._alone(output, engine, recipe, sources)
        if not written:
            _check_unchanged(output.path, sources)
        print(
            f"{output.path} "
            + ("written." if written else "is complete already.")
        )

    def _alone(self, output, engine, recipe, sources):
        with only_job(output.path, engine.beam_options) as check:
            staging = claim(output, recipe, check)
            if staging is None:
                return False
            self._write(staging, output, engine, recipe, sources, check)
            return True

    def _write(self, staging, output, engine, recipe, sources, check):
        splits = {source.media_id: source.split for source in sources}
        done = names_in(FileSystems.join(staging, "parts"), ".json")
        waiting = [
            source for source in sources if not _is_done(staging, source, done)
        ]
        if len(waiting) < len(sources):
            print(
                f"{len(sources) - len(waiting)} of {len(sources)} "
                "sources are done already."
            )
        if waiting:
            # Shards that were made without these.
            for folder in ("done", "shards"):
                delete(found(FileSystems.join(staging, folder), "*"))
            again = [part_path(staging, s.media_id) for s in waiting]
            for path in again:
                if os.path.basename(path) in done:
                    FileSystems.delete([f"{path}.json"])
            done -= {os.path.basename(path) for path in again}
            for source in waiting:
                if source.left_out:
                    leave_out(staging, source, self.features)
            waiting = [s for s in waiting if not s.left_out]
        if waiting:
            with (
                progress(staging, done, len(sources)),
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
        # Copying files takes less time than starting more processes.
        with engine.pipeline(workers=1) as p:
            _ = (
                p
                | _Each(staging, "used", used)
                | FillShards(staging, output.name, shards)
            )
        check()
        directory.describe(
            staging, output.name, self, recipe, summaries, splits
        )
        deliver(staging, output, check)

    def _recipe(self, output):
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
            "sources": hash_of(json.dumps(sources)),
        }

    def _with_splits(self, output):
        sources = self.sources.sources
        # A list with a validation set is not divided again.
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
    """Sources, read from a file: a graph with all of them would be too large.

    Args:
        staging: folder of the job.
        name: name of the file.
        sources: `Source`s.
    """

    def __init__(self, staging, name, sources):
        super().__init__()
        self._path = FileSystems.join(staging, f"{name}.jsonl")
        lines = "".join(source.to_line() + "\n" for source in sources)
        write_whole(self._path, lines.encode())

    def expand(self, pipeline):
        return (
            pipeline
            | beam.io.ReadFromText(self._path)
            | beam.Map(Source.from_line)
            | beam.Reshuffle()
        )


def split_of(group, official, validation, test):
    """The split of a group, the same on every machine.

    Args:
        group: name of the group.
        official: "train", "validation" or "test" by an official list, or None.
        validation: share of the groups; with official lists, of those in
            "train".
        test: share of the groups without official lists.

    Returns:
        "train", "validation" or "test".
    """
    if official in ("validation", "test"):
        return official
    place = int(hash_of(f"split\0{group}")[:13], 16) / 16**13
    if place < validation:
        return "validation"
    if official is None and place < validation + test:
        return "test"
    return "train"


def _is_done(staging, source, done):
    path = part_path(staging, source.media_id)
    if os.path.basename(path) not in done:
        return False
    summary = read_json(f"{path}.json")
    # A source that failed may have been repaired, and others may have changed.
    return summary["failure"] is None and _is_unchanged(source, summary)


def _is_unchanged(source, recorded):
    """Whether the content of a source is the same as when it was read."""
    about, _ = described(source)
    return about == {name: recorded.get(name) for name in about}


def _check_unchanged(path, sources):
    """Checks that the sources of a complete dataset have not changed.

    Raises:
        ChangedSourcesError: naming one that has.
    """
    info = read_json(FileSystems.join(path, "info.json"))
    recorded = {source["media_id"]: source for source in info["sources"]}
    changed = [
        source.media_id
        for source in sources
        # Before 0.2 it was not recorded for folders of pictures.
        if "sha256" in recorded.get(source.media_id, {})
        and not _is_unchanged(source, recorded[source.media_id])
    ]
    if changed:
        raise ChangedSourcesError(
            "Expected the films that the dataset was made of, a new output, "
            f"or --overwrite. Received: {path}, and other content of "
            f"{len(changed)} of its {len(sources)} sources, as {changed[0]!r}"
        )


def _summary(staging, media_id):
    summary = read_json(f"{part_path(staging, media_id)}.json")
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
            + "\nFinished films are kept: repair the others and give the same "
            "command again to resume."
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
