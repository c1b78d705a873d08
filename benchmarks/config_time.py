"""How long a named config trains on this machine.

    python -m benchmarks.config_time composite-1x2048 --steps 5

Times updates of the config's own model, batch and optimizer on random clips,
the first (with its compilation) apart, and multiplies.
"""

import dataclasses
import pathlib
import statistics
import time

import numpy as np
import tyro

from video_repr import configs
from video_repr.files import write_json
from video_repr.machine import machine
from video_repr.precision import set_precision
from video_repr.training import build_model


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Time updates of named configs.

    Attributes:
        names: configs; all when none is given.
        steps: number of updates to time after the first.
        json: file to write.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    steps: int = 5
    json: pathlib.Path | None = None


def measure(config, steps):
    """Seconds of the first update and the median of `steps` more."""
    set_precision(config.training.precision)
    model, batch = build_model(config), config.training.batch_size
    size = config.data.frame_size
    clips = np.random.default_rng(0).integers(
        0, 256, (batch, model.clip_frames, size, size), np.uint8
    )
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        model.train_on_batch(clips)
        seconds.append(time.perf_counter() - start)
    return seconds[0], statistics.median(seconds[1:])


def main():
    arguments = tyro.cli(Arguments)
    print(f"{'config':<38}{'first s':>9}{'s/update':>10}{'hours in all':>14}")
    results = {}
    for name in arguments.names or configs.named():
        config = configs.load(name)
        first, step = measure(config, arguments.steps)
        hours = step * config.training.steps / 3600
        print(f"{name:<38}{first:>9.1f}{step:>10.3f}{hours:>14.1f}", flush=True)
        results[name] = {"first_s": first, "update_s": step}
        if arguments.json:
            write_json(
                arguments.json, {"machine": machine(), "results": results}
            )


if __name__ == "__main__":
    main()
