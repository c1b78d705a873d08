"""The sections of reports about classifiers and label curves."""

from video_repr import visualization
from video_repr.errors import InputError
from video_repr.files import read_json
from video_repr.report.page import Table
from video_repr.report.page import figure
from video_repr.report.results import made_rows
from video_repr.transfer.config import SYSTEMS
from video_repr.transfer.predictions import Predictions
from video_repr.transfer.predictions import predictions_file

# Strictest first: accuracy on the split used for choices is optimistic.
_SPLITS = ("test", "validation")


def settings(run):
    """The settings of the run."""
    config = read_json(run / "config.json", dict)
    made = run / "made.json"
    rows = made_rows(read_json(made, dict)) if made.is_file() else []
    rows += [(name, str(value)) for name, value in config.items()]
    return [Table(("", ""), tuple(rows), "Settings and data", True)]


def accuracies(run):
    """Accuracy by split."""
    rows = []
    for split, found in predictions(run).items():
        summary = found.summary()
        rows.append(
            (
                split,
                f"{summary['video_accuracy']:.1%}",
                f"{summary['class_accuracy_mean']:.1%}",
                f"{summary['videos']:,}",
            )
        )
    return [
        Table(
            ("split", "videos", "mean of classes", "number of videos"),
            tuple(rows),
            "Accuracy.",
        )
    ]


def confusion(run):
    """Confusion matrices."""
    return [
        figure(
            visualization.confusion(found.confusion, found.classes),
            f"Confusion matrix of the {split} videos.",
            f"{split}: rows are the videos' classes, columns their most "
            "probable classes.",
        )
        for split, found in predictions(run).items()
    ]


def hardest(run):
    """The videos whose own class is least probable."""
    return [
        Table(
            ("video", "its class", "probability of it", "most probable"),
            tuple(
                (
                    video["video"],
                    video["class"],
                    f"{video['probability']:.1%}",
                    video["most_probable"],
                )
                for video in found.hardest()
            ),
            f"{split}: the videos whose own class is least probable.",
        )
        for split, found in predictions(run).items()
    ]


def label_curve(run):
    """Accuracy over labels."""
    found = read_json(run / "label_curve.json", dict)
    rows = found.get("rows")
    if not rows:
        raise InputError(
            f"Expected rows in {run / 'label_curve.json'}. Received: none"
        )
    return [
        figure(
            visualization.label_curve(rows, SYSTEMS),
            "Accuracy of each system over the number of labelled videos.",
            "Means and standard deviations over label subsets, "
            f"{found['split']} videos.",
        ),
        Table(
            ("labels a class", *(str(row["k"]) for row in rows)),
            (
                *(
                    (
                        name,
                        *(
                            f"{row[key]['mean']:.1%} ± {row[key]['sd']:.1%}"
                            for row in rows
                        ),
                    )
                    for key, name in SYSTEMS.items()
                ),
                (
                    "gain over random, 95 % interval",
                    *(
                        f"{row['ci95'][0]:+.1%} to {row['ci95'][1]:+.1%}"
                        for row in rows
                    ),
                ),
            ),
            "Accuracy.",
        ),
    ]


def predictions(run):
    """The `Predictions` in a run's directory, by split."""
    paths = {split: predictions_file(run, split) for split in _SPLITS}
    return {
        split: Predictions.read(path)
        for split, path in paths.items()
        if path.is_file()
    }


FINETUNED = {
    "The run": settings,
    "Accuracy": accuracies,
    "Confusion": confusion,
    "Hardest videos": hardest,
}
LABEL_CURVE = {"The run": settings, "Label curve": label_curve}
