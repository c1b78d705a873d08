"""Running the training pipeline on this machine, and what became of it.

ROOT/artifacts/COMPONENT/FINGERPRINT/   artifacts, see `artifacts`
ROOT/cache/                             kfp's: what was made of what
ROOT/runs/TIME.json                     runs: components, times, artifacts
"""

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import time

from pipelines.sources import Sources
from pipelines.training import artifacts
from pipelines.training.watching import Watch
from pipelines.training_pipeline import make_pipeline
from pipelines.transforms import decode
from video_repr.errors import InputError
from video_repr.errors import PipelineError
from video_repr.files import read_json
from video_repr.files import write_json


def run_pipeline(config, root, beam_options=()):
    """Runs a training pipeline, but for what is done already.

    Args:
        config: a `pipelines.training.config.PipelineConfig`.
        root: directory of its artifacts.
        beam_options: Beam's own options for ExampleGen.

    Returns:
        The file that says what became of it, a `pathlib.Path`.

    Raises:
        InputError: before anything runs, if there are no films, or none of
            them can be read.
        PipelineError: if a component failed.
    """
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
    with _alone(root):
        return _run(config, root, sources, beam_options)


@contextlib.contextmanager
def _alone(root):
    """Refuses a second run in a root while there is one."""
    with open(root / "lock", "w") as file:
        try:
            # Given back by the system when the process ends, however it does.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                "Expected a root in which no pipeline runs, or another "
                f"--root. Received: {root}"
            ) from error
        yield


def _run(config, root, sources, beam_options):
    _remove_altered(root)
    now = datetime.datetime.now(datetime.UTC)
    file = root / "runs" / f"{now:%Y%m%dT%H%M%S.%f}.json"
    films = config.films
    watch = Watch(root, file.with_suffix(".log"))
    began = time.monotonic()

    def write(status):
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
    # As it stays if it is killed.
    status = "unfinished"
    write(status)
    try:
        with watch.running():
            make_pipeline(config)(
                films=os.path.abspath(films)
                if os.path.exists(films)
                else films,
                films_fingerprint=_fingerprint(sources),
                saved_models=os.path.abspath(config.saved_models),
                previous_statistics=_statistics_before(root) or "",
                warm_start_fingerprint=_of_path(config.trainer.warm_start),
                beam_options=json.dumps(list(beam_options)),
            )
        status = "succeeded"
    except PipelineError:
        status = "failed"
        raise
    finally:
        write(status)
    return file


def _check_readable(sources):
    """Refuses films none of which can be read: the first that can be will do.

    How many may fail is for ExampleGen to say.
    """
    reasons = []
    for source in sources.sources:
        if source.pictures:
            return
        try:
            with decode.local_file(source.path) as path:
                if next(decode.film(path, decode.Decoded()), None) is not None:
                    return
            reason = "no frame in it"
        except Exception as error:
            # Whatever a broken film makes of its decoder.
            reason = str(error)
        reasons.append(f"  {source.path}: {reason}")
    raise InputError(
        f"Expected films that can be read. Received: {len(reasons)}, none of "
        "which can be:\n" + "\n".join(reasons[:20])
    )


def _remove_altered(root):
    """Forgets artifacts that are not as they were made, and half-made ones.

    Unfinished ones of components that can go on are kept.
    """
    for folder in sorted((root / "artifacts").glob("*/*")):
        if folder.name.startswith(".replaced"):
            shutil.rmtree(folder)
        elif not folder.name.startswith(".") and not artifacts.is_whole(folder):
            print(f"{folder} is not as it was made, and is made again.")
            shutil.rmtree(folder)


def _statistics_before(root):
    """The statistics of the last run that succeeded, if there is one."""
    for file in sorted(root.glob("runs/*.json"), reverse=True):
        run = read_json(file)
        for task in run["tasks"]:
            if (
                run["status"] == "succeeded"
                and task["component"] == "StatisticsGen"
                and os.path.isdir(task["uri"])
            ):
                return task["uri"]
    return None


def _fingerprint(sources: Sources):
    """SHA-256 of what is read: names, groups, labels, bytes."""
    lines = []
    for source in sources.sources:
        try:
            about = source.describe()
        except OSError as error:
            # It will fail, and be counted.
            about = {"error": str(error)}
        if source.pictures:
            about = {"sha256": artifacts.fingerprint(source.path)}
        lines.append(f"{source.to_line()} {json.dumps(about)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _of_path(path):
    if path is None:
        return ""
    path = pathlib.Path(path)
    if path.is_dir():
        return artifacts.fingerprint(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
