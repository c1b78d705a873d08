"""A page about several runs, side by side."""

import pathlib

import numpy as np

from video_repr import visualization
from video_repr.errors import InputError
from video_repr.files import read_json
from video_repr.metrics import IN_WORDS
from video_repr.report.page import Table
from video_repr.report.page import Words
from video_repr.report.page import figure
from video_repr.report.page import write_page
from video_repr.report.report import sections
from video_repr.report.subject import Subject
from video_repr.runs import Run

_CLIPS = 3


def compare_runs(runs, path):
    """Writes a page about pretraining runs: curves, tables, the same clips.

    Args:
        runs: run directories, at least two.
        path: file to write.

    Raises:
        InputError: if they are fewer, or one is no run.
    """
    if len(runs) < 2:
        raise InputError(
            f"Expected at least two runs to compare. Received: {len(runs)}"
        )
    subjects = {str(run): Subject(Run(pathlib.Path(run))) for run in runs}
    for subject in subjects.values():
        subject.config  # noqa: B018
    write_page(
        path,
        f"{len(subjects)} runs side by side",
        "Written by video-repr compare.",
        sections(
            subjects,
            {
                "Settings": _settings,
                "Validation losses": _losses,
                "Numbers": _numbers,
                "The same clips": _clips,
            },
        ),
    )


def _settings(subjects):
    flat = {
        name: {
            f"{section}.{key}": value
            for section, values in subject.config.to_dict().items()
            for key, value in values.items()
        }
        for name, subject in subjects.items()
    }
    keys = {key for values in flat.values() for key in values}
    rows = [
        (key, *(str(values.get(key, "")) for values in flat.values()))
        for key in sorted(keys)
    ]
    differing = tuple(row for row in rows if len(set(row[1:])) > 1)
    if not differing:
        return [Words("All settings are the same.")]
    return [Table(("", *flat), differing, "Settings in which they differ.")]


def _losses(subjects):
    lines = {name: s.run.metrics() for name, s in subjects.items()}
    shown = {
        name: [(line["seconds"] / 60, line["val_loss"]) for line in of_run]
        for name, of_run in lines.items()
        if of_run
    }
    if not shown:
        raise InputError(
            "Expected runs with lines in metrics.jsonl. Received: none"
        )
    blocks = [
        figure(
            visualization.curves_over(
                shown, "minutes of training", "validation loss"
            ),
            "Curves of the validation loss of each run over its time.",
            "Validation loss over training time. Losses of different "
            "decoders are different sums.",
        )
    ]
    missing = [name for name, of_run in lines.items() if not of_run]
    if missing:
        blocks.append(
            Words(f"Without metrics.jsonl: {', '.join(missing)}.", failed=True)
        )
    return blocks


def _numbers(subjects):
    found, missing = {}, []
    for name, subject in subjects.items():
        try:
            found[name] = read_json(subject.run.evaluation_file)
        except InputError as error:
            missing.append(Words(f"Missing: {error}", failed=True))
    blocks = []
    for branch in ("future", "reconstruction"):
        having = {n: e[branch] for n, e in found.items() if branch in e}
        names = [
            metric
            for metric in IN_WORDS
            if all(metric in scores for scores in having.values())
        ]
        if having:
            blocks.append(
                Table(
                    (branch, *(IN_WORDS[name] for name in names)),
                    tuple(
                        (run, *(f"{scores[name]:,.3f}" for name in names))
                        for run, scores in having.items()
                    ),
                    f"The {branch} on each run's own test set.",
                )
            )
    return blocks + missing


def _clips(subjects):
    first = next(iter(subjects.values()))
    if not first.pictures:
        return None
    clips, n = first.clips[:_CLIPS], first.model.input_frames
    blocks = []
    fitting = {
        name: subject
        for name, subject in subjects.items()
        if subject.model.input_frames == n
        and subject.model.clip_frames <= clips.shape[1]
        and subject.clips.shape[2:] == clips.shape[2:]
    }
    for name in subjects:
        if name not in fitting:
            blocks.append(
                Words(f"{name} reads other clips and is left out.", failed=True)
            )
    found = {
        name: subject.model.predict(clips, verbose=0)
        for name, subject in fitting.items()
    }
    for i, clip in enumerate(clips):
        future = {"truth": clip[n:]}
        past = {"input": clip[:n]}
        for name, frames in found.items():
            short = pathlib.Path(name).name
            if "future" in frames:
                future[short] = np.clip(frames["future"][i], 0, 1)
            if "reconstruction" in frames:
                past[short] = np.clip(frames["reconstruction"][i], 0, 1)
        rows = [past, future] if len(future) > 1 else [past]
        blocks.append(
            figure(
                visualization.strips(*rows),
                f"Clip {i + 1}: frames of the input, and what each model made "
                "of them.",
                f"Test clip {i + 1} of {first.run.path}, through every model.",
                wide=True,
            )
        )
    return blocks
