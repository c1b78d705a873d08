"""Evaluator, FineTuner and Pusher: from a model to a blessed encoder."""

import dataclasses
import pathlib

from video_repr import artefact
from video_repr.configs.data import data_of
from video_repr.errors import InputError
from video_repr.evaluation.export import Exported
from video_repr.evaluation.prediction import evaluate
from video_repr.export import export_run
from video_repr.export import next_version
from video_repr.export import versions_of
from video_repr.files import read_json
from video_repr.files import write_json
from video_repr.runs import Run
from video_repr.transfer.finetune import finetune

_BLESSING = "blessing.json"


def bless(model, examples, folder, config, last_blessed=None):
    """Measures a model, and says whether it is good enough.

    Writes evaluation.json and blessing.json.

    Args:
        model: run directory.
        examples: dataset directory.
        folder: existing directory to write to, a `pathlib.Path`.
        config: an `EvaluatorConfig`.
        last_blessed: export of the encoder that was blessed last, or None.
    """
    run = Run(pathlib.Path(model))
    learned, found = run.config(), run.model()
    # Where the dataset lies now, and as many of its clips as are asked for.
    data = data_of(
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
            # In the values that the new model's LSTMs read.
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
    write_json(folder / _BLESSING, {"blessed": blessed, "checks": checks})
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


def read_blessing(folder):
    """The content of blessing.json."""
    return read_json(pathlib.Path(folder) / _BLESSING)


def last_blessed(saved_models, name, model):
    """The newest encoder that is not made of this model, nor newer than it.

    Args:
        saved_models: directory of exports, NAME/VERSION below it.
        name: of the encoder.
        model: fingerprint of the model.

    Returns:
        Its directory, or None.
    """
    found = None
    for directory in versions_of(pathlib.Path(saved_models) / name):
        of = made_of_model(directory)
        if of == model:
            break
        if of is not None:
            # Others were exported by hand, and not blessed.
            found = directory
    return found


def made_of_model(directory):
    """Fingerprint of the model that an export was made of, or None."""
    about = artefact.check(directory)
    return about.get("pipeline", {}).get("model")


def push(model, fingerprint, blessing, saved_models, name, terms, lineage):
    """Exports a blessed model to the next version, unless it is there.

    Args:
        model: run directory.
        fingerprint: the model's.
        blessing: folder of what the Evaluator found.
        saved_models: directory of exports, NAME/VERSION below it.
        name: of the encoder.
        terms: `model_card.Terms`.
        lineage: JSON-ready, for config.json.

    Returns:
        The export's directory; None where the model is not blessed.
    """
    if not read_blessing(blessing)["blessed"]:
        print("Not pushed: the model is not blessed.")
        return None
    home = pathlib.Path(saved_models) / name
    for directory in versions_of(home):
        if made_of_model(directory) == fingerprint:
            print(f"{directory} is this model already.")
            return directory
    directory = export_run(
        Run(pathlib.Path(model)),
        next_version(home),
        terms,
        pipeline={**lineage, "model": fingerprint},
    )
    print(f"{directory} written.")
    return directory


def fine_tune(model, examples, folder, config):
    """Fits a classifier around the encoder of a model.

    Args:
        model: run directory.
        examples: dataset directory with labels.
        folder: directory to write, a `pathlib.Path`.
        config: a `FineTunerConfig`.
    """
    found = finetune(
        config.classifier,
        model,
        examples,
        folder / "classifier",
        per_class=config.per_class,
        seed=config.seed,
        verbose=2,
    )
    for split, predictions in found.items():
        print(f"{split}: {predictions.accuracy:.1%} of the videos")
