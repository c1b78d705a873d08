import dataclasses
import json
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from video_repr import InputError
from video_repr import callbacks
from video_repr import configs
from video_repr.data import moving_mnist_on_device
from video_repr.errors import DivergedError
from video_repr.runs import Run
from video_repr.training import build_model
from video_repr.training import pretrain
from video_repr.training import train

pytestmark = pytest.mark.slow


def tiny(digits_file, epochs=8, jit_compile=False, **training):
    return configs.Config(
        data=configs.MovingMNISTConfig(
            digits=str(digits_file),
            frame_size=16,
            validation_sequences=6,
            test_sequences=10,
        ),
        # All that draws random numbers in a step.
        model=configs.ModelConfig(
            units=(8,),
            input_frames=4,
            future_frames=3,
            reconstruction="none",
            future="conditional",
            scheduled_sampling=0.5,
            dropout=0.2,
        ),
        training=configs.TrainingConfig(
            epochs=epochs,
            steps_per_epoch=4,
            steps_per_execution=3,
            batch_size=2,
            # Takes longer than all of the training.
            jit_compile=jit_compile,
            **training,
        ),
    )


@pytest.fixture(scope="module")
def whole(digits_file, tmp_path_factory):
    return pretrain(tiny(digits_file), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def run(whole, tmp_path):
    """A copy of a run that has ended."""
    return Run(shutil.copytree(whole.path, tmp_path / "run"))


TRAIN = """
import json, pathlib, sys
from video_repr import configs
from video_repr.training import pretrain
config = configs.from_dict(json.loads(pathlib.Path(sys.argv[1]).read_text()))
pretrain(config, sys.argv[2], resume=True)
"""


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.hard)]
)
def test_killed_and_resumed_ends_as_if_it_had_not_been(
    whole, tmp_path, forks, jit_compile
):
    """An execution's steps do not divide those of an epoch."""
    config = whole.config()
    if jit_compile:
        training = dataclasses.replace(config.training, jit_compile=True)
        model = dataclasses.replace(config.model, units=(8, 8))
        config = dataclasses.replace(config, training=training, model=model)
        whole = pretrain(config, tmp_path / "whole")
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    run = Run(tmp_path / "killed")
    given = TRAIN, tmp_path / "config.json", run.path
    process = forks.start(*given, folder=tmp_path)
    deadline = time.monotonic() + 200
    while not run.last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill(signal.SIGKILL)
    process.wait()
    assert 1 <= len(run.metrics()) < 8
    assert not run.evaluation_file.exists()
    done = forks.start(*given, folder=tmp_path).wait()
    assert done.returncode == 0, done.stderr
    for checkpoint in ("last", "best"):
        a, b = (
            r.model(getattr(r, checkpoint)).get_weights() for r in (whole, run)
        )
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
    assert json.loads(whole.evaluation_file.read_text()) == json.loads(
        run.evaluation_file.read_text()
    )
    assert [line["val_loss"] for line in whole.metrics()] == [
        line["val_loss"] for line in run.metrics()
    ]


@pytest.mark.parametrize(
    "interrupted", [False, pytest.param(True, marks=pytest.mark.hard)]
)
def test_sequences_of_a_gpu_train_as_those_of_the_host(
    whole, tmp_path, monkeypatch, interrupted
):
    made = []
    maker = moving_mnist_on_device.maker
    monkeypatch.setattr(
        moving_mnist_on_device,
        "maker",
        lambda mnist: made.append(mnist) or maker(mnist),
    )
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    save = Run.save

    def save_or_stop(run, model, path, epoch):
        if epoch == 4:
            raise KeyboardInterrupt
        save(run, model, path, epoch)

    if interrupted:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Run, "save", save_or_stop)
            train(whole.config(), tmp_path / "run")
    run = train(whole.config(), tmp_path / "run", resume=True)
    assert len(made) == 1 + interrupted
    for a, b in zip(
        whole.model(whole.last).get_weights(),
        run.model(run.last).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_what_a_run_leaves(run, digits_file):
    config = tiny(digits_file)
    assert run.config() == config
    assert [line["step"] for line in run.metrics()] == [*range(4, 36, 4)]
    assert {p.name for p in run.figures.iterdir()} == {
        "errors.png",
        "prediction.gif",
        *(f"strips-{i}.png" for i in (1, 2, 3, 4)),
    }
    made = run.made()
    assert (made["precision"], made["tf32"]) == ("float32", False)
    assert list(run.tensorboard.rglob("events*"))
    evaluation = json.loads(run.evaluation_file.read_text())
    assert evaluation["data"]["sequences"] == 10
    assert not list(run.path.rglob(".partial*"))
    with pytest.raises(InputError, match="--resume goes on with it"):
        pretrain(config, run.path)
    other = dataclasses.replace(
        config, model=dataclasses.replace(config.model, units=(9,))
    )
    with pytest.raises(
        InputError, match=r"model.units \(9,\) instead of \(8,\)$"
    ):
        pretrain(other, run.path, resume=True)
    run.last.write_bytes(run.last.read_bytes()[:1000])
    with pytest.raises(InputError, match="Expected a whole checkpoint"):
        pretrain(config, run.path, resume=True)


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(run, digits_file):
    good = run.model(run.last)
    # The run goes on for one epoch from weights of which one is broken.
    longer = tiny(digits_file, epochs=9)
    run.config_file.write_text(json.dumps(longer.to_dict()))
    good.trainable_variables[0].assign(
        np.full(good.trainable_variables[0].shape, np.nan)
    )
    run.save(good, run.last, epochs=8)
    before = run.last.read_bytes()
    with pytest.raises(
        DivergedError, match=r"NaN or infinite in epoch 9.*last"
    ):
        pretrain(longer, run.path, resume=True)
    assert run.last.read_bytes() == before
    assert len(run.metrics()) == 8


def test_epochs_count_steps_that_loss_scaling_skipped(digits_file, tmp_path):
    """float16 overflows at first; the run is no longer for it."""
    config = tiny(digits_file, epochs=2, precision="mixed_float16")
    run = pretrain(config, tmp_path / "run")
    assert [line["step"] for line in run.metrics()] == [4, 8]
    before = run.last.read_bytes()
    pretrain(config, run.path, resume=True)
    assert run.last.read_bytes() == before


def test_resume_takes_the_digits_that_auto_found(run, digits_file):
    """What a killed process left is removed."""
    (run.path / ".partial-0123-figures").mkdir()
    (run.path / ".partial-0123-figures" / "a.png").touch()
    (run.path / "checkpoints" / ".partial-0123-last.keras").touch()
    config = tiny(digits_file)
    auto = dataclasses.replace(
        config, data=dataclasses.replace(config.data, digits="auto")
    )
    pretrain(auto, run.path, resume=True)
    assert run.config() == config
    assert not list(run.path.rglob(".partial*"))


def test_resume_refuses_other_digits_of_the_same_name(
    run, digits_file, tmp_path
):
    file = shutil.copy(digits_file, tmp_path / "digits.npz")
    config = tiny(file)
    run.config_file.write_text(json.dumps(config.to_dict()))
    glyphs = dict(np.load(file))
    glyphs["x_train"][3, 4, 4] ^= 255
    np.savez(file, **glyphs)
    with pytest.raises(InputError, match="Received: other digits"):
        pretrain(config, run.path, resume=True)


class Watch:
    """In place of `time`: each look at it takes a second."""

    def __init__(self, breaks_after=None):
        self._seconds, self._breaks_after = 100.0, breaks_after

    def monotonic(self):
        self._seconds += 1
        if self._seconds - 100 == self._breaks_after:
            raise SystemExit("killed")
        return self._seconds


def test_a_training_for_minutes(
    digits_file, tmp_path, eager, monkeypatch, capsys
):
    """An epoch is two executions, of 3 and 1 steps, and takes 3 seconds.

    Of the third only the first execution begins within the 7.8 seconds.
    """
    minutes, rate = 0.13, 1e-2
    config = tiny(
        digits_file,
        epochs=None,
        minutes=minutes,
        learning_rate=rate,
        precision="tf32",
    )
    runs = []
    for name, breaks_after in (("whole", None), ("killed", 9)):
        monkeypatch.setattr(callbacks, "time", Watch(breaks_after))
        directory = tmp_path / name
        if breaks_after:
            with pytest.raises(SystemExit):
                train(config, directory)
            assert len(Run(directory).metrics()) == 1
            monkeypatch.setattr(callbacks, "time", Watch())
        runs.append(train(config, directory, resume=True))
    whole, killed = runs
    printed = capsys.readouterr().out
    assert "for 0.13 minutes; the result depends on the speed" in printed
    assert "Epoch 3, 77% of 0.13 minutes are over" in printed
    # What is spent before the last execution of each epoch.
    spent = np.array([2, 5, 6]) / 7.8
    for run in runs:
        lines = run.metrics()
        assert [line["step"] for line in lines] == [4, 8, 11]
        np.testing.assert_allclose(
            [line["share"] for line in lines],
            np.array([3, 6, 8]) / 7.8,
        )
        np.testing.assert_allclose(
            [line["learning_rate"] for line in lines],
            rate * (1 - spent),
            rtol=1e-5,
        )
    a, b = (run.model(run.last) for run in runs)
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    decoder = a.decoders["future"]
    assert float(
        decoder.scheduled_sampling(decoder.training_steps)
    ) == pytest.approx(0.5 * spent[-1])
    assert whole.updates(whole.last) == 11
    about = json.loads(whole.config_file.read_text())["training"]
    assert (about["epochs"], about["minutes"]) == (None, minutes)
    assert about["repeatable"] is False
    made = whole.made()
    assert (made["precision"], made["tf32"]) == ("float32", True)
    before = killed.last.read_bytes()
    train(config, killed.path, resume=True)
    assert killed.last.read_bytes() == before


def test_weights_are_a_function_of_the_seed(digits_file):
    a, b, c = (
        build_model(tiny(digits_file, seed=s)).get_weights() for s in (1, 1, 2)
    )
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(np.array_equal(x, y) for x, y in zip(a, c, strict=True))


def test_nothing_is_left_by_a_run_that_cannot_start(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        pretrain(tiny(tmp_path / "no.npz"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="has other files"):
        pretrain(tiny(tmp_path / "no.npz"), tmp_path / "other")
