"""From percepts of UCF-101 to the label curve, in one command.

    python -m benchmarks.transfer --percepts DIR --directory DIR --json FILE

Imports the percepts of seven classes (`pipelines.import_features`, official
split 1, validation groups drawn from the training groups), pretrains the
config `percepts` on the training videos, and fits the classifiers of
`video-repr label-curve` on few labels. Given again it goes on where it was
stopped. Flags of `video-repr label-curve` follow `--`.
"""

import csv
import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from typing import Literal

import numpy as np
import tyro

from video_repr.data.draw import rng_of
from video_repr.files import write_json
from video_repr.machine import machine
from video_repr.transfer.cells import go_on

_SPLITS = {1: "train", 2: "test"}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure what pretraining is worth.

    Attributes:
        percepts: folder of a file NN_CLASS.npz for each class: `q` and `s`,
            where (q * s)**2 is `[clips, time, features]`, and each clip's
            `name` and `subset`, 1 to train and 2 to test on.
        directory: where data and runs go.
        split: the split that is held out; "validation" while settings are
            chosen.
        permuted: whether the labels of all training clips are permuted: no
            classifier should be better than chance then.
        json: file to write.
    """

    percepts: pathlib.Path
    directory: pathlib.Path
    split: Literal["test", "validation"] = "test"
    permuted: bool = False
    json: pathlib.Path | None = None


def gather(percepts, directory, permuted):
    """Writes the clips of all classes as one array and its index."""
    arrays, lines = [], []
    for file in sorted(percepts.glob("*.npz")):
        label = file.stem.partition("_")[2]
        clips = np.load(file)
        arrays.append(np.square(clips["q"] * clips["s"]))
        for name, subset in zip(clips["name"], clips["subset"], strict=True):
            group = name.removeprefix("v_").rpartition("_")[0]
            lines.append([str(name), label, group, _SPLITS[int(subset)]])
    if not lines:
        raise SystemExit(f"Expected files NN_CLASS.npz. Received: {percepts}")
    if permuted:
        train = [line for line in lines if line[3] == "train"]
        labels = rng_of("permuted").permutation([line[1] for line in train])
        for line, label in zip(train, labels, strict=True):
            line[1] = str(label)
    np.save(directory / "percepts.npy", np.concatenate(arrays))
    with open(directory / "index.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [["clip", "label", "group", "split"], *lines]
        )


def main():
    """Runs the chain."""
    given, curve = sys.argv[1:], []
    if "--" in given:
        end = given.index("--")
        given, curve = given[:end], given[end + 1 :]
    arguments = tyro.cli(Arguments, args=given)
    started = time.monotonic()
    directory = arguments.directory
    go_on(
        directory,
        {
            "percepts": str(arguments.percepts),
            "permuted": arguments.permuted,
            "split": arguments.split,
            "curve": curve,
        },
    )
    resumed = (directory / "pretrained").exists()
    dataset, run = directory / "dataset" / "1", directory / "pretrained"
    if not (dataset / "COMPLETED").exists():
        gather(arguments.percepts, directory, arguments.permuted)
        _python(
            "-m", "pipelines.import_features",
            "--arrays", directory / "percepts.npy",
            "--index", directory / "index.csv",
            "--validation", "0.2",
            "--output", dataset,
        )  # fmt: skip
    _video_repr(
        "pretrain", "percepts", "--run", run, "--data.path", dataset,
        "--resume",
    )  # fmt: skip
    output = directory / "label_curve"
    _video_repr(
        "label-curve", run, "--dataset", dataset, "--run", output,
        "--split", arguments.split, *curve,
    )  # fmt: skip
    minutes = (time.monotonic() - started) / 60
    print(f"{minutes:.1f} minutes")
    if arguments.json:
        told = json.loads((output / "label_curve.json").read_text())
        # Not where it lay on this machine.
        told = {k: v for k, v in told.items() if k not in _PATHS}
        write_json(
            arguments.json,
            {
                "machine": machine(),
                # Of the whole chain alone.
                "minutes": None if resumed else round(minutes, 1),
                "permuted": arguments.permuted,
                **told,
            },
        )


_PATHS = ("encoder", "dataset")


def _video_repr(*arguments):
    _python(
        "-c", "import sys; from video_repr.cli import main; sys.exit(main())",
        *arguments,
    )  # fmt: skip


def _python(*arguments):
    subprocess.run([sys.executable, *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
