"""Evaluator: decides whether a model is good enough."""

import dataclasses
import json
import pathlib

from pipelines.training.artifacts import dataset_of
from pipelines.training.artifacts import write_artifact
from pipelines.training.readers import BLESSING
from pipelines.training.settings import EvaluatorConfig
from pipelines.training.settings import read_settings
from video_repr.data.run_data import load_data
from video_repr.errors import InputError
from video_repr.evaluation.prediction import evaluate
from video_repr.export.evaluate import Exported
from video_repr.files import write_json
from video_repr.runs import Run


def run(model, examples, last_blessed, settings, evaluation):
    """Decides whether the model is good enough."""
    config = read_settings(settings, EvaluatorConfig)
    last = json.loads(last_blessed)
    with write_artifact(
        "Evaluator",
        evaluation,
        {"settings": json.loads(settings), "last_blessed": last},
        {"model": model, "examples": examples},
    ) as f:
        bless(
            model.path, dataset_of(examples.path), f, config, last.get("path")
        )


def bless(model, examples, folder, config, last_blessed=None):
    """Evaluates a model, and decides whether it is good enough.

    Writes evaluation.json and blessing.json.

    Args:
        model: run directory.
        examples: dataset directory.
        folder: existing directory to write to, a `pathlib.Path`.
        config: an `EvaluatorConfig`.
        last_blessed: export of the last blessed encoder, or None.
    """
    run = Run(pathlib.Path(model))
    learned, found = run.config(), run.model()
    # With the present path of the dataset, and the number of clips in `config`.
    data = load_data(
        dataclasses.replace(
            learned,
            data=dataclasses.replace(
                learned.data, path=str(examples), test_clips=config.clips
            ),
        )
    )
    clips, mean_frame = data.test(), data.mean_frame()
    evaluation = {
        **evaluate(found, clips, mean_frame),
        "data": {**data.describe(), "sequences": len(clips)},
    }
    of_last, why = None, None
    if last_blessed is not None:
        try:
            # Errors are in the units that the new model's LSTMs read.
            last = Exported(last_blessed, learned.model, found.encoder)
            of_last = evaluate(last, clips, mean_frame)["future"]
        except InputError as error:
            why = f"cannot be compared with {last_blessed}: {error}"
        evaluation["last_blessed"] = {"path": last_blessed, "future": of_last}
    checks = [
        _check(threshold, evaluation, of_last, why)
        for threshold in config.thresholds
        if threshold.of != "last_blessed" or last_blessed is not None
    ]
    write_json(folder / "evaluation.json", evaluation)
    blessed = all(check["met"] for check in checks)
    write_json(folder / BLESSING, {"blessed": blessed, "checks": checks})
    print("Blessed." if blessed else "Not blessed.")
    for check in checks:
        print(f"  {'met' if check['met'] else 'NOT met'}: {check['words']}")


def _check(threshold, evaluation, of_last, why):
    metric = threshold.metric
    value = evaluation[threshold.branch][metric]
    beside = {
        "one": 1.0,
        "last_frame": evaluation["baselines"]["last_frame"].get(metric),
        "mean_frame": evaluation["baselines"]["mean_frame"].get(metric),
        "last_blessed": of_last and of_last[metric],
    }[threshold.of]
    if beside is None:
        return {"met": False, "value": value, "words": f"{metric} {why}"}
    highest = threshold.at_most is not None
    factor = threshold.at_most if highest else threshold.at_least
    limit = factor * beside
    words = (
        f"{metric} of the {threshold.branch} is {value:.4g}, "
        f"{'at most' if highest else 'at least'} {limit:.4g} asked"
    )
    if threshold.of != "one":
        words += f", {factor:g} times that of {threshold.of.replace('_', ' ')}"
    return {
        "met": value <= limit if highest else value >= limit,
        "value": value,
        "limit": limit,
        "words": words,
    }
