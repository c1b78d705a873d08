"""Whether an update's time grows in proportion to its work.

    python -m benchmarks.linearity --json FILE --figure FILE

Times our update for clips of 5 to 80 steps, and for batches of 8 to 512
sequences, everything else being equal: work c of step/work.py.
"""

import dataclasses
import pathlib
import statistics

import tyro

from benchmarks.step.work import WORKS
from benchmarks.train_step import OURS
from benchmarks.train_step import Worker
from video_repr.files import write_json
from video_repr.machine import machine

STEPS = (5, 10, 20, 40, 80)
BATCHES = (8, 16, 32, 64, 128, 256, 512)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure linearity.

    Attributes:
        repeats: number of updates at each size.
        json: file to write.
        figure: .png to draw.
    """

    repeats: int = 5
    json: pathlib.Path | None = None
    figure: pathlib.Path | None = None


def measure(work, repeats):
    """Median seconds of an update."""
    worker = Worker(*OURS, work)
    worker.step()
    seconds = [worker.step()["seconds"] for _ in range(repeats)]
    worker.close()
    return statistics.median(seconds)


def draw(path, curves):
    """Seconds over size, with the line in proportion to the last."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, (size, points) in zip(
        figure.subplots(1, 2), curves.items(), strict=True
    ):
        sizes, seconds = zip(*points, strict=True)
        axes.loglog(sizes, seconds, "o-", label="an update")
        slope = seconds[-1] / sizes[-1]
        axes.loglog(
            sizes,
            [slope * value for value in sizes],
            "--",
            color="grey",
            label="in proportion to the largest",
        )
        axes.set(xlabel=size, ylabel="seconds")
        axes.set_xticks(sizes, map(str, sizes), minor=False)
        axes.minorticks_off()
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main():
    arguments = tyro.cli(Arguments)
    small = WORKS["c"]
    curves = {"frames read, and predicted": [], "sequences in a batch": []}
    by_steps, by_batch = curves.values()
    works = [
        (by_steps, steps, {"input_frames": steps, "future_frames": steps})
        for steps in STEPS
    ]
    works += [(by_batch, batch, {"batch": batch}) for batch in BATCHES]
    for curve, size, change in works:
        work = dataclasses.replace(small, **change)
        seconds = measure(work, arguments.repeats)
        curve.append((size, seconds))
        print(
            f"{change}: {seconds:.3f} s, {1e3 * seconds / size:.2f} ms each",
            flush=True,
        )
    if arguments.json:
        write_json(arguments.json, {"machine": machine(), **curves})
    if arguments.figure:
        draw(arguments.figure, curves)


if __name__ == "__main__":
    main()
