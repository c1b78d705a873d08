"""A table that is filled fit by fit, and that can be resumed."""

import itertools
import json
import math
import pathlib

import numpy as np

from video_repr.errors import InputError
from video_repr.errors import extra
from video_repr.files import read_json
from video_repr.files import whole_file
from video_repr.files import write_json
from video_repr.machine import made


class Cells:
    """Accuracies by system, number of labels and seed, in a .jsonl file.

    Args:
        file: the file; fits that it contains are not repeated.
    """

    def __init__(self, file):
        self._file = pathlib.Path(file)
        self.found = {}
        if self._file.exists():
            # A process that was killed may have left a half-written line,
            # which is ignored.
            for line in self._file.read_text().splitlines():
                try:
                    cell = json.loads(line)
                except ValueError:
                    continue
                key = cell["system"], cell["k"], cell["seed"]
                self.found[key] = cell["accuracy"]
            self._write()

    def fill(self, systems, per_class, seeds, fit):
        """Fills the cells that are empty.

        Args:
            systems: names of the systems to fit.
            per_class: the numbers of labels.
            seeds: number of seeds.
            fit: function that takes a system, a number of labels and a seed,
                and returns the accuracy.
        """
        for k, seed, system in itertools.product(
            per_class, range(seeds), systems
        ):
            if (system, k, seed) in self.found:
                continue
            self.found[system, k, seed] = accuracy = fit(system, k, seed)
            print(
                f"{system:<31}{k:>4} labels a class, seed {seed}: "
                f"{accuracy:.3f}",
                flush=True,
            )
            self._write()

    def of(self, system, k, seeds):
        """The accuracies of seeds 0 to `seeds` - 1."""
        return np.array([self.found[system, k, seed] for seed in range(seeds)])

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


def spread(values):
    """Mean and standard deviation, as a dict."""
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1))}


def paired_gain(values, others):
    """The paired gain over other accuracies.

    Args:
        values: accuracies, `[seeds]`.
        others: accuracies to compare with, of the same seeds.

    Returns:
        A dict: "paired_gain", the mean of the differences, and "ci95", its
        95 % interval (Student's t).
    """
    with extra("transfer"):
        from scipy import stats
    gain = values - others
    half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1)
    half /= math.sqrt(len(gain))
    mean = float(gain.mean())
    return {"paired_gain": mean, "ci95": [mean - half, mean + half]}


def go_on(directory, about, names=()):
    """Makes a directory for a table, or checks that one can be resumed.

    Args:
        directory: the directory.
        about: JSON-ready description of the table, for its config.json.
        names: keys of `about` that may change: paths of files whose checksums
            are in it too.

    Raises:
        InputError: if it has another table, or something else.
    """
    directory = pathlib.Path(directory)
    # JSON has no tuples.
    about = json.loads(json.dumps(about))
    config = directory / "config.json"
    if config.exists():
        before = read_json(config, dict)
        before.update({name: about[name] for name in names})
        others = sorted(k for k in about if before.get(k) != about[k])
        if before != about:
            raise InputError(
                f"Expected the settings in {config}, or a new directory. "
                f"Received: other {', '.join(others) or 'settings'}"
            )
    elif directory.exists() and any(directory.iterdir()):
        raise InputError(
            f"Expected a new directory. Received: {str(directory)!r}, which "
            "has other files"
        )
    directory.mkdir(parents=True, exist_ok=True)
    if not config.exists():
        write_json(directory / "made.json", made())
    write_json(config, about)
