"""A page about several runs, side by side."""

import pathlib

import numpy as np

from video_repr import visualization
from video_repr.errors import InputError
from video_repr.errors import need
from video_repr.metric_names import IN_WORDS
from video_repr.report.page import Table
from video_repr.report.page import Words
from video_repr.report.page import check_page
from video_repr.report.page import figure
from video_repr.report.page import missing
from video_repr.report.page import write_page
from video_repr.report.report import sections
from video_repr.report.results import read_evaluation
from video_repr.report.subject import Subject
from video_repr.report.transfer import predictions
from video_repr.runs import Run

_CLIPS = 3


def compare_runs(runs, path):
    """Writes a page about pretraining runs: curves, tables, predictions.

    Args:
        runs: run directories, at least two.
        path: file to write.

    Raises:
        InputError: if there are fewer, one is given twice or is not a
            pretraining run, or the file cannot be written.
    """
    # Checked now, as the page is made last.
    need("report", "jinja2", "matplotlib", "PIL")
    places = [pathlib.Path(run).resolve() for run in runs]
    if len(set(places)) < max(2, len(places)):
        raise InputError(
            "Expected at least two runs to compare, each once. Received: "
            f"{', '.join(map(str, runs)) or 'none'}"
        )
    for run in places:
        if (run / "label_curve.json").is_file() or predictions(run):
            raise InputError(
                "Expected pretraining runs to compare. Received: "
                f"{run}, of classifiers; see video-repr report"
            )
    subjects = dict(
        zip(_labels(places), (Subject.of(Run(p)) for p in places), strict=True)
    )
    check_page(path)
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
                "The same clips": _same_clips,
            },
        ),
    )


def _labels(places):
    """The shortest ends of paths that differ from each other."""
    length = 1
    while True:
        names = ["/".join(place.parts[-length:]) for place in places]
        if len(set(names)) == len(names):
            return names
        length += 1


def _of_each(subjects, read):
    """The result of `read` for each run, and `Words` about its failures."""
    found, failed = {}, []
    for name, subject in subjects.items():
        try:
            found[name] = read(subject)
        except InputError as error:
            failed.append(missing(f"{name}: {error}"))
    return found, failed


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
    found, failed = _of_each(subjects, lambda s: s.run.read_metrics())
    shown = {}
    for name, (lines, problems) in found.items():
        failed += [missing(f"{name}: {problem}") for problem in problems]
        if lines:
            shown[name] = [
                (line["seconds"] / 60, line["val_loss"]) for line in lines
            ]
        else:
            failed.append(missing(f"{name} has no lines in metrics.jsonl"))
    if not shown:
        return failed
    return [
        figure(
            visualization.curves_over(
                shown, "minutes of training", "validation loss"
            ),
            "Curves of the validation loss of each run over its time: "
            + "; ".join(
                f"{name} {pairs[0][1]:.1f} to {pairs[-1][1]:.1f}"
                for name, pairs in shown.items()
            )
            + ".",
            "Validation loss over training time. Losses of different "
            "decoders are different sums.",
        ),
        *failed,
    ]


def _numbers(subjects):
    found, failed = _of_each(subjects, lambda s: read_evaluation(s.run))
    blocks = []
    for branch in ("future", "reconstruction"):
        having = {n: e for n, e in found.items() if branch in e}
        names = [
            metric
            for metric in IN_WORDS
            if all(metric in e[branch] for e in having.values())
        ]
        if not having:
            continue
        rows = []
        for run, evaluation in having.items():
            scores = {run: evaluation[branch]}
            if evaluation["baselines_of"] == branch:
                for baseline, of in evaluation["baselines"].items():
                    scores[f"{run}: {baseline.replace('_', ' ')}"] = of
            rows += [
                (name, *(f"{of[metric]:,.3f}" for metric in names))
                for name, of in scores.items()
            ]
        blocks.append(
            Table(
                (branch, *(IN_WORDS[name] for name in names)),
                tuple(rows),
                f"The {branch} on each run's own test set: where these "
                "differ, so does how hard they are.",
            )
        )
    return blocks + failed


def _same_clips(subjects):
    models, failed = _of_each(subjects, lambda s: s.model)
    first = next((subjects[name] for name in models), None)
    if first is None:
        return failed
    if not first.pictures:
        return None
    clips, n = first.clips[:_CLIPS], first.model.input_frames
    found = {}
    for name, model in models.items():
        if (
            model.input_frames == n
            and model.clip_frames <= clips.shape[1]
            and subjects[name].frame_shape == first.frame_shape
        ):
            found[name] = model.predict(clips, verbose=0)
        else:
            failed.append(
                Words(f"{name} reads other clips and is left out.", failed=True)
            )
    blocks = []
    for i, clip in enumerate(clips):
        future, past = {"truth": clip[n:]}, {"input": clip[:n]}
        for name, frames in found.items():
            for branch, rows in (("future", future), ("reconstruction", past)):
                if branch in frames:
                    rows[f"by {name}"] = np.clip(frames[branch][i], 0, 1)
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
    return blocks + failed
