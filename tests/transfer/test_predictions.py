"""Predictions in files, what is said of them, and the weights of a fusion."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from video_repr.errors import InputError
from video_repr.transfer.fuse import average_splits
from video_repr.transfer.fuse import fuse
from video_repr.transfer.fuse import fusion_weights
from video_repr.transfer.predictions import Predictions
from video_repr.transfer.predictions import predictions_file
from video_repr.transfer.predictions import write_outcome

CLASSES = ("clap, twice", "run", "walk")


def predictions(rng, count, labels=None):
    labels = rng.integers(0, 3, count) if labels is None else labels
    odds = rng.random((count, 3))
    return Predictions(
        tuple(f"v{n}" for n in range(count)),
        np.asarray(labels),
        CLASSES,
        odds / odds.sum(axis=1, keepdims=True),
    )


def test_a_class_without_videos(rng, recwarn):
    found = predictions(rng, 4, labels=[0, 2, 2, 0]).summary()
    assert found["classes"]["run"] == {"videos": 0, "accuracy": None}
    of = [found["classes"][name]["accuracy"] for name in (CLASSES[0], "walk")]
    assert found["class_accuracy_mean"] == pytest.approx(np.mean(of))
    assert not recwarn.list


def test_files(rng, tmp_path):
    before = predictions(rng, 7)
    before.write(tmp_path / "p.csv")
    after = Predictions.read(tmp_path / "p.csv")
    assert (after.ids, after.classes) == (before.ids, before.classes)
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_allclose(
        after.probabilities, before.probabilities, rtol=1e-8
    )


def run_of(directory, **splits):
    directory.mkdir()
    write_outcome(directory, {}, splits)
    return directory


def test_films_are_known_by_their_content(rng, tmp_path):
    """Names are what they are known by where no content is."""
    one = predictions(rng, 5)
    films = {name: f"file {name}" for name in one.ids}
    # Values of frames are others in another stream.
    values = {name: f"values {name}" for name in one.ids}
    renamed = one.take([3, 0, 4, 2, 1])
    sums = [films[name] for name in renamed.ids]
    renamed = dataclasses.replace(renamed, ids=("a", "b", "c", "d", "e"))
    others = dict(zip(renamed.ids, sums, strict=True))
    swapped = dict(zip(one.ids, reversed(films.values()), strict=True))
    runs = {
        name: run_of(
            tmp_path / name,
            **dict.fromkeys(
                ("validation", "test"),
                dataclasses.replace(found, contents=contents),
            ),
        )
        for name, found, contents in (
            ("films", one, films),
            ("renamed", renamed, others),
            ("values", one, values),
            ("unknown", one, {}),
            ("namesakes", one, {n: f"file {n}2" for n in one.ids}),
            ("swapped", one, swapped),
        )
    }

    def fused(*names):
        directory = tmp_path / "-".join(names)
        fuse([runs[name] for name in names], directory)
        return Predictions.read(predictions_file(directory, "test"))

    for other in ("renamed", "values", "unknown"):
        found = fused("films", other)
        assert found.ids == one.ids
        assert found.films == list(films.values())
        np.testing.assert_allclose(found.probabilities, one.probabilities)
        np.testing.assert_array_equal(found.labels, one.labels)
        with pytest.raises(InputError, match="the same test videos"):
            average_splits([runs["films"], runs[other]])
    with pytest.raises(InputError, match="0 of them in both"):
        fused("films", "namesakes")
    average_splits([runs["films"], runs["namesakes"]])
    # Each video has the class of another.
    with pytest.raises(InputError, match="same class of a video"):
        fused("films", "swapped")
    (tmp_path / "link").symlink_to(runs["films"])
    runs["link"] = tmp_path / "link"
    for again in ("films", "link"):
        with pytest.raises(InputError, match="each once"):
            fused("films", again)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_no_other_weights_are_likelier(seed):
    """Against all weights of a grid."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 30)
    runs = [predictions(rng, 30, labels) for _ in range(3)]
    own = np.stack([p.probabilities[np.arange(30), labels] for p in runs])

    def likelihood(weights):
        return np.log(weights @ own).sum()

    weights = fusion_weights(runs)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    grid = np.linspace(0, 1, 21)
    best = max(
        likelihood(np.array([a, b, 1 - a - b]))
        for a in grid
        for b in grid
        if a + b <= 1
    )
    assert likelihood(weights) >= best - 1e-3


def test_a_useless_run_has_no_weight(rng):
    labels = rng.integers(0, 3, 50)
    sure = np.full((50, 3), 0.05)
    sure[np.arange(50), labels] = 0.9
    right = Predictions(tuple(map(str, range(50))), labels, CLASSES, sure)
    assert fusion_weights([right, predictions(rng, 50, labels)])[0] > 0.99
