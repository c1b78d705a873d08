"""What a config has learned after so many seconds, sequences and operations.

    python -m benchmarks.time_to_quality --config demo --minutes 5 --json FILE

Trains the config for its updates or for so many minutes, whichever ends
first, and writes the curve. Seconds count the training with its first
compilation, not the evaluations between. Choose by `--split validation`; the
test sequences are for reading once.
"""

import contextlib
import dataclasses
import math
import pathlib
import time
from typing import Literal

import keras
import tyro

from benchmarks.step.work import Work
from video_repr import configs
from video_repr.data.run_data import MovingMNISTData
from video_repr.errors import DivergedError
from video_repr.files import write_json
from video_repr.precision import set_precision
from video_repr.training import build_model


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure a config's learning.

    Attributes:
        config: name of the config.
        minutes: training time after which to stop.
        digits: source of the glyphs, as in a config.
        seed: seed of weights and sequences.
        split: whose sequences to evaluate on.
        points: number of evaluations, evenly over the config's updates.
        json: file to write, anew at each evaluation.
    """

    config: str
    minutes: float
    digits: str = "auto"
    seed: int = 0
    split: Literal["validation", "test"] = "test"
    points: int = 20
    json: pathlib.Path | None = None


def work_of(config):
    """The `Work` of a config's update."""
    model = config.model
    return Work(
        config.training.batch_size,
        config.data.frame_size**2,
        model.units,
        model.input_frames,
        0 if model.future == "none" else model.future_frames,
        conditional=model.future == "conditional",
        reconstruction=model.reconstruction != "none",
        patch=model.patch,
        kernel_size=model.kernel_size,
    )


class _Until(keras.callbacks.Callback):
    """Stops a training at a time, and counts its updates."""

    def __init__(self, end):
        super().__init__()
        self.updates, self._end = 0, end

    def on_train_batch_end(self, batch, logs=None):
        self.updates = batch + 1
        if time.perf_counter() >= self._end:
            self.model.stop_training = True


def curve(config, minutes, split, points):
    """Yields the points of the curve while it trains."""
    data = MovingMNISTData.of(config)
    held_out = data.validation() if split == "validation" else data.test()
    training, flop = config.training, work_of(config).flop()
    set_precision(training.precision)
    model = build_model(config)
    every = math.ceil(training.steps / points)
    seconds, step = 0.0, 0
    finite = True
    while finite and step < training.steps and seconds < 60 * minutes:
        started = time.perf_counter()
        until = _Until(started + 60 * minutes - seconds)
        # The evaluation says so too.
        with contextlib.suppress(DivergedError):
            model.fit(
                data.train(
                    training.batch_size, start=step * training.batch_size
                ),
                steps_per_epoch=min(every, training.steps - step),
                callbacks=[until],
                verbose=0,
            )
        step += until.updates
        seconds += time.perf_counter() - started
        losses = model.evaluate(
            held_out, batch_size=100, verbose=0, return_dict=True
        )
        point = {
            "seconds": round(seconds, 1),
            "sequences": step * training.batch_size,
            "flop": step * flop,
        }
        if len(model.decoders) == 1:
            losses[f"{next(iter(model.decoders))}_loss"] = losses["loss"]
        for branch in ("future", "reconstruction"):
            loss = losses.get(f"{branch}_loss")
            # A run that has diverged ends, and JSON has no NaN.
            finite = finite and (loss is None or math.isfinite(loss))
            point[f"{branch}_bce_sum_per_frame"] = loss if finite else None
        yield point


def main():
    arguments = tyro.cli(Arguments)
    if arguments.points < 1:
        raise SystemExit(
            f"Expected at least 1 point. Received: {arguments.points}"
        )
    config = configs.load(arguments.config)
    training = dataclasses.replace(config.training, seed=arguments.seed)
    data = dataclasses.replace(config.data, digits=arguments.digits)
    config = dataclasses.replace(config, data=data, training=training)
    points = []
    for point in curve(
        config, arguments.minutes, arguments.split, arguments.points
    ):
        points.append(point)
        print(
            f"{point['seconds']:>8.0f} s{point['sequences']:>10,} sequences"
            f"{point['flop']:>10.2g} operations   future "
            f"{point['future_bce_sum_per_frame'] or math.nan:.1f}   "
            "reconstruction "
            f"{point['reconstruction_bce_sum_per_frame'] or math.nan:.1f}",
            flush=True,
        )
        if arguments.json:
            write_json(arguments.json, points)


if __name__ == "__main__":
    main()
