"""kill -9 at any moment: nothing is lost, and the same comes out."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from killing import Killer
from percept_data import run_on
from percept_data import write_percepts

from video_repr import Encoder
from video_repr.export.saved_model import export_encoder
from video_repr.runs import Run
from video_repr.training import pretrain

ROOT = pathlib.Path(__file__).parents[2]
TRAIN = """
import json, pathlib, sys
from video_repr import configs
from video_repr.training import pretrain
config = configs.from_dict(json.loads(pathlib.Path(sys.argv[1]).read_text()))
pretrain(config, sys.argv[2], resume=True)
"""
EMBED = """
import runpy
runpy.run_module("pipelines.embed", run_name="__main__")
"""


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, forks):
    """Makes a run of so many epochs; returns it, another, and its start."""
    directory = tmp_path_factory.mktemp("killed")
    rng = np.random.default_rng(2)
    path = write_percepts(rng, directory, clips=40)

    def make(epochs):
        config = run_on(path, dropout=0.2, scheduled_sampling=0.3)
        model = dataclasses.replace(config.model, future="conditional")
        training = dataclasses.replace(
            # Epochs of the run are none of the dataset's.
            config.training, epochs=epochs, steps_per_epoch=7, batch_size=3,
            jit_compile=False,
        )  # fmt: skip
        config = dataclasses.replace(config, model=model, training=training)
        whole = pretrain(config, directory / f"whole-{epochs}")
        file = directory / f"config-{epochs}.json"
        file.write_text(json.dumps(config.to_dict()))
        run = Run(directory / f"killed-{epochs}")
        return (
            whole,
            run,
            lambda: forks.start(TRAIN, file, run.path, folder=directory),
        )

    return make


def check_same(whole, run):
    """Every array of every checkpoint, and what was measured."""
    for checkpoint in ("last", "best"):
        a, b = (r.model(getattr(r, checkpoint)) for r in (whole, run))
        arrays = [
            [np.array(v) for v in (*m.variables, *m.optimizer.variables)]
            for m in (a, b)
        ]
        assert len(arrays[0]) == len(arrays[1]) > 20
        for x, y in zip(*arrays, strict=True):
            np.testing.assert_array_equal(x, y)
    seconds = ("seconds",)
    lines = [
        [{k: v for k, v in line.items() if k not in seconds} for line in m]
        for m in (whole.metrics(), run.metrics())
    ]
    assert lines[0] == lines[1]
    for file in ("evaluation.json", "videos.json", "data.json", "config.json"):
        assert (whole.path / file).read_text() == (run.path / file).read_text()
    assert not list(run.path.rglob(".partial*"))


@pytest.mark.hard
def test_a_dataset_run_that_is_killed_three_times(run_of):
    whole, run, start = run_of(12)
    killer = Killer(start)
    for epochs in (2, 4, 6):
        assert killer.kill(
            0, 0.2, lambda epochs=epochs: len(run.metrics()) >= epochs
        )
        assert epochs <= len(run.metrics()) < 12
        assert not run.evaluation_file.exists()
    killer.finish()
    check_same(whole, run)


@pytest.mark.hard
def test_a_dataset_run_that_is_killed_at_random(run_of):
    whole, run, start = run_of(200)
    killer = Killer(start, seed=1)
    for _ in range(50):
        # From the import of this package to some epochs of training.
        killer.kill(0, 10)
        done = len(run.metrics())
        assert done <= 200
        if run.last.exists():
            assert run.epochs(run.last) >= done - 1
    killer.finish()
    check_same(whole, run)


@pytest.mark.hard
def test_an_embedding_that_is_killed_at_random(tmp_path, films, forks):
    encoder = Encoder((6,))
    encoder.build((None, 4, 256))
    export_encoder(encoder, tmp_path / "encoder", (16, 16))

    def embed(output):
        return forks.start(
            EMBED,
            *("--encoder", tmp_path / "encoder", "--films", films),
            *("--output", output, "--clip-frames", 4),
            folder=ROOT,
        )

    whole = tmp_path / "whole"
    seconds = Killer(lambda: embed(whole)).finish()

    def files(output):
        found = {
            path.relative_to(output).as_posix(): path.read_bytes()
            for path in output.rglob("*")
            if path.is_file() and path.suffix in (".parquet", ".tfrecord")
        }
        assert (output / "COMPLETED").exists()
        return found

    expected = files(whole)
    for round_ in range(10):
        output = tmp_path / f"killed-{round_}"
        killer = Killer(lambda output=output: embed(output), seed=round_)
        for _ in range(5):
            killer.kill(0.1 * seconds, 1.1 * seconds)
            if (output / "COMPLETED").exists():
                assert files(output) == expected
        killer.finish()
        assert files(output) == expected
        left = {p.name for p in output.iterdir() if "partial" in p.name}
        assert not left
