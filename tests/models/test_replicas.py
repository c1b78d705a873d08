"""Several devices, and several machines, learn what one device learns."""

import json
import re
import signal
import socket
import time

import pytest

from video_repr import InputError
from video_repr import configs
from video_repr import devices
from video_repr import training
from video_repr.devices import Devices
from video_repr.devices import Workers
from video_repr.runs import Run

pytestmark = pytest.mark.slow

DEVICES = """
import sys
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
from video_repr import Decoder, Encoder, VideoSeq2Seq

strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
clips = np.random.default_rng(0).random((40, 5, 6)).astype("float32")
name, jit_compile = sys.argv[1], sys.argv[2] == "True"
make = {
    "sgd": lambda: keras.optimizers.SGD(0.1, global_clipnorm=1.0),
    # Its norm is that of all gradients, and each update clips.
    "nadam": lambda: keras.optimizers.Nadam(1e-2, global_clipnorm=0.1),
}[name]

def fit(**options):
    keras.utils.set_random_seed(0)
    model = VideoSeq2Seq(
        Encoder((4,)),
        {"future": Decoder((4,), 6, conditional=True)},
        input_frames=3,
        future_frames=2,
    )
    model.build((None, 5, 6))
    before = model.get_weights()
    model.compile(make(), **options)
    logs = model.fit(
        clips,
        batch_size=4,
        shuffle=False,
        verbose=0,
        # The last one is of one device alone.
        validation_data=clips[:5],
    ).history
    return model, before, logs

model, before, logs = fit(jit_compile=False)
one = model.get_weights()
if jit_compile:
    model.compile(make(), jit_compile=True)
    model.save("one.keras")
with strategy.scope():
    # Steps of an execution that do not divide those of an epoch.
    model, _, of_two = fit(jit_compile=jit_compile, steps_per_execution=3)
print(
    max(
        np.abs(two - one).max() / np.abs(one - start).max()
        for start, one, two in zip(before, one, model.get_weights())
    )
)
for key, (value,) in logs.items():
    np.testing.assert_allclose(of_two[key], [value], rtol=1e-6, err_msg=key)
assert model.optimizer.iterations == 10
for data in (
    clips[:7],
    tf.data.Dataset.from_tensor_slices(clips).batch(3, drop_remainder=True),
    tf.data.Dataset.from_tensor_slices(clips[:7]).batch(4),
):
    try:
        model.fit(data, batch_size=4, verbose=0)
    except ValueError as error:
        print(error)
if jit_compile:
    with strategy.scope():
        assert keras.models.load_model("one.keras").jit_compile
else:
    # A strategy of one device is none to us.
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model, *_ = fit(jit_compile=False)
    for alone, of_one in zip(one, model.get_weights()):
        np.testing.assert_array_equal(of_one, alone)
"""


@pytest.mark.parametrize(
    ("optimizer", "jit_compile"),
    [
        ("sgd", True),
        # The two workers below learn with Nadam.
        pytest.param("nadam", True, marks=pytest.mark.hard),
        pytest.param("nadam", False, marks=pytest.mark.hard),
        pytest.param("sgd", False, marks=pytest.mark.hard),
    ],
)
def test_two_devices_learn_what_one_learns(forked, optimizer, jit_compile):
    difference, *errors = forked(DEVICES, optimizer, jit_compile).splitlines()
    assert float(difference) < 1e-5
    assert errors == [
        f"Expected batches that 2 devices divide. Received: a batch of {n} "
        "clips"
        for n in (3, 3, 3)
    ]


@pytest.mark.parametrize(
    ("training", "cluster", "message"),
    [
        ({"devices": 3}, None, "at most 2, as there are CPUs. Received: 3"),
        (
            {"devices": "all", "batch_size": 5},
            None,
            "training.batch_size that 2 devices divide. Received: 5",
        ),
        ({}, {"ps": ["a:1"], "worker": ["b:1", "c:1"]}, "Expected TF_CONFIG"),
        ({}, {"worker": []}, "Expected TF_CONFIG"),
        (
            {"batch_size": 4},
            {"worker": ["a:1", "b:1", "c:1"]},
            "that 3 devices divide. Received: 4",
        ),
        (
            {"minutes": 1.0},
            {"worker": ["a:1", "b:1"]},
            "Expected training.epochs for several machines",
        ),
    ],
)
def test_what_cannot_be_is_refused(monkeypatch, training, cluster, message):
    monkeypatch.setattr(
        devices.tf.config, "list_logical_devices", lambda _: ["one", "two"]
    )
    if cluster:
        task = {"type": "worker", "index": 0}
        monkeypatch.setenv(
            "TF_CONFIG", json.dumps({"cluster": cluster, "task": task})
        )
    with pytest.raises(InputError, match=re.escape(message)):
        Devices.of(configs.TrainingConfig(**training))


def test_a_chief_is_the_first_worker(monkeypatch):
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    task = {"type": "worker", "index": 1}
    given = json.dumps({"cluster": cluster, "task": task})
    monkeypatch.setenv("TF_CONFIG", given)
    workers = Workers.from_environment()
    assert workers.addresses == ("a:1", "b:1", "c:1")
    assert workers.name(workers.index) == "worker 2 (c:1)"
    assert not workers.is_first


WORKER = """
import json, os, pathlib, signal, sys
import keras
from video_repr import configs, devices, training

devices._PATIENCE = 1
file, run, killed = sys.argv[1:]
config = configs.from_dict(json.loads(pathlib.Path(file).read_text()))
if killed == "killed":
    class Dies(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                os.kill(os.getpid(), signal.SIGKILL)
    fit = training.VideoSeq2Seq.fit
    training.VideoSeq2Seq.fit = lambda self, *args, callbacks, **given: fit(
        self, *args, callbacks=[Dies()], **given
    )
training.train(config, run, resume=True)
"""


def start_workers(forks, folder, *of_each):
    """Starts workers; each has a config, a run, and how it ends."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    cluster = [f"localhost:{of.getsockname()[1]}" for of in sockets]
    for of in sockets:
        of.close()
    started = []
    for index, (config, *rest) in enumerate(of_each):
        file = folder / f"config-{index}.json"
        file.write_text(json.dumps(config.to_dict()))
        task = {"type": "worker", "index": index}
        given = {"cluster": {"worker": cluster}, "task": task}
        started.append(
            forks.start(
                WORKER,
                file,
                *rest,
                folder=folder,
                TF_CONFIG=json.dumps(given),
            )
        )
    return cluster, started


def config_of(digits_file, **training):
    return configs.Config(
        data=configs.MovingMNISTConfig(
            digits=str(digits_file),
            frame_size=16,
            validation_sequences=5,
            test_sequences=2,
        ),
        model=configs.ModelConfig(
            units=(4,),
            input_frames=3,
            future_frames=2,
            reconstruction="none",
        ),
        training=configs.TrainingConfig(
            epochs=2,
            steps_per_epoch=5,
            steps_per_execution=2,
            batch_size=4,
            clip_norm=0.1,
            **{"jit_compile": False, **training},
        ),
    )


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.hard)]
)
def test_two_workers_of_which_one_is_killed_learn_what_one_learns(
    digits_file, tmp_path, forks, jit_compile
):
    config = config_of(digits_file, jit_compile=jit_compile)
    start = training.build_model(config).get_weights()
    alone = training.train(config, tmp_path / "one")
    two = tmp_path / "two"
    _, (first, second) = start_workers(
        forks, tmp_path, (config, two, "-"), (config, two, "killed")
    )
    assert second.wait().returncode == -signal.SIGKILL
    lost = first.wait()
    assert lost.returncode == 1
    assert "Another machine of this training has stopped" in lost.stderr
    run = Run(two)
    assert run.epochs(run.last) == 1
    _, workers = start_workers(forks, tmp_path, *[(config, two, "-")] * 2)
    ends = [worker.wait() for worker in workers]
    assert [end.returncode for end in ends] == [0, 0], ends[0].stderr
    assert "from epoch 2 on, on 2 machines" in ends[0].stdout
    assert run.epochs(run.last) == 2
    weights = [of.model(of.last).get_weights() for of in (alone, run)]
    for before, one, other in zip(start, *weights, strict=True):
        assert abs(other - one).max() <= 1e-5 * abs(one - before).max()


def test_workers_that_disagree_are_refused(digits_file, tmp_path, forks):
    cluster, workers = start_workers(
        forks,
        tmp_path,
        (config_of(digits_file), tmp_path / "run", "-"),
        (config_of(digits_file, learning_rate=1.0), tmp_path / "run", "-"),
    )
    for worker in workers:
        end = worker.wait()
        assert end.returncode == 1
        assert (
            "Expected the same config on all workers. Received: another on "
            f"worker 1 ({cluster[1]}) than on worker 0 ({cluster[0]})"
        ) in end.stderr
    assert not (tmp_path / "run").exists()


def test_a_worker_that_does_not_come_is_named(digits_file, tmp_path, forks):
    given = config_of(digits_file), tmp_path / "run", "-"
    cluster, (worker,) = start_workers(forks, tmp_path, given)
    until = time.monotonic() + 60
    # The second time.
    message = f"Waiting for worker 1 ({cluster[1]}) for 2 s."
    while message not in worker.errors() and time.monotonic() < until:
        time.sleep(0.2)
    worker.kill(signal.SIGKILL)
    assert message in worker.wait().stderr
