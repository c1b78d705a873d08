"""Runs the training pipeline on this machine, and records the run.

ROOT/artifacts/COMPONENT/FINGERPRINT/   artifacts, see `artifacts`
ROOT/cache/                             kfp's cache
ROOT/runs/TIME.json                     runs: components, times, artifacts
"""

import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import time
import uuid

from pipelines.storage import local_file
from pipelines.training import artifacts
from pipelines.training.lineage import read_run
from pipelines.training.pipeline import make_pipeline
from pipelines.training.watching import Watch
from video_repr.data import film
from video_repr.errors import InputError
from video_repr.errors import PipelineError
from video_repr.errors import need
from video_repr.export import layout
from video_repr.files import checksums
from video_repr.files import fingerprint
from video_repr.files import moved_aside
from video_repr.files import only_writer
from video_repr.files import restore
from video_repr.files import sha256
from video_repr.files import write_json


def run_pipeline(config, root, beam_options=()):
    """Runs a training pipeline, without the components that are cached.

    Args:
        config: a `pipelines.training.config.PipelineConfig`.
        root: directory of its artifacts.
        beam_options: Beam's options for ExampleGen.

    Returns:
        The file with the record of the run, a `pathlib.Path`.

    Raises:
        InputError: before anything runs, if there are no films, or none of
            them can be read.
        PipelineError: if a component failed.
    """
    # Checked now, as the last components need them hours later.
    need("report", "matplotlib", "PIL", "tensorboard")
    if config.tuner.trials:
        need("kfp", "keras_tuner")
    if config.fine_tuner.enabled:
        need("transfer", "sklearn")
    sources = config.example_gen.input(config.films).find()
    _check_readable(sources)
    warm_start = config.trainer.warm_start
    if warm_start and not os.path.exists(warm_start):
        raise InputError(
            f"Expected an encoder to begin with. Received: {warm_start!r}, "
            "which does not exist"
        )
    root = pathlib.Path(root).absolute()
    (root / "runs").mkdir(parents=True, exist_ok=True)
    # Checked now, to find a broken export before the training.
    for directory in layout.versions_of(
        pathlib.Path(config.saved_models, config.name)
    ):
        layout.check(directory)
    with only_writer(root):
        return _run(config, root, sources, beam_options)


def _run(config, root, sources, beam_options):
    _remove_altered(root)
    now = datetime.datetime.now(datetime.UTC)
    file = root / "runs" / f"{now:%Y%m%dT%H%M%S.%f}.json"
    films = config.films
    status = "unfinished"
    began = time.monotonic()

    def write():
        write_json(
            file,
            {
                "name": config.name,
                "status": status,
                "started": now.isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - began, 1),
                "config": dataclasses.asdict(config),
                "tasks": watch.tasks,
            },
        )

    print(f"What the components print is in {file.with_suffix('.log')}")
    # The record so far stays if the run is killed.
    watch = Watch(root, file.with_suffix(".log"), write)
    write()
    try:
        with watch.running():
            make_pipeline(config)(
                films=os.path.abspath(films)
                if os.path.exists(films)
                else films,
                films_fingerprint=_fingerprint(sources, config.example_gen),
                saved_models=os.path.abspath(config.saved_models),
                previous_statistics=_statistics_before(root, config) or "",
                warm_start_fingerprint=_of_path(config.trainer.warm_start),
                beam_options=json.dumps(list(beam_options)),
            )
        status = "succeeded"
        for folder in _unfinished(root):
            shutil.rmtree(folder)
    except PipelineError:
        status = "failed"
        raise
    finally:
        write()
    return file


def _check_readable(sources):
    """Checks that at least one film can be read.

    ExampleGen checks how many fail.
    """
    reasons = []
    for source in sources.sources:
        if source.pictures:
            return
        try:
            with local_file(source.path) as path:
                if next(film.read(path, film.Decoded()), None) is not None:
                    return
            reason = "no frame in it"
        except Exception as error:
            # The decoder can raise any exception for a broken film.
            reason = str(error)
        reasons.append(f"  {source.path}: {reason}")
    raise InputError(
        f"Expected films that can be read. Received: {len(reasons)}, none of "
        "which can be:\n" + "\n".join(reasons[:20])
    )


def _remove_altered(root):
    """Moves altered artifacts aside, and removes unfinished ones.

    It keeps unfinished ones of ExampleGen and Trainer, which resume.
    """
    for folder in _unfinished(root):
        if folder.parent.name not in ("ExampleGen", "Trainer"):
            shutil.rmtree(folder)
    for component in (root / "artifacts").glob("*"):
        for name in list(moved_aside(component)):
            restore(component / name, artifacts.ARTIFACT)
    for folder in sorted((root / "artifacts").glob("*/[!.]*")):
        if not artifacts.is_whole(folder):
            aside = folder.with_name(f".altered-{uuid.uuid4().hex[:8]}")
            os.replace(folder, aside)
            print(
                f"{folder} has been altered, and is made again; the altered "
                f"one is now {aside}"
            )


def _unfinished(root):
    return list((root / "artifacts").glob(f"*/{artifacts.UNFINISHED}*"))


def _statistics_before(root, config):
    """The statistics of the last successful run, if there is one.

    The run must have the same name and the same settings of ExampleGen; others
    differ on purpose.
    """
    if not config.example_validator.beside_previous:
        return None
    wanted = json.loads(json.dumps(dataclasses.asdict(config.example_gen)))
    for file in sorted(root.glob("runs/*.json"), reverse=True):
        run = read_run(file)
        if (run["name"], run["status"]) != (config.name, "succeeded"):
            continue
        if run["config"]["example_gen"] != wanted:
            continue
        for task in run["tasks"]:
            if task["component"] == "StatisticsGen" and os.path.isdir(
                task["uri"]
            ):
                return task["uri"]
    return None


def _fingerprint(sources, example_gen):
    """SHA-256 of the films: names, groups, labels, bytes."""
    lines = []
    for source in sources.sources:
        try:
            about = source.describe()
        except OSError as error:
            # It will fail in ExampleGen, which counts it.
            about = {"error": str(error)}
        # Without the path.
        known = dataclasses.asdict(source) | about
        del known["path"]
        lines.append(json.dumps(known, sort_keys=True))
    if example_gen.kind == "percepts":
        lines.append(json.dumps(sorted(example_gen.percepts.sums().values())))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _of_path(path):
    if path is None:
        return ""
    path = pathlib.Path(path)
    if path.is_dir():
        return fingerprint(checksums(path))
    return sha256(path)
