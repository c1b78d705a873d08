import dataclasses
import itertools

import numpy as np
import pytest

from benchmarks import input as feeding
from benchmarks import time_to_quality
from benchmarks import tries
from video_repr import configs


@pytest.fixture(scope="module")
def tiny(digits_file):
    return configs.Config(
        data=configs.DataConfig(
            digits=str(digits_file),
            frame_size=16,
            validation_sequences=8,
            test_sequences=8,
        ),
        model=configs.ModelConfig(units=(8,), input_frames=3, future_frames=2),
        training=configs.TrainingConfig(
            epochs=2, steps_per_epoch=15, batch_size=4
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


def test_the_curve_ends_with_its_time(tiny):
    (point,) = time_to_quality.curve(tiny, 1e-6, "test", 3)
    assert point["sequences"] == 4


@pytest.mark.parametrize("branch", ["future", "reconstruction"])
def test_the_curve_of_a_single_branch(tiny, branch):
    other = {"future": "reconstruction", "reconstruction": "future"}[branch]
    model = dataclasses.replace(tiny.model, **{other: "none"})
    config = dataclasses.replace(tiny, model=model)
    (point,) = time_to_quality.curve(config, 1e-6, "validation", 1)
    assert point[f"{branch}_bce_sum_per_frame"] > 0
    assert point[f"{other}_bce_sum_per_frame"] is None


def test_records_give_back_their_sequences(tmp_path, rng):
    sequences = rng.integers(0, 256, (5, 2, 3, 3), np.uint8)
    feeding.write_records(tmp_path / "records", sequences)
    batches = feeding.read_records(tmp_path / "records", (2, 3, 3), 2)
    read = np.concatenate(list(itertools.islice(batches, 4)))
    np.testing.assert_array_equal(read[:5], sequences)
    np.testing.assert_array_equal(read[5:], sequences[:3])


def test_the_input_is_compared_with_updates(tiny):
    result = feeding.measure(tiny, updates=2, batches=2)
    assert set(result) == {"update", "moving mnist", "tfrecords"}
    for rate in result.values():
        assert rate["of_update"] == pytest.approx(
            rate["sequences_per_s"] / result["update"]["sequences_per_s"]
        )
        assert rate["processor_share"] > 0


def test_a_try_trains_for_its_time(tiny):
    attempt = tries.Try(
        training={"learning_rate": 3e-3},
        scale={"encoder/lstm_1/cell/kernel": 2.0},
        orthogonal=True,
        average=0.9,
    )
    result = tries.run(attempt, tiny, minutes=0.02)
    assert result["sequences"] == 4 * result["updates"] > 0
    assert result["future"] > 0
    assert result["reconstruction"] > 0
