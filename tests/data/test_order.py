"""The order of shuffled clips is a function of seed and epoch alone."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from record_data import clip_of
from record_data import write_dataset

from video_repr import InputError
from video_repr.data import ClipDataset
from video_repr.data import features as fields
from video_repr.data import records
from video_repr.data.draw import permutation
from video_repr.data.features import Features
from video_repr.data.order import Order

pytestmark = pytest.mark.slow


def pairs_of(order, epoch, start=0):
    """`(record, window)` one after another."""
    return [
        (int(block.records[row]), int(window))
        for _, blocks in order.epoch(epoch, start)
        for block in blocks
        for row, window in zip(block.rows, block.windows, strict=True)
    ]


orders = st.builds(
    lambda windows, shards, seed: Order(
        np.sort(np.array(windows) * 7 % shards), np.array(windows), seed
    ),
    st.lists(st.integers(0, 40), min_size=1, max_size=120).filter(any),
    st.integers(1, 30),
    st.integers(0, 2**32),
)


@given(orders, st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_each_window_once_an_epoch(order, epoch):
    pairs = pairs_of(order, epoch)
    expected = [
        (record, window)
        for record, windows in enumerate(order.windows)
        for window in range(windows)
    ]
    assert len(order) == len(pairs)
    assert sorted(pairs) == expected
    assert pairs == pairs_of(order, epoch)


@given(orders, st.data())
@settings(deadline=None, max_examples=60)
def test_any_place_is_gone_to(order, data):
    start = data.draw(st.integers(0, len(order)))
    assert pairs_of(order, 3, start) == pairs_of(order, 3)[start:]
    for _, blocks in order.epoch(3, start):
        for block in blocks:
            # None that no window is cut from.
            assert set(block.rows) == set(range(len(block.records)))


def test_epochs_and_seeds_have_orders_of_their_own():
    shards, windows = np.repeat(np.arange(20), 30), np.full(600, 2)
    found = {
        (seed, epoch): pairs_of(Order(shards, windows, seed), epoch)
        for seed in (0, 1)
        for epoch in (0, 1, 2)
    }
    for a, b in itertools.combinations(found.values(), 2):
        same = sum(x == y for x, y in zip(a, b, strict=True))
        assert same < 20
    # Far from how they lie, and windows of a record far from each other.
    order = Order(shards, windows, 0)
    correlations = [
        np.corrcoef([r for r, _ in pairs_of(order, epoch)], range(1200))[0, 1]
        for epoch in range(30)
    ]
    assert abs(np.mean(correlations)) < 0.2
    pairs = found[0, 0]
    together = sum(a == b for (a, _), (b, _) in itertools.pairwise(pairs))
    assert together < 20


def test_what_is_held_is_bounded():
    order = Order(np.repeat(np.arange(100), 50), np.full(5000, 3), 0)
    for shards, blocks in order.epoch(0):
        assert len(shards) <= 8
        for block in blocks:
            assert len(block) <= 1000
    # But for a record that has more.
    (block,) = next(Order(np.zeros(1, int), np.array([5000]), 0).epoch(0))[1]
    assert len(block) == 5000


def test_permutations_are_those_of_any_version_of_numpy():
    """SplitMix64 by hand, in Python's own integers."""

    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    import hashlib

    digest = hashlib.sha256(b"order\x000\x005").digest()
    seed, golden = int.from_bytes(digest[:8], "little"), 0x9E3779B97F4A7C15
    key = mix((seed + golden) % 2**64)
    keys = [
        mix((mix((key + (i + 1) * golden) % 2**64) + golden) % 2**64) >> 11
        for i in range(50)
    ]
    expected = sorted(range(50), key=keys.__getitem__)
    assert permutation(50, "order", 0, 5).tolist() == expected


KINDS = {
    "a window a record": {"clip_length": 5, "stride": 9},
    "windows that overlap": {"clip_length": 3, "stride": 2},
    "records too short": {
        "clip_length": 7,
        "stride": 1,
        "skip_shorter": True,
    },
    "with labels": {"clip_length": 4, "stride": 3, "labels": True},
}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Paths and clips of pixels and of percepts, of 5 to 11 frames."""
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (5 + n % 7, 4, 4)) for n in range(40)]
    percepts = [rng.random((5 + n % 7, 6)) for n in range(40)]
    made = {}
    for key, shape, dtype, values in (
        (fields.IMAGE, (4, 4), np.uint8, pixels),
        (fields.RGB, (6,), np.float32, percepts),
    ):
        clips = [
            clip_of(value.astype(dtype), n, "ab"[n % 2])
            for n, value in enumerate(values)
        ]
        path = tmp_path_factory.mktemp("data") / "d"
        features = Features(key, shape, ("a", "b"))
        made[key] = write_dataset(path, features, clips, shards=11), clips
    return made


@pytest.fixture(params=[fields.IMAGE, fields.RGB])
def dataset(request, datasets):
    return datasets[request.param]


def arrays(clips):
    clips = list(clips.as_numpy_iterator())
    return [c if isinstance(c, tuple) else (c,) for c in clips]


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x, y)
        for one, other in zip(a, b, strict=True)
        for x, y in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_clips_from_any_place(dataset, kind):
    path, made = dataset
    options = {"shuffle": True, "seed": 4, **KINDS[kind]}

    def read(start, epochs):
        clips = ClipDataset(path).clips("train", start=start, **options)
        return arrays(clips.repeat(epochs))

    whole = read(0, 3)
    count = len(whole) // 3
    length, stride = options["clip_length"], options["stride"]
    expected = [
        clip.values[start : start + length]
        for clip in made
        for start in range(0, len(clip.values) - length + 1, stride)
    ]
    for epoch in (whole[:count], whole[count : 2 * count]):
        found = sorted(clip[0].tobytes() for clip in epoch)
        assert found == sorted(clip.tobytes() for clip in expected)
    assert not same(whole[:count], whole[count : 2 * count])
    for start in (1, count - 1, count, count + 7):
        rest = read(start, 3 - start // count)
        assert same(rest, whole[start:])
    if options.get("labels"):
        by_bytes = {
            clip.values[s : s + length].tobytes(): "ab".index(clip.label)
            for clip in made
            for s in range(0, len(clip.values) - length + 1, stride)
        }
        assert all(by_bytes[c.tobytes()] == label for c, label in whole)


def test_nothing_that_was_seen_is_read(dataset, monkeypatch):
    path, made = dataset
    read = []
    opened = records.opened

    def counted(*given):
        class Context:
            def __enter__(self):
                self._inner = opened(*given)
                inner = self._inner.__enter__()
                return lambda numbers: read.extend(numbers) or inner(numbers)

            def __exit__(self, *error):
                return self._inner.__exit__(*error)

        return Context()

    monkeypatch.setattr(records, "opened", counted)
    dataset = ClipDataset(path)
    options = {"clip_length": 5, "stride": 9, "shuffle": True}
    assert len(arrays(dataset.clips("train", start=33, **options))) == 7
    assert len(set(read)) == 7
    assert len(made) == 40


def test_the_same_in_a_process_with_another_global_seed(datasets, forked):
    """Keras's seed, which a new run sets and a resumed one does not."""
    paths = [str(path) for path, _ in datasets.values()]
    expected = [
        clip[0].tobytes().hex()
        for path in paths
        for options in KINDS.values()
        for clip in arrays(
            ClipDataset(path).clips("train", shuffle=True, **options).take(4)
        )
    ]
    found = forked(
        """
import sys, keras
keras.utils.set_random_seed(7)
from video_repr.data import ClipDataset
for path in eval(sys.argv[1]):
    for options in eval(sys.argv[2]).values():
        clips = ClipDataset(path).clips("train", shuffle=True, **options)
        for clip in clips.take(4).as_numpy_iterator():
            clip = clip[0] if isinstance(clip, tuple) else clip
            print("clip", clip.tobytes().hex())
""",
        paths,
        KINDS,
    )
    lines = [line.split()[1] for line in found.splitlines() if "clip " in line]
    assert lines == expected


def test_a_start_needs_an_order(dataset):
    for options in ({"start": 1}, {"start": -1, "shuffle": True}):
        with pytest.raises(InputError, match="Expected a start of at least 0"):
            ClipDataset(dataset[0]).clips("train", clip_length=5, **options)
    with pytest.raises(InputError, match="at least 41 train clips"):
        ClipDataset(dataset[0]).clips(
            "train", clip_length=5, stride=9, batch=41, shuffle=True
        )


def test_examples_in_an_order(dataset):
    path, made = dataset
    examples = ClipDataset(path).examples("train", shuffle=True, seed=1)
    epochs = [
        [example["id"].decode() for example in examples.as_numpy_iterator()]
        for _ in range(2)
    ]
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        assert sorted(epoch) == sorted(clip.id for clip in made)
