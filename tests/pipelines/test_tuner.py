"""What becomes of a search whose trials fail."""

import json
import types

import pytest

from pipelines.training import tuner
from pipelines.training.settings import TrainerConfig
from pipelines.training.settings import TunerConfig
from video_repr.errors import DivergedError
from video_repr.errors import InputError


def tune(monkeypatch, folder, outcome, trials):
    """Searches learning rates, of which `outcome` says what they do."""
    tried = []

    def pretrain(config, directory, **_):
        rate = config.training.learning_rate
        tried.append(rate)
        directory.mkdir(parents=True)
        found = outcome(rate)
        if isinstance(found, Exception):
            raise found
        return types.SimpleNamespace(metrics=lambda: [{"val_loss": found}])

    monkeypatch.setattr(tuner, "train", pretrain)
    monkeypatch.setattr(tuner, "read_transform", lambda _: None)
    tuner.tune(
        "examples", "transform", folder, TrainerConfig(), TunerConfig(trials)
    )
    assert not (folder / "trials").exists()
    return tried, json.loads((folder / "hyperparameters.json").read_text())


@pytest.mark.parametrize("trials", [1, 2, 3])
@pytest.mark.parametrize(
    "error",
    [
        InputError("Expected films. Received: none"),
        OSError("No space left on device"),
        ZeroDivisionError("division by zero"),
    ],
)
def test_what_fails_for_all_is_raised_at_once(
    monkeypatch, tmp_path, trials, error
):
    tried = []

    def fail(rate):
        tried.append(rate)
        return error

    with pytest.raises(type(error), match=str(error)) as caught:
        tune(monkeypatch, tmp_path, fail, trials)
    assert caught.value is error
    assert len(tried) == 1


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_settings_that_all_diverge(monkeypatch, tmp_path, trials):
    with pytest.raises(DivergedError, match=f"Of {trials} trials none") as e:
        tune(
            monkeypatch,
            tmp_path,
            lambda rate: DivergedError(f"The loss at {rate} became NaN."),
            trials,
        )
    # Each with its cause.
    assert str(e.value).count("became NaN") == trials


def test_settings_that_diverge_are_left_out(monkeypatch, tmp_path):
    tried, best = tune(
        monkeypatch,
        tmp_path,
        lambda rate: DivergedError("became NaN") if rate > 5e-4 else rate,
        3,
    )
    assert sorted(tried) == [3e-4, 1e-3, 3e-3]
    assert best["values"] == {"training.learning_rate": 3e-4}
    assert [t["val_loss"] for t in best["trials"]] == [3e-4]
    assert sorted(
        t["values"]["training.learning_rate"] for t in best["diverged"]
    ) == [1e-3, 3e-3]
    assert {t["why"] for t in best["diverged"]} == {"became NaN"}


def test_a_search_that_was_killed_begins_anew(monkeypatch, tmp_path):
    """What it had found is not known, and is not the best of nothing."""

    class Killed(BaseException):
        pass

    def kill(rate):
        if (tmp_path / "trials" / "search").exists():
            raise Killed

    with pytest.raises(Killed):
        tune(monkeypatch, tmp_path, kill, 2)
    assert (tmp_path / "trials").exists()
    tried, best = tune(monkeypatch, tmp_path, lambda rate: rate, 2)
    assert len(tried) == len(best["trials"]) == 2
    assert best["val_loss"] == min(tried)
