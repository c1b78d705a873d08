import dataclasses
import importlib
import importlib.util
import math

import numpy as np
import pytest

from benchmarks.step.work import WORKS
from benchmarks.step.work import Work

pytestmark = pytest.mark.slow


def test_operations_of_the_papers_size_by_hand():
    # The first step's state is zero.
    encoder = 4 * 2048 * (10 * 2 * 4096 + 9 * 3 * 2048)
    decoder = 10 * (4 * 2048 * 3 * 2048 + 3 * 2048 * 4096)
    assert WORKS["a"].flop() == 2 * 64 * (encoder + 2 * decoder)
    # The frames that a conditional decoder receives need no gradient.
    conditional = 10 * 4 * 2048 * 2 * 4096
    extra = WORKS["e"].flop() - WORKS["a"].flop()
    assert extra == 2 * 64 * conditional


def test_operations_of_convolutions_by_hand():
    # 8 x 8 patches of 64 values; 3 x 3 kernels.
    encoder = 9 * 4 * 128 * (10 * 2 * 64 + 9 * 3 * 128)
    decoder = 10 * (9 * 4 * 128 * 3 * 128 + 3 * 128 * 64)
    assert WORKS["f"].flop() == 2 * 16 * 64 * (encoder + decoder)
    # 16 x 16 patches of 16 values; 5 x 5 kernels; the gradient of what the
    # second layer reads.
    encoder = 25 * 4 * 64 * (10 * 2 * 16 + 10 * 3 * 64 + 2 * 9 * 3 * 64)
    decoder = 10 * (25 * 4 * 64 * 3 * 3 * 64 + 3 * 64 * 16)
    assert WORKS["g"].flop() == 2 * 16 * 256 * (encoder + decoder)


def test_the_vectors_of_a_grid_are_its_patches():
    work = Work(2, 36, (4,), 1, 1, patch=3)
    clips, vectors = work.clips(), work.vectors()
    assert clips.shape == (2, 2, 6, 6)
    assert vectors.shape == (2, 2, 2, 2, 9)
    for row in range(2):
        for column in range(2):
            patch = clips[:, :, 3 * row :, 3 * column :][:, :, :3, :3]
            np.testing.assert_array_equal(
                vectors[:, :, row, column], patch.reshape(2, 2, 9)
            )


@pytest.mark.hard
@pytest.mark.parametrize("change", [{}, {"classes": 5, "future_frames": 0}])
def test_our_step_learns_what_the_benchmark_says(change):
    options = {
        "batch": 3,
        "features": 6,
        "units": (4, 5),
        "input_frames": 3,
        "future_frames": 2,
    }
    from benchmarks.step.ours import SYSTEMS

    work = Work(**{**options, **change})
    assert work.clips().shape == (3, work.frames, 6)
    step = SYSTEMS["ours"](work)
    losses = [float(step()) for _ in range(20)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_a_decoder_that_is_left_out_costs_nothing():
    decoder = 10 * (4 * 2048 * 3 * 2048 + 3 * 2048 * 4096)
    work = WORKS["a"]
    future = dataclasses.replace(work, reconstruction=False)
    assert work.flop() - future.flop() == 2 * 64 * decoder
    autoencoder = dataclasses.replace(work, future_frames=0)
    assert work.flop() - autoencoder.flop() == 2 * 64 * decoder


def test_operations_of_inference_by_hand():
    step = 4 * 2048 * (4096 + 2048)
    # The first step's state is zero.
    assert WORKS["encode-1"].flop() == 2 * (10 * step - 4 * 2048 * 2048)
    assert WORKS["encode-64"].flop() == 64 * WORKS["encode-1"].flop()
    rollout = 2 * 16 * 100 * (step + 2048 * 4096)
    assert WORKS["rollout-16"].flop() == rollout


def systems():
    modules = ["ours", "in_keras"]
    modules += [
        module
        for module, needed in (("in_torch", "torch"), ("in_jax", "optax"))
        if importlib.util.find_spec(needed)
    ]
    for module in modules:
        module = importlib.import_module(f"benchmarks.step.{module}")
        for name, step in module.SYSTEMS.items():
            # Compiling for these two takes a minute.
            if not ("torch" in name and "compiled" in name):
                yield name, step


@pytest.mark.hard
def test_every_system_makes_the_same_convolutional_update():
    work = Work(3, 64, (4, 5), 3, 2, reconstruction=False, patch=2)
    for name, step in systems():
        if name == "ours" or "conv" in name.lower():
            update = step(work)
            losses = [float(update()) for _ in range(6)]
            # Before anything is learned a pixel costs log 2.
            expected = work.features * math.log(2)
            assert losses[0] == pytest.approx(expected, rel=0.02), name
            assert losses[-1] < losses[0], name


@pytest.mark.hard
@pytest.mark.parametrize(
    "work",
    [
        Work(3, 6, (4, 5), 3, task="encode"),
        Work(3, 6, (4, 5), 0, 3, conditional=True, task="roll out"),
    ],
    ids=lambda work: work.task,
)
def test_every_system_infers_from_weights_that_stay(work):
    for name, step in systems():
        if "conv" in name.lower():
            continue
        infer = step(work)
        first = float(infer())
        assert np.isfinite(first), name
        assert float(infer()) == pytest.approx(first), name
