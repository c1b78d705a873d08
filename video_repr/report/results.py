"""Data, settings and metrics of a pretraining run."""

import numpy as np

from video_repr import visualization
from video_repr.errors import InputError
from video_repr.files import read_json
from video_repr.metric_names import IN_WORDS
from video_repr.report.page import Table
from video_repr.report.page import Words
from video_repr.report.page import animation
from video_repr.report.page import figure
from video_repr.report.page import missing

# Future prediction of Moving MNIST, two layers of 2048 units, cross entropy on
# the authors' own test sets.
_PAPER = (
    ("future predictor, 2x2048", 350.2),
    ("composite, 2x2048", 344.9),
    ("conditional future predictor, 2x2048", 343.5),
    ("composite, conditional future, 2x2048", 341.2),
)


def overview(subject):
    """Model, data, machine and duration."""
    lines, problems = subject.run.read_metrics()
    rows = []
    try:
        rows.append(("data", subject.data.introduce()))
        described = subject.data.describe()
    except InputError as error:
        rows.append(("data", f"no longer there: {error}"))
    else:
        rows.append(("test data", _in_words(described)))
    rows += made_rows(subject.run.made())
    if lines:
        last = lines[-1]
        rows.append(
            (
                "trained",
                f"{last['step']:,} updates, {last['sequences']:,} clips, "
                f"{last['seconds'] / 60:.1f} minutes",
            )
        )
    try:
        epochs = subject.run.epochs(subject.run.best)
        rows.append(
            ("this page shows", f"the best checkpoint, of epoch {epochs}")
        )
    except InputError as error:
        rows.append(("this page shows", str(error)))
    rows += [
        (f"config: {section}", _in_words(values))
        for section, values in subject.config.to_dict().items()
    ]
    return [
        Table(("", ""), tuple(rows), "Data, machine and settings", True),
        *map(missing, problems),
    ]


def made_rows(made):
    """Rows of a table from a record of `machine.made`."""
    words = {
        "machine": "machine",
        "precision": "precision",
        "tf32": "TF32 allowed",
        "commit": "commit of video_repr",
        "started": "started",
        "versions": "versions",
    }
    return [(w, str(made[name])) for name, w in words.items() if name in made]


def _in_words(values):
    return ", ".join(f"{name} {value}" for name, value in values.items())


def losses(subject):
    """Curves of training and validation."""
    lines, problems = subject.run.read_metrics()
    if not lines:
        raise InputError(
            f"Expected {subject.run.metrics_file} with a line an epoch. "
            f"Received: {'; '.join(problems) or 'none'}"
        )
    first, last = lines[0]["val_loss"], lines[-1]["val_loss"]
    least = min(line["val_loss"] for line in lines)
    return [
        figure(
            visualization.loss_curves(lines),
            "Curves of the losses over the epochs, training and validation. "
            f"Validation goes from {first:.1f} to {last:.1f}.",
            f"Losses by epoch. The last validation loss is {last:.1f}, the "
            f"least {least:.1f}.",
            wide=True,
        ),
        *map(missing, problems),
    ]


def metrics(subject):
    """Metrics of the test set, beside those of baselines and of the paper."""
    evaluation = read_evaluation(subject.run)
    of = evaluation["baselines_of"]
    scores = {
        name: evaluation[name]
        for name in ("reconstruction", "future")
        if name in evaluation
    }
    scores[f"{of}: last frame repeated"] = evaluation["baselines"]["last_frame"]
    scores[f"{of}: mean frame"] = evaluation["baselines"]["mean_frame"]
    names = [name for name in IN_WORDS if name in evaluation[of]]
    sequences = evaluation["data"]["sequences"]
    blocks = [
        Table(
            ("", *(IN_WORDS[name] for name in names)),
            tuple(
                (label, *(f"{row[name]:,.3f}" for name in names))
                for label, row in scores.items()
            ),
            f"On {sequences:,} test clips. Lower is better, but for SSIM and "
            "PSNR.",
        )
    ]
    if subject.like_the_papers:
        blocks.append(
            Table(
                ("future, nats a frame", "", ""),
                (
                    (
                        "this run",
                        f"{scores['future'][subject.metric]:.1f}",
                        "here",
                    ),
                    *(
                        (name, f"{value:.1f}", "in the paper")
                        for name, value in _PAPER
                    ),
                ),
                "Beside the paper's numbers: much larger models, trained for "
                "longer, on test sequences of the authors'.",
            )
        )
    metric = names[0]
    curves = {
        "model": evaluation[of],
        "last frame repeated": evaluation["baselines"]["last_frame"],
        "mean frame": evaluation["baselines"]["mean_frame"],
    }
    blocks.append(
        figure(
            visualization.error_curves(
                {k: v["per_step"][metric] for k, v in curves.items()}, metric
            ),
            f"Curves of the error of each frame of the {of}. From the first "
            "to the last: "
            + "; ".join(
                f"{name} {v['per_step'][metric][0]:.4g} to "
                f"{v['per_step'][metric][-1]:.4g}"
                for name, v in curves.items()
            )
            + ".",
            f"The error of the {of} by frame, {IN_WORDS[metric]}. The first is "
            "nearest to the input's end.",
        )
    )
    return blocks


def read_evaluation(run):
    """The content of a run's evaluation.json.

    Raises:
        InputError: if it is missing, broken, or incomplete.
    """
    found = read_json(run.evaluation_file, dict)
    wanted = {"baselines_of", "baselines", "data"}
    wanted |= {found.get("baselines_of", "future")}
    if not wanted <= set(found):
        raise InputError(
            f"Expected {', '.join(sorted(wanted))} in {run.evaluation_file}. "
            f"Received: {', '.join(found) or 'nothing'}"
        )
    return found


def clips(subject):
    """The best, the median and the worst test clip."""
    if not subject.pictures:
        return None
    model, n = subject.model, subject.model.input_frames
    branch = "future" if "future" in model.decoders else "reconstruction"
    read = subject.clips[:, :n]
    truth = (
        subject.clips[:, n : n + model.future_frames]
        if branch == "future"
        else read
    )
    found = subject.predictions[branch]
    errors = np.square(truth / 255 - found).reshape(len(found), -1)
    errors = errors.mean(axis=1)
    order = np.argsort(errors)
    chosen = {
        "best": order[0],
        "median": order[len(order) // 2],
        "worst": order[-1],
    }
    blocks = [
        Words(
            f"Of the first {len(order)} test clips those with the least, the "
            f"median and the greatest squared error of the {branch}: "
            + ", ".join(
                f"{name} {errors[i]:.4f} a pixel" for name, i in chosen.items()
            )
            + "."
        )
    ]
    for name, i in chosen.items():
        left = {"input": read[i]}
        rows = [left]
        if "reconstruction" in subject.predictions:
            left["reconstruction"] = subject.predictions["reconstruction"][i]
        if branch == "future":
            rows.append({"truth": truth[i], "prediction": found[i]})
        blocks.append(
            figure(
                visualization.strips(*rows),
                f"The {name} clip: frames of the input, and below them what "
                "the model made of them.",
                f"The {name} clip.",
                wide=True,
            )
        )
    some = list(chosen.values())
    labels = [f"frame {t}, input" for t in range(1, n + 1)]
    above, below = read[some], np.zeros(read[some].shape)
    words = "above the clip; below, its reconstruction"
    if "reconstruction" in subject.predictions:
        below = subject.predictions["reconstruction"][some]
    else:
        words = "above the clip; below, after its input,"
    if branch == "future":
        labels = visualization.input_and_future(n, model.future_frames)
        above = np.concatenate([above, truth[some]], axis=1)
        below = np.concatenate([below, found[some]], axis=1)
        words += " and the predicted future"
    blocks.append(
        animation(
            [above, below],
            labels,
            f"Three clips frame by frame, {words}.",
            f"From left to right the best, the median and the worst clip; "
            f"{words}.",
        )
    )
    return blocks
