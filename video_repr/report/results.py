"""What a pretraining run learned from, and how good it is."""

import numpy as np

from video_repr import visualization
from video_repr.errors import InputError
from video_repr.files import read_json
from video_repr.metrics import IN_WORDS
from video_repr.report.page import Table
from video_repr.report.page import Words
from video_repr.report.page import animation
from video_repr.report.page import figure

# Future prediction, two layers of 2048 units; the authors' own test sets.
_PAPER = {
    "bce_sum_per_frame": (
        ("future predictor, 2x2048", 350.2),
        ("composite, 2x2048", 344.9),
        ("conditional future predictor, 2x2048", 343.5),
        ("composite, conditional future, 2x2048", 341.2),
    ),
}


def overview(subject):
    """What was trained on what, by what, for how long."""
    config = subject.config.to_dict()
    lines = subject.run.metrics()
    rows = []
    try:
        rows.append(("data", subject.data.introduce()))
    except InputError as error:
        rows.append(("data", f"not there any more: {error}"))
    made = subject.run.made()
    for name, words in (
        ("machine", "machine"),
        ("commit", "commit of video_repr"),
        ("started", "started"),
        ("versions", "versions"),
    ):
        if name in made:
            rows.append((words, str(made[name])))
    if lines:
        last = lines[-1]
        rows += [
            ("trained", f"{last['step']:,} updates, {last['sequences']:,} "
             f"clips, {last['seconds'] / 60:.1f} minutes"),
        ]  # fmt: skip
    for section, values in config.items():
        rows.append(
            (
                section,
                ", ".join(f"{name} {value}" for name, value in values.items()),
            )
        )
    return [Table(("", ""), tuple(rows), "What was trained on what", True)]


def losses(subject):
    """Curves of training and validation."""
    lines = subject.run.metrics()
    if not lines:
        raise InputError(
            f"Expected {subject.run.metrics_file} with a line an epoch. "
            "Received: none"
        )
    return [
        figure(
            visualization.loss_curves(lines),
            "Curves of the losses over the epochs, training and validation.",
            f"Losses by epoch. The last validation loss is "
            f"{lines[-1]['val_loss']:.1f}, the least "
            f"{min(line['val_loss'] for line in lines):.1f}.",
        )
    ]


def metrics(subject):
    """The test set's numbers beside baselines and the paper's."""
    evaluation = read_json(subject.run.evaluation_file)
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
    if subject.on_mnist and "future" in scores:
        metric = "bce_sum_per_frame"
        blocks.append(
            Table(
                ("future, nats a frame", "", ""),
                (
                    ("this run", f"{scores['future'][metric]:.1f}", "here"),
                    *(
                        (name, f"{value:.1f}", "in the paper")
                        for name, value in _PAPER[metric]
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
            f"Curves of the error of each frame of the {of}: the model, the "
            "last frame repeated, the mean frame.",
            f"The error of the {of} by frame, {IN_WORDS[metric]}. The first is "
            "nearest to the input's end.",
        )
    )
    return blocks


def clips(subject):
    """The best, the median and the worst test clip."""
    if not subject.pictures:
        return None
    model, n = subject.model, subject.model.input_frames
    branch = "future" if "future" in model.decoders else "reconstruction"
    truth = model.targets(subject.clips.astype(np.float32) / 255)[branch]
    found = subject.predictions[branch]
    errors = np.square(truth - found).reshape(len(found), -1).mean(axis=1)
    if branch == "reconstruction":
        # `predict` has it in the order of the clip again, targets reversed.
        errors = np.square(truth[:, ::-1] - found)
        errors = errors.reshape(len(found), -1).mean(axis=1)
    order = np.argsort(errors)
    chosen = {
        "best": order[0],
        "median": order[len(order) // 2],
        "worst": order[-1],
    }
    blocks = [
        Words(
            f"Of {len(order)} test clips those with the least, the median and "
            f"the greatest squared error of the {branch}: "
            + ", ".join(
                f"{name} {errors[i]:.4f} a pixel" for name, i in chosen.items()
            )
            + "."
        )
    ]
    for name, i in chosen.items():
        left = {"input": subject.clips[i, :n]}
        rows = [left]
        if "reconstruction" in subject.predictions:
            left["reconstruction"] = subject.predictions["reconstruction"][i]
        if branch == "future":
            end = n + model.future_frames
            rows.append(
                {
                    "truth": subject.clips[i, n:end],
                    "prediction": found[i],
                }
            )
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
    if branch == "future":
        shown = subject.clips[some, : n + model.future_frames]
        guess = np.concatenate(
            [subject.clips[some, :n] / 255, found[some]], axis=1
        )
        labels = visualization.input_and_future(n, model.future_frames)
    else:
        shown, guess = subject.clips[some, :n], found[some]
        labels = [f"frame {t}" for t in range(1, n + 1)]
    blocks.append(
        animation(
            [shown, guess],
            labels,
            f"The three clips above their {branch}, frame by frame.",
            f"From left to right the best, the median and the worst clip; "
            f"above the truth, below the {branch}.",
        )
    )
    return blocks
