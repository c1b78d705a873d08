"""Sequences unlike those that a model was trained on (paper, 3.2)."""

import numpy as np

from video_repr import visualization
from video_repr.data import MovingMNIST
from video_repr.errors import InputError
from video_repr.evaluation.prediction import Evaluator
from video_repr.metric_names import IN_WORDS
from video_repr.report.page import Table
from video_repr.report.page import Words
from video_repr.report.page import figure

# Number of sequences of each of the six kinds.
_CLIPS = 100


def out_of_domain(subject):
    """Sequences unlike those that the model was trained on."""
    if not subject.on_mnist or "future" not in subject.model.decoders:
        return None
    data, config = subject.data, subject.config
    frames = subject.model.clip_frames
    digits = config.data.digits_per_sequence

    def sequences(glyphs=None, **options):
        options = {
            "seed": -3,
            "digits": digits,
            "frames": frames,
            "size": config.data.frame_size,
            "speed": config.data.speed,
            **options,
        }
        glyphs = data.digits.test if glyphs is None else glyphs
        return MovingMNIST(glyphs, **options).sequences(range(_CLIPS))

    cases = {f"as in training, {_digits(digits)}": {}}
    for count in (1, 3):
        if count != digits:
            cases[_digits(count)] = {"digits": count}
    for name, factor in (("half the speed", 0.5), ("twice the speed", 2.0)):
        cases[name] = {"speed": _times(factor, config.data.speed)}
    height, width = data.digits.test.shape[1:]
    cases["squares and rings instead of digits"] = {
        "glyphs": _shapes(height, width)
    }
    evaluate = Evaluator(
        subject.model, data.mean_frame(), only=(subject.metric,)
    )
    rows, strips = [], []
    for name, options in cases.items():
        clips = sequences(**options)
        scores = evaluate(clips)
        rows.append(
            (
                name,
                *(
                    f"{row[subject.metric]:,.1f}"
                    for row in (
                        scores["future"],
                        scores["baselines"]["last_frame"],
                        scores["baselines"]["mean_frame"],
                    )
                ),
            )
        )
        strips.append(_strip(subject.model, clips[:1], name))
    words = IN_WORDS[subject.metric]
    side = config.data.frame_size
    # As many pixels a frame as in training.
    slower = (side - width) / (2 * side - width)
    larger = sequences(size=2 * side, speed=_times(slower, config.data.speed))[
        :1
    ]
    try:
        strips.append(_strip(subject.model, larger, "frames of twice the size"))
    except InputError as error:
        strips.append(Words(f"Larger frames are refused: {error}."))
    return [
        Table(
            (
                "sequences",
                "future",
                "last frame repeated",
                "mean training frame",
            ),
            tuple(rows),
            f"{words[0].upper()}{words[1:]}, on {_CLIPS} sequences each. Some "
            "kinds are harder than others: compare with the baselines in the "
            "same row.",
        ),
        *strips,
    ]


def _times(factor, speed):
    """A speed, a number or a pair of bounds, times a factor."""
    speed = factor * np.asarray(speed)
    return tuple(speed) if speed.ndim else float(speed)


def _strip(model, clips, name):
    """A figure of the first of some clips and its predicted future."""
    n = model.input_frames
    guess = model.predict(clips[:1], verbose=0)["future"]
    return figure(
        visualization.strips(
            {
                "input": clips[0, :n],
                "truth": clips[0, n:],
                "prediction": guess[0],
            }
        ),
        f"A sequence, {name}, and its predicted future.",
        f"{name[0].upper()}{name[1:]}.",
        wide=True,
    )


def _digits(count):
    return f"{count} digit" if count == 1 else f"{count} digits"


def _shapes(height, width):
    """Glyphs other than digits: filled squares, and rings."""
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    outer = 0.4 * min(height, width)
    square = (
        np.maximum(abs(y - (height - 1) / 2), abs(x - (width - 1) / 2))
        < outer / 1.4
    )
    ring = (radius < outer) & (radius > 0.65 * outer)
    return 255 * np.stack([square, ring]).astype(np.uint8)
