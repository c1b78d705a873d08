"""Components of the training pipeline in processes that are forked.

kfp starts a component as a shell that starts Python, which imports Beam and
TensorFlow for ten seconds. Here they are forked from a process that has
imported them already: processes of their own all the same, which can be
killed.
"""

import contextlib
import multiprocessing
import os
import pathlib
import runpy
import sys
import tempfile

from kfp.local import subprocess_task_handler

_IMPORTED = [
    "apache_beam",
    "eager",
    "keras_tuner",
    "kfp.dsl.executor",
    "matplotlib",
    "tensorflow",
    "pipelines.job",
    "pipelines.training.evaluator",
    "pipelines.training.statistics_gen",
    "pipelines.training.trainer",
    "pipelines.transforms.crop",
]
# Process ids of the components that run.
running = set()


@contextlib.contextmanager
def components():
    """Starts components so while the block runs."""
    before = subprocess_task_handler.run_local_subprocess
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)

    def run_forked(full_command, env_vars=None):
        # sh -c SCRIPT SOURCE ARGUMENT ...
        *_, script, source = full_command[:4]
        assert "kfp.dsl.executor_main" in script, full_command
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log.txt"
            process = context.Process(
                target=_run,
                args=(
                    folder,
                    source,
                    full_command[4:],
                    {**os.environ, **(env_vars or {})},
                ),
            )
            process.start()
            running.add(process.pid)
            process.join()
            running.discard(process.pid)
            if log.exists():
                print(log.read_text())
        return process.exitcode

    subprocess_task_handler.run_local_subprocess = run_forked
    try:
        yield
    finally:
        subprocess_task_handler.run_local_subprocess = before


def _run(folder, source, arguments, environment):
    path = pathlib.Path(folder)
    log = os.open(path / "log.txt", os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.clear()
    os.environ.update(environment)
    component = path / "ephemeral_component.py"
    component.write_text(source)
    sys.argv = [
        "executor_main",
        *("--component_module_path", str(component)),
        *arguments,
    ]
    try:
        runpy.run_module("kfp.dsl.executor_main", run_name="__main__")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
