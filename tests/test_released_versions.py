"""What version 0.1.0 wrote: a run, an export and a classifier.

tests/fixtures/0.1.0 was written by it: a composite of 3 and 2 units, trained on
sequences of 28 x 28 pixels and killed in its third epoch, and what its models
return for the clips below.
"""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from video_repr import Encoder
from video_repr import SavedModelEncoder
from video_repr.runs import Run
from video_repr.training import pretrain
from video_repr.transfer.encoders import load_encoder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_graphs")]

BEFORE = pathlib.Path(__file__).parent / "fixtures" / "0.1.0"


@pytest.fixture
def clips(rng):
    return rng.random((2, 7, 28, 28)).astype("float32")


@pytest.fixture
def expected():
    return dict(np.load(BEFORE / "expected.npz"))


@pytest.fixture
def run(tmp_path):
    return Run(shutil.copytree(BEFORE / "run", tmp_path / "run"))


@pytest.mark.parametrize(
    "load",
    [
        SavedModelEncoder,
        Encoder.from_preset,
        load_encoder,
        lambda path: keras.models.load_model(path / "encoder.keras"),
    ],
)
def test_an_export(load, clips, expected):
    encoder = load(BEFORE / "export")
    np.testing.assert_allclose(
        encoder(clips[:, :4]), expected["features"], atol=1e-6
    )


def test_a_classifier(clips, expected):
    classifier = keras.models.load_model(BEFORE / "classifier.keras")
    np.testing.assert_allclose(classifier(clips), expected["logits"], atol=1e-6)


def test_a_run(run, clips, expected):
    frames = run.model().predict(clips, verbose=0)
    for branch in ("reconstruction", "future"):
        np.testing.assert_allclose(frames[branch], expected[branch], atol=1e-5)
    encoder = load_encoder(run.path)
    np.testing.assert_allclose(
        encoder(clips[:, :4]), expected["features"], atol=1e-6
    )


def test_a_run_goes_on(run):
    epochs = len(run.metrics())
    assert 0 < epochs < run.config().training.epochs == 6
    pretrain(run.config(), run.path, resume=True)
    assert [line["epoch"] for line in run.metrics()] == [1, 2, 3, 4, 5, 6]
    assert run.evaluation_file.is_file()
