"""When a model is blessed, by errors that are given."""

import json
import types

import pytest

from pipelines.training import evaluator
from pipelines.training.settings import EvaluatorConfig
from pipelines.training.settings import Threshold
from video_repr import configs

METRIC = "mse_sum_per_frame"


@pytest.fixture
def bless(monkeypatch, tmp_path):
    """Blesses a model of some errors; returns what blessing.json says."""

    def run(future, last_frame, mean_frame, **options):
        config = configs.Config(configs.ClipDatasetConfig("elsewhere"))
        monkeypatch.setattr(
            evaluator,
            "Run",
            lambda path: types.SimpleNamespace(
                config=lambda: config, model=lambda: None
            ),
        )
        data = types.SimpleNamespace(
            test=lambda: [0] * 7, mean_frame=lambda: 0, describe=dict
        )
        monkeypatch.setattr(evaluator, "load_data", lambda config: data)
        monkeypatch.setattr(
            evaluator,
            "evaluate",
            lambda model, clips, mean: {
                "future": {METRIC: future},
                "baselines": {
                    "last_frame": {METRIC: last_frame},
                    "mean_frame": {METRIC: mean_frame},
                },
            },
        )
        evaluator.bless("run", "data", tmp_path, EvaluatorConfig(**options))
        return json.loads((tmp_path / "blessing.json").read_text())

    return run


@pytest.mark.parametrize(
    ("errors", "missed"),
    [
        # As an encoder of six films, which was blessed once.
        ((308.0, 260.0, 400.0), "260 asked, 1 times that of last frame"),
        ((308.0, 400.0, 260.0), "260 asked, 1 times that of mean frame"),
        ((260.0, 260.0, 400.0), None),
        ((259.0, 400.0, 260.0), None),
    ],
)
def test_by_default_it_beats_the_last_and_the_mean_frame(bless, errors, missed):
    found = bless(*errors)
    assert found["blessed"] == (missed is None)
    assert len(found["checks"]) == 2
    words = [c["words"] for c in found["checks"] if not c["met"]]
    assert len(words) == (missed is not None)
    assert all(missed in said for said in words)


def test_thresholds_of_ones_own_replace_these(bless):
    only = (Threshold(METRIC, at_most=0.9, of="mean_frame"),)
    assert bless(308.0, 260.0, 400.0, thresholds=only)["blessed"]
    assert not bless(308.0, 400.0, 340.0, thresholds=only)["blessed"]
