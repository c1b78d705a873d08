"""A classifier's predictions for videos, in files, and their accuracy."""

import csv
import dataclasses
import pathlib

import numpy as np

from video_repr import visualization
from video_repr.errors import InputError
from video_repr.errors import extra
from video_repr.files import read_json
from video_repr.files import whole_file
from video_repr.files import write_json
from video_repr.machine import made

_HARDEST = 20
_CONTENTS = "contents.json"


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Probabilities of the classes of labelled videos.

    Attributes:
        ids: names of the videos.
        labels: class index of each, `[videos]`.
        classes: names of the classes.
        probabilities: `[videos, classes]`.
        contents: checksums of the videos' content, by their names; see
            `data.ClipDataset.contents`.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    probabilities: np.ndarray
    contents: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, model, videos):
        """The predictions of an `ActionClassifier` for `Videos`."""
        return cls(
            videos.ids,
            videos.labels,
            videos.classes,
            model.predict_videos(videos.frames),
            {name: videos.contents.get(name) for name in videos.ids},
        )

    @property
    def films(self):
        """The checksum of each video's film; None if any is unknown.

        Checksums of values are not used, as they differ between the streams of
        one film.
        """
        found = [self.contents.get(name) or "" for name in self.ids]
        return found if all(c.startswith("file ") for c in found) else None

    @property
    def found(self):
        """The most probable class of each video, `[videos]`."""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self):
        """Share of videos whose most probable class is right."""
        return float((self.found == self.labels).mean())

    @property
    def confusion(self):
        """Number of videos by own class and by most probable class."""
        with extra("transfer"):
            from sklearn.metrics import confusion_matrix
        return confusion_matrix(
            self.labels, self.found, labels=range(len(self.classes))
        )

    def hardest(self, count=_HARDEST):
        """The videos whose own class is least probable, a dict each."""
        own = self.probabilities[np.arange(len(self.ids)), self.labels]
        found = self.found
        return [
            {
                "video": self.ids[i],
                "class": self.classes[self.labels[i]],
                "probability": float(own[i]),
                "most_probable": self.classes[found[i]],
            }
            for i in np.argsort(own, kind="stable")[:count]
        ]

    def summary(self):
        """Accuracy and errors, as a JSON-ready dict.

        It has "video_accuracy", the accuracy and the number of videos by class
        (None for a class without videos), the mean over classes, the confusion
        matrix (rows are the videos' own classes) and the hardest videos.
        """
        counts = self.confusion
        videos, right = counts.sum(axis=1), counts.diagonal()
        there = videos > 0
        return {
            "videos": len(self.ids),
            "video_accuracy": self.accuracy,
            "class_accuracy_mean": float((right[there] / videos[there]).mean()),
            "classes": {
                name: {
                    "videos": int(count),
                    "accuracy": float(hits / count) if count else None,
                }
                for name, count, hits in zip(
                    self.classes, videos, right, strict=True
                )
            },
            "confusion": counts.tolist(),
            "hardest": self.hardest(),
        }

    def take(self, indices):
        """The predictions for the videos of some indices, in their order."""
        return dataclasses.replace(
            self,
            ids=tuple(self.ids[i] for i in indices),
            labels=self.labels[indices],
            probabilities=self.probabilities[indices],
        )

    def write(self, path):
        """Writes a CSV file: a line for each video, a column for each class."""
        with whole_file(path) as partial, partial.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["video", "label", *self.classes])
            for name, label, values in zip(
                self.ids, self.labels, self.probabilities, strict=True
            ):
                writer.writerow(
                    [name, self.classes[label], *(f"{v:.9g}" for v in values)]
                )

    @classmethod
    def read(cls, path):
        """Reads the file of `write`, and the contents.json beside it.

        Raises:
            InputError: if it is missing or malformed.
        """
        contents = pathlib.Path(path).with_name(_CONTENTS)
        try:
            with open(path, newline="") as file:
                (_, _, *classes), *lines = csv.reader(file)
            ids, labels, *columns = zip(*lines, strict=True)
            return cls(
                ids,
                np.array([classes.index(label) for label in labels]),
                tuple(classes),
                np.array(columns, float).T.reshape(len(ids), len(classes)),
                # Before 0.2 there was no such file.
                read_json(contents, dict) if contents.exists() else {},
            )
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(
                "Expected a fine-tuned run's predictions. Received: "
                f"{path}: {error}"
            ) from error


def predictions_file(directory, split):
    """Path of a run's predictions for a split."""
    return pathlib.Path(directory) / f"predictions-{split}.csv"


def write_outcome(directory, about, predictions):
    """Writes a classifier's predictions into a directory.

    config.json            settings
    made.json              machine, versions and time
    predictions-SPLIT.csv  probabilities for every video
    contents.json          checksums of the videos' content, by name
    evaluation.json        `Predictions.summary` of each split
    figures/confusion-SPLIT.png

    Args:
        directory: an existing directory.
        about: JSON-ready settings that made the predictions, for config.json.
        predictions: `Predictions` by split.
    """
    directory = pathlib.Path(directory)
    figures = directory / "figures"
    figures.mkdir()
    write_json(directory / "config.json", about)
    write_json(directory / "made.json", made())
    write_json(
        directory / _CONTENTS,
        {
            name: content
            for found in predictions.values()
            for name, content in found.contents.items()
        },
    )
    for split, found in predictions.items():
        found.write(predictions_file(directory, split))
        figure = visualization.confusion(
            found.confusion,
            found.classes,
            f"{split}: {found.accuracy:.1%} of {len(found.ids):,} videos",
        )
        with whole_file(figures / f"confusion-{split}.png") as partial:
            figure.savefig(partial, format="png")
    write_json(
        directory / "evaluation.json",
        {split: found.summary() for split, found in predictions.items()},
    )
