import dataclasses
import json

import numpy as np
import pytest

from benchmarks import future_prediction
from benchmarks import input as feeding
from benchmarks import time_to_quality
from benchmarks import tries
from video_repr import configs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny(digits_file):
    return configs.Config(
        data=configs.MovingMNISTConfig(
            digits=str(digits_file),
            frame_size=16,
            validation_sequences=8,
            test_sequences=8,
        ),
        model=configs.ModelConfig(units=(8,), input_frames=3, future_frames=2),
        training=configs.TrainingConfig(
            epochs=2, steps_per_epoch=15, batch_size=4, jit_compile=False
        ),
    )


def test_the_curve_counts_what_was_trained_and_sees_it_learn(tiny):
    points = list(time_to_quality.curve(tiny, 60, "validation", 3))
    assert [point["sequences"] for point in points] == [40, 80, 120]
    flop = time_to_quality.work_of(tiny).flop()
    assert [point["flop"] for point in points] == [
        flop * updates for updates in (10, 20, 30)
    ]
    seconds = [point["seconds"] for point in points]
    assert seconds == sorted(seconds)
    for branch in ("future", "reconstruction"):
        losses = [point[f"{branch}_bce_sum_per_frame"] for point in points]
        assert losses == sorted(losses, reverse=True)


@pytest.mark.hard
def test_the_curve_ends_with_its_time(tiny):
    (point,) = time_to_quality.curve(tiny, 1e-6, "test", 3)
    assert point["sequences"] == 4


@pytest.mark.hard
@pytest.mark.parametrize("branch", ["future", "reconstruction"])
def test_the_curve_of_a_single_branch(tiny, branch):
    other = {"future": "reconstruction", "reconstruction": "future"}[branch]
    model = dataclasses.replace(tiny.model, **{other: "none"})
    config = dataclasses.replace(tiny, model=model)
    (point,) = time_to_quality.curve(config, 1e-6, "validation", 1)
    assert point[f"{branch}_bce_sum_per_frame"] > 0
    assert point[f"{other}_bce_sum_per_frame"] is None


@pytest.mark.hard
def test_the_input_is_compared_with_updates(tiny):
    result = feeding.measure(tiny, updates=2, batches=2)
    assert set(result) == {
        "update",
        "moving mnist",
        "on the device",
        "tfrecords",
    }
    for rate in result.values():
        assert rate["of_update"] == pytest.approx(
            rate["sequences_per_s"] / result["update"]["sequences_per_s"]
        )
        assert rate["processor_share"] > 0


@pytest.mark.hard
def test_a_try_trains_for_its_time(tiny):
    attempt = tries.Try(
        training={"learning_rate": 3e-3},
        optimizer="Nadam",
        options={"use_ema": True, "ema_momentum": 0.9},
        scale={"encoder/lstm_1/cell/kernel": 2.0},
        orthogonal=True,
    )
    result = tries.run(attempt, tiny, minutes=0.02)
    assert result["sequences"] == 4 * result["updates"] > 0
    assert result["future"] > 0
    assert result["reconstruction"] > 0


@pytest.mark.hard
def test_tries_go_on_where_they_stopped_and_not_with_others(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(configs, "load", lambda name: tiny)
    file = tmp_path / "tries.json"

    def call(minutes, *names):
        monkeypatch.setattr(
            "sys.argv",
            [
                *("tries", "--tries", *names, "--minutes", minutes),
                *("--digits", tiny.data.digits, "--json", str(file)),
            ],
        )
        tries.main()
        return json.loads(file.read_text())["results"]

    first = call("0.005", "base")
    both = call("0.005", "base", "256 units")
    assert list(both) == ["base", "256 units"]
    assert both["base"] == first["base"]
    before = file.read_bytes()
    with pytest.raises(SystemExit, match="Received: other minutes"):
        call("0.006", "base")
    assert file.read_bytes() == before
    # A try that has changed is made again.
    monkeypatch.setitem(tries.TRIES, "base", tries.Try(loss_weights=None))
    assert call("0.005", "base")["base"] == first["base"]
    monkeypatch.setitem(
        tries.TRIES, "base", tries.Try(training={"learning_rate": 1.0})
    )
    again = call("0.005", "base")["base"]
    assert again["changes"]["training"] == {"learning_rate": 1.0}


def test_rows_of_the_table_cost_the_same(tiny):
    operations = 1000 * time_to_quality.work_of(tiny).flop()
    for row in future_prediction.ROWS:
        config = future_prediction.config_of(row, tiny, 3, operations)
        cost = time_to_quality.work_of(config).flop() * config.training.steps
        assert cost == pytest.approx(operations, rel=1e-3)
        assert config.training.seed == 3
    kinds = [
        (model.reconstruction, model.future)
        for model in (
            future_prediction.config_of(row, tiny, 0, operations).model
            for row in future_prediction.ROWS
        )
    ]
    assert len(set(kinds)) == 4


@pytest.mark.hard
def test_the_table_goes_on_where_it_stopped(
    tiny, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(configs, "load", lambda name: tiny)
    file = tmp_path / "table.json"

    def call(*seeds):
        monkeypatch.setattr(
            "sys.argv",
            [
                *("future_prediction", "--rows", "composite"),
                *("--digits", tiny.data.digits, "--operations", "1e6"),
                *("--json", str(file), "--seeds", *map(str, seeds)),
            ],
        )
        future_prediction.main()
        return json.loads(file.read_text())["results"]

    file.write_text("[]")
    with pytest.raises(SystemExit, match="Expected a new file"):
        call(0)
    file.unlink()
    first = call(0)
    assert [r["seed"] for r in first] == [0]
    assert np.isfinite(first[0]["future"])
    both = call(0, 1)
    assert both[0] == first[0]
    assert [r["seed"] for r in both] == [0, 1]
    assert "2 seeds, 0 diverged" in capsys.readouterr().out


def test_the_table_counts_what_diverged():
    results = [
        {"row": "composite", "future": loss}
        for loss in (400.0, 402.0, float("nan"))
    ]
    (line,) = future_prediction.summary(results)
    assert "401.0 +- 1.4" in line
    assert "3 seeds, 1 diverged" in line
