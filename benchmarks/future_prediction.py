"""The rows of the paper's future prediction table at a reduced size.

    python -m benchmarks.future_prediction --operations 3e13 --json FILE

Every row trains with the base's settings for the same number of operations,
so one whose update costs more makes fewer. The losses are of the test
sequences, the conditional decoders' from their own predictions. Called again
with the same FILE it goes on with what is missing in it.
"""

import dataclasses
import math
import pathlib
import statistics

import tyro

from benchmarks.resume import results_before
from benchmarks.time_to_quality import curve
from benchmarks.time_to_quality import work_of
from video_repr import configs
from video_repr.data.run_data import MovingMNISTData
from video_repr.files import write_json
from video_repr.machine import machine

ROWS = {
    "future predictor": {"reconstruction": "none"},
    "composite": {},
    "conditional future predictor": {
        "reconstruction": "none",
        "future": "conditional",
    },
    "composite, conditional future": {"future": "conditional"},
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Train the rows of the table.

    Attributes:
        rows: names of rows, all when left out.
        config: what the rows do not say.
        units: units of each layer, in place of the config's.
        digits: source of the glyphs, as in a config.
        seeds: seeds of weights and sequences.
        operations: of each training.
        json: file to write, anew after each training.
    """

    rows: tuple[str, ...] = tuple(ROWS)
    config: str = "demo"
    units: tuple[int, ...] = (256,)
    digits: str = "auto"
    seeds: tuple[int, ...] = (0, 1, 2)
    operations: float = 3e13
    json: pathlib.Path | None = None


def config_of(row, base, seed, operations):
    """The base as a row of the table, with as many updates as it can pay."""
    model = dataclasses.replace(base.model, **ROWS[row])
    config = dataclasses.replace(base, model=model)
    steps = max(1, round(operations / work_of(config).flop()))
    training = dataclasses.replace(
        base.training, seed=seed, epochs=1, steps_per_epoch=steps
    )
    return dataclasses.replace(config, training=training)


def summary(results):
    """Lines of mean and spread for each row, with what diverged."""
    for row in ROWS:
        # None where the loss was none.
        losses = [
            math.nan if r["future"] is None else r["future"]
            for r in results
            if r["row"] == row
        ]
        if not losses:
            continue
        finite = [loss for loss in losses if math.isfinite(loss)]
        spread = statistics.stdev(finite) if len(finite) > 1 else math.nan
        mean = statistics.mean(finite) if finite else math.nan
        yield (
            f"{row:<32}{mean:>8.1f} +- {spread:.1f}   {len(losses)} seeds, "
            f"{len(losses) - len(finite)} diverged"
        )


def main():
    arguments = tyro.cli(Arguments)
    base = configs.load(arguments.config)
    data = dataclasses.replace(base.data, digits=arguments.digits)
    data = MovingMNISTData.of(dataclasses.replace(base, data=data))
    model = dataclasses.replace(base.model, units=arguments.units)
    base = dataclasses.replace(data.config, model=model)
    asked = {
        "machine": machine(),
        "config": base.to_dict(),
        "digits": data.digits.describe(),
        "operations": arguments.operations,
    }
    results = results_before(arguments.json, asked) or []
    done = {(r["row"], r["seed"]) for r in results}
    for seed in arguments.seeds:
        for row in arguments.rows:
            if (row, seed) in done:
                continue
            config = config_of(row, base, seed, arguments.operations)
            (point,) = curve(config, math.inf, "test", 1)
            result = {
                "row": row,
                "seed": seed,
                "updates": config.training.steps,
                "seconds": point["seconds"],
                "future": point["future_bce_sum_per_frame"],
                "reconstruction": point["reconstruction_bce_sum_per_frame"],
            }
            results.append(result)
            future = result["future"]
            print(
                f"{row:<32}seed {seed}{result['updates']:>8,} updates"
                f"{result['seconds']:>8.0f} s   future "
                f"{math.nan if future is None else future:.1f}",
                flush=True,
            )
            if arguments.json:
                write_json(arguments.json, {**asked, "results": results})
    print("\n".join(summary(results)))


if __name__ == "__main__":
    main()
