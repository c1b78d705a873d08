"""Few labels: subsets, fits that start alike, the table, what is refused."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from video_repr import Encoder
from video_repr import InputError
from video_repr.errors import DivergedError
from video_repr.transfer import label_curve
from video_repr.transfer.cells import Cells
from video_repr.transfer.config import SYSTEMS
from video_repr.transfer.config import FinetuneConfig
from video_repr.transfer.config import LabelCurveConfig
from video_repr.transfer.finetune import Finetuner
from video_repr.transfer.finetune import accuracy
from video_repr.transfer.label_curve import _shuffled
from video_repr.transfer.label_curve import fit_cells
from video_repr.transfer.label_curve import rows
from video_repr.transfer.videos import Videos
from video_repr.transfer.videos import check_splits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

CLASSES = ("clap", "run", "walk")


def make_videos(rng, count, first=0, permuted=False):
    labels = np.arange(count) % len(CLASSES)
    if permuted:
        labels = rng.permutation(labels)
    means = np.random.default_rng(5).random((len(CLASSES), 6))
    frames = [
        (means[k] + 0.3 * rng.random((rng.integers(3, 12), 6))).astype("f4")
        for k in np.arange(count) % len(CLASSES)
    ]
    names = range(first, first + count)
    return Videos(
        tuple(frames),
        labels,
        tuple(f"g{n}" for n in names),
        tuple(f"v{n}" for n in names),
        CLASSES,
    )


@pytest.fixture
def encoder():
    keras.utils.set_random_seed(3)
    encoder = Encoder((8, 8), dropout=0.1)
    encoder.build((None, 6, 6))
    return encoder


FAST = FinetuneConfig(
    block=6, stride=3, updates=60, batch_size=8, learning_rate=0.03,
    dropout=0.1,
)  # fmt: skip


def test_subsets_are_nested_and_even(rng):
    videos = make_videos(rng, 30)
    before = set()
    for k in (1, 2, 5, 10):
        few = videos.few(k, seed=7)
        assert np.bincount(few.labels).tolist() == [k] * 3
        assert before < set(few.ids)
        before = set(few.ids)
    assert set(videos.few(2, seed=8).ids) != set(videos.few(2, seed=7).ids)
    assert videos.few("all", 0) is videos
    with pytest.raises(InputError, match="Received: 10 of 'clap'"):
        videos.few(11, 0)


def test_short_videos_hold_their_last_frame(rng):
    videos = make_videos(rng, 9)
    blocks, labels = videos.cut(videos.blocks(6, 3), 6)
    number = 0
    for video, label in zip(videos.frames, videos.labels, strict=True):
        starts = [s for s in range(0, 12, 3) if s + 6 <= len(video)] or [0]
        for start in starts:
            cut = video[start : start + 6]
            np.testing.assert_array_equal(blocks[number][: len(cut)], cut)
            assert (blocks[number][len(cut) :] == cut[-1]).all()
            assert labels[number] == label
            number += 1
    assert number == len(blocks) == len(labels)


def test_what_is_in_no_block_is_counted(rng):
    videos = make_videos(rng, 30)
    lengths = [len(video) for video in videos.frames]
    left = sum((n - 6) % 3 for n in lengths if n > 6)
    assert left > 0
    assert f"{left} of {sum(lengths)} frames are in none" in videos.introduce(
        6, 3
    )


def test_groups_and_videos_that_cross(rng):
    train, test = make_videos(rng, 6), make_videos(rng, 6, first=6)
    check_splits({"train": train, "test": test})
    with pytest.raises(InputError, match="g0 in train and in test"):
        check_splits({"train": train, "test": make_videos(rng, 3)})
    groups = tuple(f"other{n}" for n in range(3))
    renamed = dataclasses.replace(make_videos(rng, 3), groups=groups)
    with pytest.raises(InputError, match="video v0 in train and in test"):
        check_splits({"train": train, "test": renamed})


def test_each_block_is_shuffled_by_itself(rng):
    videos = make_videos(rng, 9)
    shuffled = _shuffled(videos, 6, 3)
    moved = 0
    for before, after in zip(videos.frames, shuffled.frames, strict=True):
        starts = [s for s in range(0, 12, 3) if s + 6 <= len(before)] or [0]
        assert len(after) == sum(len(before[s : s + 6]) for s in starts)
        for number, start in enumerate(starts):
            block = before[start : start + 6]
            got = after[6 * number : 6 * number + len(block)]
            np.testing.assert_array_equal(
                np.sort(got, axis=0), np.sort(block, axis=0)
            )
            moved += (got != block).any()
    assert moved > 5
    assert shuffled.labels is videos.labels


def test_what_each_system_starts_from_and_sees(
    encoder, rng, tmp_path, monkeypatch
):
    train, test = make_videos(rng, 12), make_videos(rng, 30, first=12)
    fits, tested = [], []

    def fit(self, few, seed, weights=None):
        fits.append((self, few, weights))
        return fitted(self, few, seed, weights)

    monkeypatch.setattr(
        label_curve,
        "accuracy",
        lambda model, videos: tested.append(videos) or accuracy(model, videos),
    )

    fitted = Finetuner.fit
    monkeypatch.setattr(Finetuner, "fit", fit)
    config = dataclasses.replace(FAST, updates=1)
    curve = LabelCurveConfig((2,), seeds=2, finetune=config)
    fit_cells(curve, train, test, encoder, tmp_path / "cells.jsonl")
    assert len(tested) == len(fits) == 6
    assert all(videos.ids == test.ids for videos in tested)
    first, second = fits[:3], fits[3:]
    for (of, few, none), (same, again, random), (_, shuffled, also) in (
        first,
        second,
    ):
        assert none is None
        assert also is None
        assert same is of
        assert few.ids == again.ids == shuffled.ids
        assert few.frames[0] is again.frames[0]
        assert [w.shape for w in random] == [
            w.shape for w in encoder.get_weights()
        ]
        assert np.abs(random[0] - encoder.get_weights()[0]).max() > 0.1
    assert np.abs(first[1][2][0] - second[1][2][0]).max() > 0.1


@pytest.mark.parametrize(
    "dropout", [pytest.param(0.0, marks=pytest.mark.hard), 0.2]
)
def test_every_fit_starts_anew(encoder, rng, dropout):
    train, test = make_videos(rng, 12), make_videos(rng, 30, first=12)
    before = encoder.get_weights()
    finetuner = Finetuner(
        encoder, 3, dataclasses.replace(FAST, dropout=dropout)
    )
    first = finetuner.fit(train, seed=1)
    found = first.predict_videos(test.frames)
    assert accuracy(first, test) > 0.8
    for old, new in zip(before, first.encoder.get_weights(), strict=True):
        assert np.abs(old - new).max() > 0
    finetuner.fit(make_videos(rng, 9, permuted=True), seed=2)
    again = finetuner.fit(train, seed=1).predict_videos(test.frames)
    np.testing.assert_array_equal(found, again)
    # Whose encoder it was keeps it.
    for old, new in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    zeros = [np.zeros_like(w) for w in before]
    other = finetuner.fit(train, seed=1, encoder_weights=zeros)
    assert np.abs(other.predict_videos(test.frames) - found).max() > 0


def test_a_loss_that_is_not_finite(encoder, rng):
    train = make_videos(rng, 6)
    config = dataclasses.replace(FAST, probe=None, learning_rate=1e30)
    with pytest.raises(DivergedError, match="NaN or infinite in update"):
        Finetuner(encoder, 3, config).fit(train, seed=0)


@pytest.mark.oldest
@pytest.mark.parametrize("classes", [2, 3])
def test_the_softmax_starts_from_a_regression(encoder, rng, classes):
    """Without updates the classifier is scikit-learn's, on the mean output."""
    videos = make_videos(rng, 18)
    videos = videos.take(np.flatnonzero(videos.labels < classes))
    videos = dataclasses.replace(videos, classes=CLASSES[:classes])
    config = dataclasses.replace(FAST, updates=0, probe=1.0)
    model = Finetuner(encoder, classes, config).fit(videos, seed=0)
    clips, labels = videos.cut(videos.blocks(6, 3), 6)
    outputs = np.asarray(encoder.encode_sequence(clips)).mean(axis=1)
    outputs /= outputs.std()
    expected = LogisticRegression(C=1.0).fit(outputs, labels)
    logits = np.asarray(model(clips)).mean(axis=1)
    odds = logits - logits[:, :1]
    log = expected.predict_log_proba(outputs)
    np.testing.assert_allclose(odds, log - log[:, :1], atol=1e-2)


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_other_rates_for_the_encoder(encoder, rng, rate):
    train = make_videos(rng, 12)
    config = FinetuneConfig(
        block=6, stride=3, updates=1, batch_size=8, learning_rate=0.01,
        dropout=0.0, encoder_rate=rate, layer_decay=0.5,
    )  # fmt: skip
    model = Finetuner(encoder, 3, config).model
    # A readout of zeros has no gradient for what is below.
    model.readout.kernel.assign(rng.normal(size=(8, 3)))
    before = [np.array(v) for v in model.encoder.weights]
    readout = np.array(model.readout.kernel)
    model.train_on_batch(*train.cut(train.blocks(6, 3)[:8], 6))
    # Adam's first step is the rate, whatever the gradient.
    steps = [
        np.abs(np.array(new) - old).max()
        for old, new in zip(before, model.encoder.weights, strict=True)
    ]
    # The lower layer's four arrays, then the upper's.
    expected = [0.01 * rate * 0.5] * 4 + [0.01 * rate] * 4
    np.testing.assert_allclose(steps, expected, atol=1e-5)
    step = np.abs(np.array(model.readout.kernel) - readout).max()
    assert step == pytest.approx(0.01, abs=1e-5)


def test_the_curve_goes_on(encoder, rng, tmp_path, monkeypatch, eager):
    train, test = make_videos(rng, 12), make_videos(rng, 9, first=12)
    config = dataclasses.replace(FAST, updates=1)
    curve = LabelCurveConfig((1, 3), seeds=2, finetune=config)
    file = tmp_path / "cells.jsonl"
    table = fit_cells(curve, train, test, encoder, file)
    lines = file.read_text().splitlines()
    assert len(lines) == len(SYSTEMS) * 2 * 2
    cells = [json.loads(line) for line in lines]
    for row in table:
        for system in SYSTEMS:
            of = [
                c["accuracy"]
                for c in cells
                if (c["system"], c["k"]) == (system, row["k"])
            ]
            assert row[system]["mean"] == pytest.approx(np.mean(of))
    # Killed in the middle of a line.
    file.write_text("\n".join(lines[:9]) + '\n{"system": "pre')
    fits = []
    fit = Finetuner.fit
    monkeypatch.setattr(
        Finetuner,
        "fit",
        lambda self, *given: fits.append(given) or fit(self, *given),
    )
    assert fit_cells(curve, train, test, encoder, file) == table
    assert len(fits) == sum(
        c["system"] in ("pretrained", "random", "shuffled_frames")
        for c in cells[9:]
    )


# `test_what_each_system_starts_from_and_sees` finds what would leak.
@pytest.mark.hard
def test_permuted_labels_give_chance(encoder, rng, tmp_path):
    train = make_videos(rng, 60, permuted=True)
    test = make_videos(rng, 150, first=60)
    config = dataclasses.replace(FAST, updates=60)
    curve = LabelCurveConfig((4,), seeds=6, finetune=config)
    (row,) = fit_cells(curve, train, test, encoder, tmp_path / "cells.jsonl")
    for system in SYSTEMS:
        assert row[system]["mean"] < 0.6, system


@pytest.mark.oldest
def test_the_interval_is_students(tmp_path):
    gains = np.array([0.1, 0.2, 0.05, 0.15])
    cells = Cells(tmp_path / "cells.jsonl")
    cells.fill(
        SYSTEMS,
        (1,),
        4,
        lambda system, k, seed: 0.5 + (system == "pretrained") * gains[seed],
    )
    (row,) = rows(cells, (1,), 4)
    assert row["paired_gain"] == pytest.approx(0.125)
    # All others are the same here.
    assert row["over_mean_percept_probe"]["paired_gain"] == row["paired_gain"]
    # t of 3 degrees of freedom at 97.5 %, from a table.
    half = 3.182 * gains.std(ddof=1) / 2
    np.testing.assert_allclose(
        row["ci95"], [0.125 - half, 0.125 + half], atol=1e-4
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"updates": -1}, "updates of at least 0"),
        ({"stride": 0}, "stride of at least 1"),
        ({"probe": 0.0}, "probe above 0"),
        ({"learning_rate": 0.0}, "learning_rate above 0"),
        ({"dropout": 1.0}, "dropout of at least 0"),
    ],
)
def test_settings_that_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        FinetuneConfig(**options)


def test_curves_that_are_refused():
    with pytest.raises(InputError, match="seeds of at least 2"):
        LabelCurveConfig(seeds=1)
    with pytest.raises(InputError, match="at least 1"):
        LabelCurveConfig((0,))
    with pytest.raises(InputError, match="inverse_penalty above 0"):
        LabelCurveConfig(inverse_penalty=0.0)
