"""kill -9 at random moments: of an export, and of two jobs on one output."""

import contextlib
import io
import multiprocessing
import os
import shutil
import time

import keras
import numpy as np
import pytest
from films import write_film

from pipelines import arguments
from pipelines import patches
from video_repr import Encoder
from video_repr.export import layout
from video_repr.export.saved_model import export_encoder

pytestmark = [pytest.mark.slow, pytest.mark.hard]

TIMES = 50


@pytest.fixture(scope="module")
def start():
    """Starts a function in a process that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "tensorflow",
            "keras",
            "pipelines.job",
            "pipelines.transforms.crop",
            "pipelines.transforms.parts",
            "pipelines.transforms.shards",
            "video_repr.export.saved_model",
        ]
    )

    def run(function, *given):
        process = context.Process(target=function, args=given)
        process.start()
        return process

    # The first one waits for the imports.
    run(os.getpid).join()
    return run


def seconds_of(process):
    began = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began


def kill_within(processes, seconds, rng):
    """Kills each at a moment of its own."""
    moments = rng.uniform(0, seconds, len(processes))
    began = time.monotonic()
    for moment, process in sorted(
        zip(moments, processes, strict=True), key=lambda pair: pair[0]
    ):
        time.sleep(max(0, moment - (time.monotonic() - began)))
        process.kill()
    for process in processes:
        process.join()


def export(path, seed):
    keras.utils.set_random_seed(seed)
    encoder = Encoder((3,))
    encoder.build((None, 4, 16))
    export_encoder(encoder, path, (4, 4))


def weights_of(path):
    layout.check(path)
    encoder = keras.models.load_model(path / "encoder.keras")
    return np.concatenate([w.ravel() for w in encoder.get_weights()])


def test_an_export(start, tmp_path, rng):
    old, path = tmp_path / "old" / "1", tmp_path / "e" / "1"
    export(old, 0)
    seconds = seconds_of(start(export, path, 1))
    of_old, of_new = weights_of(old), weights_of(path)
    assert not np.array_equal(of_old, of_new)
    found = []
    for _ in range(TIMES):
        shutil.rmtree(path)
        shutil.copytree(old, path)
        kill_within([start(export, path, 1)], 1.1 * seconds, rng)
        # Read, which puts it back where it has to be.
        weights = weights_of(path)
        found.append(np.array_equal(weights, of_new))
        assert found[-1] or np.array_equal(weights, of_old)
    seconds_of(start(export, path, 1))
    np.testing.assert_array_equal(weights_of(path), of_new)
    assert list(path.parent.iterdir()) == [path]
    assert 0 < sum(found) < TIMES


def cut(films, out):
    code = arguments.main(
        patches.Arguments,
        "pipelines.patches",
        [
            *("--input", str(films), "--output", str(out)),
            *("--clip-frames", "4", "--size", "16"),
            *("--validation", "0", "--test", "0"),
        ],
    )
    assert code == 0


def bytes_of(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_two_jobs_on_one_output(start, tmp_path, rng):
    films = tmp_path / "films"
    films.mkdir()
    for number in range(4):
        film = rng.integers(0, 256, (20, 40, 48), np.uint8)
        write_film(films / f"{number}.mp4", film)
    whole, out = (
        tmp_path / "whole" / "cut" / "1",
        tmp_path / "out" / "cut" / "1",
    )
    seconds = seconds_of(start(cut, films, whole))
    expected = bytes_of(whole)
    went_on = complete = 0
    for _ in range(TIMES):
        both = [start(cut, films, out) for _ in range(2)]
        kill_within(both, 1.2 * seconds, rng)
        if out.exists():
            complete += 1
            assert bytes_of(out) == expected
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            cut(films, out)
        went_on += "are done already" in printed.getvalue()
        assert bytes_of(out) == expected
        left = {path.name for path in out.parent.iterdir()} - {".1.lock"}
        assert left == {"1"}
        shutil.rmtree(out.parent)
    assert went_on
    assert complete
