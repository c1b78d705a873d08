"""Fuses the predictions of several runs, such as two streams."""

import dataclasses
import pathlib

import numpy as np

from video_repr.errors import InputError
from video_repr.errors import need
from video_repr.files import whole_directory
from video_repr.transfer.predictions import Predictions
from video_repr.transfer.predictions import predictions_file
from video_repr.transfer.predictions import write_outcome


def fusion_weights(predictions, iterations=1000):
    """Weights of several classifiers, from videos whose class is known.

    They maximise the likelihood of the videos' own classes under the mixture,
    by expectation maximisation. The log-likelihood is concave in the weights,
    so this is the global maximum.

    Args:
        predictions: `Predictions` of the same videos.
        iterations: number of steps.

    Returns:
        `[classifiers]`, at least 0, of sum 1.
    """
    labels = predictions[0].labels
    own = np.stack(
        [p.probabilities[np.arange(len(labels)), labels] for p in predictions]
    )
    # A video whose class has probability 0 everywhere has no effect.
    own = np.maximum(own, 1e-12)
    weights = np.full(len(own), 1 / len(own))
    for _ in range(iterations):
        share = weights[:, None] * own
        weights = (share / share.sum(axis=0)).mean(axis=1)
    return weights


def fuse(runs, directory):
    """Averages the predictions of runs, weighted by validation.

    Args:
        runs: directories of finetuned runs, of the same videos.
        directory: directory to write, see `predictions.write_outcome`.

    Returns:
        `(weights, predictions)`: a weight for each run, and the fused
        `Predictions` by split.

    Raises:
        InputError: if a run is given twice, they are of other videos or
            classes, or one has no predictions of the validation or test split.
    """
    need("report", "matplotlib")
    need("transfer", "sklearn")
    if len(runs) < 2:
        raise InputError(
            f"Expected at least 2 runs to fuse. Received: {len(runs)}"
        )
    _check_each_once(runs)
    if directory.exists():
        raise InputError(
            f"Expected a new directory. Received: {str(directory)!r}, which "
            "exists"
        )
    of = {}
    for split in ("validation", "test"):
        of[split] = [Predictions.read(predictions_file(r, split)) for r in runs]
        first = of[split][0]
        for number, run in enumerate(runs):
            other = of[split][number]
            if first.classes != other.classes:
                raise InputError(
                    "Expected the same classes in all runs. Received: "
                    f"{', '.join(first.classes)} in {runs[0]}, "
                    f"{', '.join(other.classes)} in {run}"
                )
            mine, others = _known_by(first, other)
            if sorted(mine) != sorted(others):
                common = len({*mine} & {*others})
                raise InputError(
                    f"Expected the same {split} videos in all runs. Received: "
                    f"{len(mine)} in {runs[0]}, {len(others)} in {run}, "
                    f"{common} of them in both"
                )
            # In the first run's order.
            order = np.empty(len(mine), int)
            order[_sorted(mine)] = _sorted(others)
            of[split][number] = other = other.take(order)
            differ = np.flatnonzero(first.labels != other.labels)
            if len(differ):
                raise InputError(
                    "Expected the same class of a video in all runs. "
                    f"Received: others in {runs[0]} and {run} for "
                    f"{len(differ)} {split} videos, as "
                    f"{first.ids[differ[0]]!r}"
                )
    weights = fusion_weights(of["validation"])
    fused = {
        split: dataclasses.replace(
            found[0],
            probabilities=np.einsum(
                "r,rvc->vc", weights, [p.probabilities for p in found]
            ),
        )
        for split, found in of.items()
    }
    about = {
        "runs": [
            {
                "run": str(run),
                "weight": float(weight),
                "validation_accuracy": validation.accuracy,
                "test_accuracy": test.accuracy,
            }
            for run, weight, validation, test in zip(
                runs, weights, of["validation"], of["test"], strict=True
            )
        ]
    }
    with whole_directory(directory) as partial:
        write_outcome(partial, about, fused)
    return weights, fused


def _check_each_once(runs):
    """Refuses a run that is given twice, whose weight would be divided."""
    places = [pathlib.Path(run).resolve() for run in runs]
    if len(set(places)) < len(places):
        raise InputError(
            "Expected runs to fuse, each once. Received: "
            f"{', '.join(map(str, runs))}"
        )


def _known_by(one, other):
    """Identifiers of the videos of two `Predictions`, two sequences.

    They are the contents of the films, as names can change or repeat; if the
    content of any is unknown, they are the names.
    """
    if one.films and other.films:
        return one.films, other.films
    return one.ids, other.ids


def _sorted(names):
    return sorted(range(len(names)), key=names.__getitem__)


def average_splits(runs):
    """The test accuracies of runs on different splits, and their mean.

    Args:
        runs: directories of finetuned or fused runs, one of each official
            split of a dataset.

    Returns:
        `(accuracies, mean)`: the accuracy of each run, and their mean.

    Raises:
        InputError: for less than two runs, or if two have the same test videos
            or different classes.
    """
    if len(runs) < 2:
        raise InputError(
            f"Expected at least 2 runs to average. Received: {len(runs)}"
        )
    found = [Predictions.read(predictions_file(run, "test")) for run in runs]
    for i, (run, one) in enumerate(zip(runs, found, strict=True)):
        if one.classes != found[0].classes:
            raise InputError(
                "Expected runs with the same classes. Received: "
                f"{len(found[0].classes)} in {runs[0]} and others, "
                f"{len(one.classes)}, in {run}"
            )
        for before, other in zip(runs[:i], found[:i], strict=True):
            mine, others = _known_by(one, other)
            if set(mine) == set(others):
                raise InputError(
                    "Expected runs on different splits. Received: the same "
                    f"test videos in {before} and in {run}"
                )
    accuracies = [one.accuracy for one in found]
    return accuracies, float(np.mean(accuracies))
