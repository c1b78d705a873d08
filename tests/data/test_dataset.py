import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from record_data import clip_of
from record_data import write_dataset

from video_repr import ActionClassifier
from video_repr import Decoder
from video_repr import Encoder
from video_repr import VideoSeq2Seq
from video_repr.data import ClipDataset
from video_repr.data import features as fields
from video_repr.data.features import Features
from video_repr.errors import InputError
from video_repr.models.classifier import clip_probabilities


def load(path, split, **options):
    return ClipDataset(path).clips(split, **options)


@pytest.fixture
def films(rng, tmp_path):
    clips = [
        clip_of(rng.integers(0, 256, (5, 4, 6, 3), np.uint8), n, "ab"[n % 2])
        for n in range(7)
    ]
    features = Features(fields.IMAGE, (4, 6, 3), ("a", "b"))
    return write_dataset(tmp_path / "films", features, clips), clips


@pytest.fixture
def percepts(rng, tmp_path):
    clips = [
        clip_of(rng.random((3 + 2 * n, 8), np.float32), n) for n in range(4)
    ]
    features = Features(fields.RGB, (8,))
    return write_dataset(tmp_path / "percepts", features, clips), clips


def numpy_of(dataset):
    return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize("shape", [(4, 6, 3), (4, 6), (4, 6, 2), (8,)])
def test_a_record_gives_back_its_clip(rng, shape):
    if len(shape) == 1:
        features = Features(fields.FLOW, shape, ("a", "é"))
        values = rng.random((5, *shape), np.float32)
    else:
        features = Features(fields.IMAGE, shape, ("a", "é"))
        values = rng.integers(0, 256, (5, *shape), np.uint8)
    features = Features.from_dict(json.loads(json.dumps(features.to_dict())))
    parsed = features.parse(features.serialize(clip_of(values, 1, "é")))
    np.testing.assert_array_equal(parsed["clip"], values)
    assert parsed["clip"].dtype == values.dtype
    assert parsed["label"] == 1
    assert parsed["id"] == parsed["media_id"] == b"clip 1"
    assert parsed["group"] == b"g1"
    assert parsed["start"] == 40_000


@pytest.mark.parametrize(
    ("values", "label", "message"),
    [
        (np.zeros((5, 4), np.float32), None, "frames of (8,)"),
        (np.zeros((0, 8), np.float32), None, "shape (0, 8) in clip 1"),
        (np.zeros((5, 8), np.float64), None, "Received: float64"),
        (np.zeros((5, 8), np.float32), "c", "one of 2 labels. Received: 'c'"),
    ],
)
def test_a_clip_of_other_features(values, label, message):
    features = Features(fields.RGB, (8,), ("a", "b"))
    with pytest.raises(InputError) as error:
        features.serialize(clip_of(values, 1, label))
    assert message in str(error.value)


def test_all_clips_once(films):
    path, clips = films
    dataset = ClipDataset(path)
    got = numpy_of(dataset.clips("train", labels=True))
    assert len(got) == len(clips)
    for clip in clips:
        (label,) = [
            label for values, label in got if (values == clip.values).all()
        ]
        assert dataset.labels[label] == clip.label


def test_windows(percepts):
    path, clips = percepts
    windows = numpy_of(load(path, "train", clip_length=3, stride=2))
    expected = [
        clip.values[start : start + 3]
        for clip in clips
        for start in range(0, len(clip.values) - 2, 2)
    ]
    assert len(windows) == len(expected) == 1 + 2 + 3 + 4
    for window in expected:
        assert any(np.array_equal(window, got) for got in windows)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("length", "stride"), [(None, None), (4, 2), (12, 5)])
def test_padded_clips(percepts, length, stride, shuffle):
    """Records of 3, 5, 7 and 9 frames."""
    path, clips = percepts
    batches = ClipDataset(path).clips(
        "train",
        clip_length=length,
        stride=stride,
        batch=2,
        shuffle=shuffle,
        pad=True,
    )
    length = length or 9
    got = [
        (tuple(values), mask.tolist())
        for batch in numpy_of(batches)
        for values, mask in zip(
            batch["clips"].reshape(-1, length * 8), batch["mask"], strict=True
        )
    ]
    expected = []
    for clip in clips:
        last = max(0, len(clip.values) - length)
        for start in range(0, last + 1, stride or length):
            window = clip.values[start : start + length]
            there = np.arange(length) < len(window)
            padded = np.zeros((length, 8), np.float32)
            padded[there] = window
            expected.append((tuple(padded.ravel()), there.tolist()))
    assert len(expected) in (4, 7)
    if shuffle:
        # In full batches.
        assert set(map(str, got)) <= set(map(str, expected))
        assert len(got) == len(expected) // 2 * 2
        assert len(set(map(str, got))) == len(got)
    else:
        assert got == expected


def test_padded_pixels_with_labels(films):
    path, clips = films
    dataset = ClipDataset(path).clips(
        "train", clip_length=7, labels=True, pad=True
    )
    for clip, label in numpy_of(dataset):
        assert clip["clips"].dtype == np.uint8
        assert clip["clips"].shape == (7, 4, 6, 3)
        assert clip["mask"].tolist() == [True] * 5 + [False] * 2
        assert not clip["clips"][5:].any()
        (name,) = [
            c.label for c in clips if (c.values == clip["clips"][:5]).all()
        ]
        assert "ab"[label] == name
    with pytest.raises(InputError, match="either pad or skip_shorter"):
        ClipDataset(path).clips("train", pad=True, skip_shorter=True)


def test_a_classifier_trains_on_padded_records(percepts):
    """And reads each record to its own end."""
    path, clips = percepts
    batches = ClipDataset(path).clips("train", batch=4, pad=True)
    labels = np.array([0, 1, 0, 1])
    model = ActionClassifier(Encoder((4,)), 2)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    pairs = batches.map(lambda padded: (padded, labels))
    losses = model.fit(pairs, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    (arrays,) = numpy_of(batches)
    logits = model(arrays)
    found = model.predict(batches, verbose=0)
    total = 0.0
    for i, clip in enumerate(clips):
        alone = model(clip.values[None])
        np.testing.assert_allclose(
            logits[i, : len(clip.values)], alone[0], atol=1e-5
        )
        np.testing.assert_allclose(
            found[i], clip_probabilities(alone)[0], atol=1e-5
        )
        total += float(model.loss(labels[i : i + 1], alone))
        np.testing.assert_allclose(
            model.encoder(arrays)[i],
            model.encoder(clip.values[None])[0],
            atol=1e-5,
        )
    np.testing.assert_allclose(
        model.evaluate(arrays, labels, verbose=0),
        [total / 4, (found.argmax(axis=1) == labels).mean()],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("padded", "message"),
    [
        ({"clips": 0}, "a dict of 'clips'"),
        (
            {"clips": 0, "mask": 0.0},
            r"dtype bool, .* \(2, 3\). Received: dtype",
        ),
        ({"clips": 0, "mask": True}, r"\(2, 3\). Received: dtype bool, shape"),
    ],
)
@pytest.mark.parametrize("kind", ["arrays", "dataset"])
def test_masks_that_are_none(padded, message, kind):
    values = {
        "clips": np.zeros((2, 3, 8), np.float32),
        "mask": np.full((2, 4), padded.get("mask")),
    }
    if padded.get("mask") == 0.0:
        values["mask"] = values["mask"][:, :3]
    data = {name: values[name] for name in padded}
    model = ActionClassifier(Encoder((4,)), 2)
    model.compile("sgd", jit_compile=False)
    labels = np.array([0, 1])
    if set(data) != {"clips", "mask"}:
        with pytest.raises(InputError, match=message):
            model(data)
    if kind == "dataset":
        pairs = tf.data.Dataset.from_tensors((data, labels))
        with pytest.raises(InputError, match=message):
            model.fit(pairs, verbose=0)
    else:
        with pytest.raises(InputError, match=message):
            model.fit(data, labels, verbose=0)


def test_the_same_order_again(films):
    path, _ = films

    def epochs(seed):
        dataset = load(path, "train", batch=2, shuffle=True, seed=seed)
        return [np.stack(numpy_of(dataset)) for _ in range(2)]

    first, again, other = epochs(0), epochs(0), epochs(1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])
    # Seven clips in full batches.
    assert first[0].shape == (3, 2, 5, 4, 6, 3)


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.hard)]
)
def test_models_train_from_it(films, jit_compile):
    path, _ = films
    model = VideoSeq2Seq(
        Encoder((4,)),
        {b: Decoder((4,), 4 * 6 * 3) for b in ("reconstruction", "future")},
        input_frames=3,
        future_frames=2,
    )
    model.compile(keras.optimizers.Adam(0.01), jit_compile=jit_compile)
    clips = load(path, "train", batch=2, shuffle=True)
    losses = model.fit(clips, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("shards", ["truncated", "missing"])
def test_shards_that_are_not_whole(films, shards):
    path, _ = films
    file = path / "d-train-00001-of-00002.tfrecord"
    if shards == "truncated":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    with pytest.raises(InputError, match=r"00001-of-00002.tfrecord of \d+ b"):
        ClipDataset(path)


def test_a_shard_with_other_bytes(films):
    path, _ = films
    file = path / "d-train-00001-of-00002.tfrecord"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"00001-of-00002.tfrecord as it"
    ):
        numpy_of(load(path, "train"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("COMPLETED", None, "without its file COMPLETED"),
        ("info.json", "{", "a readable info.json"),
        ("features.json", "{}", "a whole features.json"),
        (
            "features.json",
            '{"key": "x", "frame_shape": [], "labels": []}',
            "Received: x",
        ),
    ],
)
def test_broken_directories(films, name, content, message):
    path, _ = films
    (path / name).unlink()
    if content is not None:
        (path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        load(path, "train")


def test_what_cannot_be_cut(films, percepts, tmp_path):
    path, _ = films
    for arguments, message in [
        ({"split": "test"}, "Expected one of the splits train of"),
        ({"clip_length": 6}, "clip_length of at most 5"),
        ({"clip_length": 0}, "clip_length of at least 1"),
        ({"stride": -1}, "stride of at least 1"),
    ]:
        with pytest.raises(InputError, match=message):
            load(path, **{"split": "train", **arguments})
    path, _ = percepts
    with pytest.raises(InputError, match="have 3 to 9 frames"):
        load(path, "train")
    with pytest.raises(InputError, match="a dataset with labels"):
        ClipDataset(path).clips("train", clip_length=2, labels=True)
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "none", "train")


def test_reading_needs_no_beam(films, forked):
    path, _ = films
    forked(
        "import sys\n"
        "for name in ('apache_beam', 'av', 'cv2', 'google_crc32c'):\n"
        "    sys.modules[name] = None\n"
        "from video_repr.data import ClipDataset\n"
        "assert len(list(ClipDataset(sys.argv[1]).clips('train'))) == 7\n",
        path,
    )
