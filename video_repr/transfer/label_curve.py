"""How much pretraining helps, by the number of labels (section 3.4)."""

import csv
import dataclasses
import io
import pathlib

import numpy as np

from video_repr import visualization
from video_repr.data import ClipDataset
from video_repr.data.clips import block_starts
from video_repr.data.draw import rng_of
from video_repr.errors import InputError
from video_repr.errors import need
from video_repr.files import whole_file
from video_repr.files import write_json
from video_repr.transfer import baselines
from video_repr.transfer.cells import Cells
from video_repr.transfer.cells import go_on
from video_repr.transfer.cells import paired_gain
from video_repr.transfer.cells import spread
from video_repr.transfer.config import SYSTEMS
from video_repr.transfer.encoders import check_fits
from video_repr.transfer.encoders import check_unseen
from video_repr.transfer.encoders import load_encoder
from video_repr.transfer.encoders import weights_sum
from video_repr.transfer.finetune import Finetuner
from video_repr.transfer.finetune import accuracy
from video_repr.transfer.finetune import random_weights
from video_repr.transfer.videos import load_videos


def load_splits(curve, dataset, split):
    """The training videos of a dataset, and the held-out ones.

    Raises:
        InputError: if they cannot be read, or a class has fewer training videos
            than the labels to draw.
    """
    videos = load_videos(dataset)
    if split not in videos:
        raise InputError(
            f"Expected one of the splits {', '.join(videos)} of "
            f"{dataset}. Received: {split!r}"
        )
    for k in curve.per_class:
        # Checked now rather than after an hour.
        videos["train"].few(k, 0)
    for name in ("train", split):
        summary = videos[name].introduce(
            curve.finetune.block, curve.finetune.stride
        )
        print(f"{name}: {summary}", flush=True)
    return videos["train"], videos[split]


def fit_cells(curve, train, test, encoder, file):
    """Makes the fits that are missing.

    Args:
        curve: a `LabelCurveConfig`.
        train: `Videos` to draw labels from.
        test: held-out `Videos`.
        encoder: the pretrained `Encoder`.
        file: .jsonl file of the accuracies; each fit adds a line, and fits in
            it are not repeated.

    Returns:
        The rows, see `rows`.
    """
    block, stride = curve.finetune.block, curve.finetune.stride
    shuffled_train = _shuffled(train, block, stride)
    shuffled_test = _shuffled(test, block, stride)
    classes = len(train.classes)
    finetuner = Finetuner(encoder, classes, curve.finetune)
    # Blocks do not overlap, so that each can be shuffled separately.
    of_shuffled = Finetuner(
        encoder, classes, dataclasses.replace(curve.finetune, stride=block)
    )

    def fit(system, k, seed):
        few, weights = train.few(k, seed), None
        if system == "mean_percept_probe":
            return baselines.mean_percept_probe(
                few, test, inverse_penalty=curve.inverse_penalty
            )
        if system == "single_frame":
            return baselines.single_frame(
                few, test, inverse_penalty=curve.inverse_penalty
            )
        if system == "shuffled_frames":
            few = shuffled_train.few(k, seed)
            return accuracy(of_shuffled.fit(few, seed), shuffled_test)
        if system == "random":
            weights = random_weights(encoder, seed)
        return accuracy(finetuner.fit(few, seed, weights), test)

    cells = Cells(file)
    cells.fill(SYSTEMS, curve.per_class, curve.seeds, fit)
    return rows(cells, curve.per_class, curve.seeds)


def rows(cells, per_class, seeds):
    """Means, standard deviations, and the gain from pretraining.

    Args:
        cells: the `Cells` of all systems.
        per_class: the numbers of labels.
        seeds: number of seeds.

    Returns:
        A dict for each k: "k", "seeds", each system's `spread`, the
        `paired_gain` of the pretrained LSTM over the random one and, under
        "over_mean_percept_probe", its `paired_gain` over that probe. The
        intervals are over label subsets, for one pretraining. For k "all" there
        is only one subset, and they are over fits alone.
    """
    return [
        {
            "k": k,
            "seeds": seeds,
            **{s: spread(cells.of(s, k, seeds)) for s in SYSTEMS},
            **paired_gain(
                cells.of("pretrained", k, seeds), cells.of("random", k, seeds)
            ),
            "over_mean_percept_probe": paired_gain(
                cells.of("pretrained", k, seeds),
                cells.of("mean_percept_probe", k, seeds),
            ),
        }
        for k in per_class
    ]


def run_label_curve(curve, encoder, dataset, directory, split="test"):
    """Makes the label curve of an encoder, or resumes it.

    Writes label_curve.json, .csv and .png, and cells.jsonl, a line for each
    fit.

    Args:
        curve: a `LabelCurveConfig`.
        encoder: path, see `encoders.load_encoder`.
        dataset: path of a dataset directory with labels.
        directory: directory to write.
        split: the held-out split.

    Returns:
        The rows.

    Raises:
        InputError: if the directory has something else, or the arguments do not
            fit together.
    """
    # Checked now, as intervals and figure need them after hours of fitting.
    need("report", "matplotlib")
    need("transfer", "sklearn", "scipy")
    directory = pathlib.Path(directory)
    about = {
        "encoder": str(encoder),
        "dataset": str(dataset),
        "split": split,
        **dataclasses.asdict(curve),
    }
    train, held_out = load_splits(curve, dataset, split)
    pretrained = load_encoder(encoder)
    # These are compared, not the paths.
    about["sha256"] = {
        "encoder": weights_sum(pretrained),
        "dataset": ClipDataset(dataset).fingerprint,
    }
    check_fits(pretrained, train)
    check_unseen(encoder, held_out, split)
    go_on(directory, about, names=("encoder", "dataset"))
    table = fit_cells(
        curve, train, held_out, pretrained, directory / "cells.jsonl"
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
            [row["k"], row["seeds"],
             *(row[system][of] for system, of in measures),
             row["paired_gain"], *row["ci95"]]
        )  # fmt: skip
    return file.getvalue()


def _shuffled(videos, length, stride):
    """Blocks whose frames are shuffled, one after another."""
    shuffled = []
    for name, frames in zip(videos.ids, videos.frames, strict=True):
        rng = rng_of("shuffled", name)
        starts = block_starts(len(frames), length, stride)
        shuffled.append(
            np.concatenate(
                [rng.permutation(frames[s : s + length]) for s in starts]
            )
        )
    return dataclasses.replace(videos, frames=tuple(shuffled))
