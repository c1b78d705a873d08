"""How much pretraining is worth, by the number of labels (section 3.4)."""

import csv
import dataclasses
import io
import json
import math
import pathlib

import keras
import numpy as np

from video_repr import visualization
from video_repr.data.draw import rng_of
from video_repr.errors import InputError
from video_repr.errors import extra
from video_repr.files import whole_file
from video_repr.files import write_json
from video_repr.transfer import baselines
from video_repr.transfer.encoders import check_fits
from video_repr.transfer.encoders import load_encoder
from video_repr.transfer.finetune import FinetuneConfig
from video_repr.transfer.finetune import Finetuner
from video_repr.transfer.finetune import accuracy
from video_repr.transfer.videos import load_videos

# The keys of a row, and what they are called in figures.
SYSTEMS = {
    "pretrained": "LSTM, pretrained",
    "random": "LSTM, random",
    "shuffled_frames": "LSTM, pretrained, frames shuffled",
    "mean_percept_probe": "linear, mean frame",
    "single_frame": "linear, single frames",
}


@dataclasses.dataclass(frozen=True)
class LabelCurve:
    """Fits classifiers on few labels, again and again.

    Attributes:
        per_class: numbers of labelled videos of each class; None for all.
        seeds: number of label subsets for each.
        finetune: how a classifier is fitted.
        inverse_penalty: scikit-learn's C of the classifiers without an LSTM.
    """

    per_class: tuple[int | None, ...] = (1, 2, 4, 8)
    seeds: int = 10
    finetune: FinetuneConfig = dataclasses.field(default_factory=FinetuneConfig)
    inverse_penalty: float = 1.0

    def __post_init__(self):
        if self.seeds < 2:
            raise InputError(
                "Expected at least 2 seeds, for an interval. Received: "
                f"{self.seeds}"
            )
        if not self.per_class or any(
            k is not None and k < 1 for k in self.per_class
        ):
            raise InputError(
                "Expected numbers of labels per class, each at least 1. "
                f"Received: {self.per_class}"
            )

    def run(self, train, test, encoder, file):
        """Fits what is not fitted yet.

        Args:
            train: `Videos` to draw labels from.
            test: `Videos` to be right about.
            encoder: the pretrained `Encoder`.
            file: .jsonl file of the accuracies; a line is added to it for
                each fit, and what is there is not fitted again.

        Returns:
            The rows, see `rows`.
        """
        cells = _Cells(file)
        shuffled = {
            name: _shuffled(videos, name)
            for name, videos in (("train", train), ("test", test))
        }
        finetuner = Finetuner(encoder, len(train.classes), self.finetune)
        for k in self.per_class:
            for seed in range(self.seeds):
                few = train.few(k, seed)
                fits = {
                    "pretrained": lambda few=few, seed=seed: accuracy(
                        finetuner.fit(few, seed), test
                    ),
                    "random": lambda few=few, seed=seed: accuracy(
                        finetuner.fit(few, seed, _random(encoder, seed)), test
                    ),
                    "shuffled_frames": lambda seed=seed, k=k: accuracy(
                        finetuner.fit(shuffled["train"].few(k, seed), seed),
                        shuffled["test"],
                    ),
                    "mean_percept_probe": lambda few=few: (
                        baselines.mean_percept_probe(
                            few, test, inverse_penalty=self.inverse_penalty
                        )
                    ),
                    "single_frame": lambda few=few: baselines.single_frame(
                        few, test, inverse_penalty=self.inverse_penalty
                    ),
                }
                for system in SYSTEMS:
                    cells.fill((system, k, seed), fits[system])
        return rows(cells.found, self.per_class, self.seeds)


class _Cells:
    """Accuracies by system, number of labels and seed, in a file."""

    def __init__(self, file):
        self._file = pathlib.Path(file)
        self.found = {}
        if self._file.exists():
            # A line that was being written when the process was killed is
            # no line.
            for line in self._file.read_text().splitlines():
                try:
                    cell = json.loads(line)
                except ValueError:
                    continue
                key = cell["system"], cell["k"], cell["seed"]
                self.found[key] = cell["accuracy"]
            self._write()

    def fill(self, key, fit):
        if key in self.found:
            return
        self.found[key] = fit()
        system, k, seed = key
        print(
            f"{system:<20}{'all' if k is None else k:>5} labels a class, "
            f"seed {seed}: {self.found[key]:.3f}",
            flush=True,
        )
        self._write()

    def _write(self):
        with whole_file(self._file) as partial:
            partial.write_text(
                "".join(
                    json.dumps(
                        {"system": s, "k": k, "seed": seed, "accuracy": value}
                    )
                    + "\n"
                    for (s, k, seed), value in self.found.items()
                )
            )


def rows(accuracies, per_class, seeds):
    """Means, spreads, and what pretraining gains.

    Args:
        accuracies: a dict from `(system, k, seed)`.
        per_class: the numbers of labels.
        seeds: number of seeds.

    Returns:
        A dict for each k: "k", "seeds", each system's "mean" and "sd",
        "paired_gain", the mean over the seeds of the pretrained LSTM's
        accuracy less the random one's, and "ci95", its 95 % interval
        (Student's t).
    """
    with extra("transfer"):
        from scipy import stats
    table = []
    for k in per_class:
        row = {"k": k, "seeds": seeds}
        of = {
            system: np.array([accuracies[system, k, s] for s in range(seeds)])
            for system in SYSTEMS
        }
        for system, values in of.items():
            row[system] = {
                "mean": float(values.mean()),
                "sd": float(values.std(ddof=1)),
            }
        gain = of["pretrained"] - of["random"]
        half = stats.t.ppf(0.975, seeds - 1) * gain.std(ddof=1)
        half /= math.sqrt(seeds)
        row["paired_gain"] = float(gain.mean())
        row["ci95"] = [float(gain.mean() - half), float(gain.mean() + half)]
        table.append(row)
    return table


def run_label_curve(curve, encoder, dataset, directory, split="test"):
    """Makes the label curve of an encoder, or goes on with it.

    Writes label_curve.json, .csv and .png, and cells.jsonl, a line a fit.

    Args:
        curve: a `LabelCurve`.
        encoder: path, see `encoders.load_encoder`.
        dataset: path of a dataset directory with labels.
        directory: directory to write.
        split: the split to be right about.

    Returns:
        The rows.

    Raises:
        InputError: if the directory has something else, or what is given
            does not fit together.
    """
    directory = pathlib.Path(directory)
    about = {
        "encoder": str(encoder),
        "dataset": str(dataset),
        "split": split,
        **json.loads(json.dumps(dataclasses.asdict(curve))),
    }
    config = directory / "config.json"
    if config.exists():
        if json.loads(config.read_text()) != about:
            raise InputError(
                f"Expected the settings in {config}, or a new directory. "
                "Received: others"
            )
    elif directory.exists() and any(directory.iterdir()):
        raise InputError(
            f"Expected a new directory. Received: {str(directory)!r}, which "
            "has other files"
        )
    videos = load_videos(dataset)
    if split not in videos:
        raise InputError(
            f"Expected one of the splits {', '.join(videos)} of {dataset}. "
            f"Received: {split!r}"
        )
    pretrained = load_encoder(encoder)
    check_fits(pretrained, videos["train"])
    for k in curve.per_class:
        # Refused now rather than after an hour.
        videos["train"].few(k, 0)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(config, about)
    table = curve.run(
        videos["train"], videos[split], pretrained, directory / "cells.jsonl"
    )
    write_json(directory / "label_curve.json", {**about, "rows": table})
    with whole_file(directory / "label_curve.csv") as partial:
        partial.write_text(to_csv(table))
    with whole_file(directory / "label_curve.png") as partial:
        visualization.label_curve(table, SYSTEMS).savefig(partial, format="png")
    return table


def to_csv(table):
    """Rows as the text of a CSV file."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    measures = [(system, of) for system in SYSTEMS for of in ("mean", "sd")]
    writer.writerow(
        ["k", "seeds", *map("_".join, measures), "paired_gain", "ci95_low",
         "ci95_high"]
    )  # fmt: skip
    for row in table:
        writer.writerow(
            ["all" if row["k"] is None else row["k"], row["seeds"],
             *(row[system][of] for system, of in measures),
             row["paired_gain"], *row["ci95"]]
        )  # fmt: skip
    return file.getvalue()


def _random(encoder, seed):
    keras.utils.set_random_seed(seed)
    again = type(encoder).from_config(encoder.get_config())
    again.build((None, None, encoder.features))
    return again.get_weights()


def _shuffled(videos, name):
    rng = rng_of("shuffled", name)
    return dataclasses.replace(
        videos, frames=tuple(rng.permutation(v) for v in videos.frames)
    )
