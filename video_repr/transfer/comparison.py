"""Compares ways of pretraining, as the paper's third table."""

import csv
import dataclasses
import pathlib

from video_repr.data.run_data import load_data
from video_repr.errors import need
from video_repr.files import whole_file
from video_repr.files import write_json
from video_repr.training import pretrain
from video_repr.transfer.cells import Cells
from video_repr.transfer.cells import go_on
from video_repr.transfer.cells import paired_gain
from video_repr.transfer.cells import spread
from video_repr.transfer.finetune import Finetuner
from video_repr.transfer.finetune import accuracy
from video_repr.transfer.finetune import random_weights
from video_repr.transfer.label_curve import load_splits

# The two decoders of each: of the reversed input, and of the future.
DECODERS = {
    "none": ("none", "none"),
    "autoencoder": ("unconditioned", "none"),
    "future predictor": ("none", "unconditioned"),
    "conditional autoencoder": ("conditional", "none"),
    "conditional future predictor": ("none", "conditional"),
    "composite": ("unconditioned", "unconditioned"),
    "composite + conditional future": ("unconditioned", "conditional"),
}


def compare_pretraining(curve, pretraining, directory, split="test"):
    """Pretrains with each kind of decoders, and fits classifiers.

    All read the same windows of the videos, train for the same number of
    updates and are fitted on the same labels. If it is killed, a further call
    resumes.

    comparison.json, comparison.csv   the table
    cells.jsonl                       a line for each fit
    NAME/                             the run directory of each pretraining

    Args:
        curve: a `LabelCurveConfig`: numbers of labels, seeds, how to fit.
        pretraining: a `configs.Config`; its decoders are replaced.
        directory: directory to write.
        split: the held-out split.

    Returns:
        A list of dicts, one for each of `DECODERS` and each number of labels:
        "pretraining", "k", "seeds", "mean" and "sd" of the accuracy, and the
        `paired_gain` over the random weights of "none".

    Raises:
        InputError: if the directory has something else, or the arguments do not
            fit together.
    """
    # Checked now, as they are needed after hours of pretraining.
    need("report", "matplotlib", "PIL", "tensorboard")
    need("transfer", "sklearn", "scipy")
    directory = pathlib.Path(directory)
    train, held_out = load_splits(curve, pretraining.data.path, split)
    # Checks the length of videos before the settings are written.
    data = load_data(pretraining)
    data.train(pretraining.training.batch_size)
    data.validation()
    data.test()
    settings = pretraining.to_dict()
    about = {
        # The dataset may have been moved: its checksum is compared.
        "dataset": settings["data"].pop("path"),
        "pretraining": settings,
        "split": split,
        **dataclasses.asdict(curve),
        "sha256": data.fingerprint,
    }
    go_on(directory, about, names=("dataset",))
    encoders = {
        name: _pretrained(pretraining, name, directory)
        for name in DECODERS
        if name != "none"
    }
    like = encoders["composite"]
    finetuner = Finetuner(like, len(train.classes), curve.finetune)

    def fit(name, k, seed):
        weights = (
            random_weights(like, seed)
            if name == "none"
            else encoders[name].get_weights()
        )
        return accuracy(
            finetuner.fit(train.few(k, seed), seed, weights), held_out
        )

    cells = Cells(directory / "cells.jsonl")
    cells.fill(DECODERS, curve.per_class, curve.seeds, fit)
    table = [
        {
            "pretraining": name,
            "k": k,
            "seeds": curve.seeds,
            **spread(cells.of(name, k, curve.seeds)),
            **paired_gain(
                cells.of(name, k, curve.seeds), cells.of("none", k, curve.seeds)
            ),
        }
        for name in DECODERS
        for k in curve.per_class
    ]
    write_json(directory / "comparison.json", {**about, "rows": table})
    with whole_file(directory / "comparison.csv") as partial:
        _write_csv(partial, table)
    return table


def _pretrained(pretraining, name, directory):
    """The encoder of one way of pretraining; trains it if necessary."""
    reconstruction, future = DECODERS[name]
    model = pretraining.model
    config = dataclasses.replace(
        pretraining,
        data=dataclasses.replace(
            # An autoencoder needs no frames after its input, and would
            # otherwise see more of each video.
            pretraining.data,
            window=model.input_frames + model.future_frames,
        ),
        model=dataclasses.replace(
            model, reconstruction=reconstruction, future=future
        ),
    )
    print(f"Pretraining: {name}", flush=True)
    run = directory / name.replace(" + ", "-").replace(" ", "-")
    return pretrain(config, run, resume=True).model().encoder


def _write_csv(path, table):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["pretraining", "k", "seeds", "mean", "sd", "paired_gain",
             "ci95_low", "ci95_high"]
        )  # fmt: skip
        for row in table:
            *values, interval = row.values()
            writer.writerow([*values, *interval])
