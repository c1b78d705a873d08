"""The paper's table of future prediction at its size, for a time.

    python -m benchmarks.paper_table --minutes 1.75 --json FILE

Trains the named configs of the table's four rows, of 2 layers of 2048 units,
one after the other and each for the same time, and evaluates each on the same
test sequences, conditional decoders on their own predictions. It is meant for a
GPU. Called again with the same FILE it goes on where it was stopped, also in
the middle of a row.
"""

import dataclasses
import pathlib
from typing import Literal

import keras
import tyro

from benchmarks.resume import results_before
from benchmarks.time_to_quality import work_of
from video_repr import configs
from video_repr.configs.config import Precision
from video_repr.data.run_data import MovingMNISTData
from video_repr.errors import DivergedError
from video_repr.files import read_json
from video_repr.files import write_json
from video_repr.machine import machine
from video_repr.training import pretrain

# A row's config, and the paper's loss of the future, in nats a frame.
ROWS = {
    "future predictor": ("future-2x2048", 350.2),
    "composite": ("composite-2x2048", 344.9),
    "conditional future predictor": ("conditional-future-2x2048", 343.5),
    "composite, conditional future": (
        "composite-conditional-future-2x2048",
        341.2,
    ),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Train the rows of the paper's table.

    Attributes:
        minutes: time to train each row for, without validation, checkpoints
            and evaluation.
        rows: names of rows, all when left out.
        digits: source of the glyphs, as in a config.
        seed: seed of weights and sequences.
        units: units of each layer, in place of the configs'.
        batch: sequences in an update.
        precision: as in a config.
        schedule: as in a config.
        scheduled_sampling: of the conditional rows, in place of the configs'.
        steps_per_epoch: updates from one checkpoint to the next. One of the
            largest row has 2.8 GB, and is written twice if it is the best.
        steps_per_execution: as in a config.
        directory: of the rows' run directories.
        json: file to write, anew after each row.
    """

    minutes: float
    rows: tuple[str, ...] = tuple(ROWS)
    digits: str = "auto"
    seed: int = 0
    units: tuple[int, ...] | None = None
    batch: int = 128
    precision: Precision = "mixed_bfloat16"
    schedule: Literal["linear", "root", "cosine", "constant"] = "root"
    scheduled_sampling: float | None = None
    steps_per_epoch: int = 5000
    steps_per_execution: int = 10
    directory: pathlib.Path = pathlib.Path("runs/paper_table")
    json: pathlib.Path | None = None


def config_of(row, arguments):
    """The config of a row: the named one, for the time."""
    config = configs.load(ROWS[row][0])
    model = config.model
    if arguments.units is not None:
        model = dataclasses.replace(model, units=arguments.units)
    sampling = arguments.scheduled_sampling
    if sampling is not None and model.future == "conditional":
        model = dataclasses.replace(model, scheduled_sampling=sampling)
    return configs.Config(
        dataclasses.replace(config.data, digits=arguments.digits),
        model,
        dataclasses.replace(
            config.training,
            seed=arguments.seed,
            minutes=arguments.minutes,
            batch_size=arguments.batch,
            precision=arguments.precision,
            schedule=arguments.schedule,
            steps_per_epoch=arguments.steps_per_epoch,
            steps_per_execution=arguments.steps_per_execution,
        ),
    )


def train(row, config, directory):
    """Trains and evaluates a row, or goes on with it; returns its result."""
    name, of_paper = ROWS[row]
    result = {"row": row, "config": name, "paper": of_paper, "future": None}
    try:
        run = pretrain(config, directory / name, resume=True)
    except DivergedError as error:
        return {**result, "diverged": str(error)}
    evaluation = read_json(run.evaluation_file, dict)
    lines = run.metrics()
    last = lines[-1]
    losses = {
        branch: evaluation[branch]["bce_sum_per_frame"]
        for branch in ("future", "reconstruction")
        if branch in evaluation
    }
    return {
        **result,
        **losses,
        "test_sequences": evaluation["data"]["sequences"],
        "updates": last["step"],
        "sequences": last["sequences"],
        "flop": last["step"] * work_of(config).flop(),
        # With validation and checkpoints.
        "seconds": last["seconds"],
        "of_the_best_epoch": run.epochs(run.best),
        "validation": [line["val_loss"] for line in lines],
    }


def main():
    arguments = tyro.cli(Arguments)
    unknown = set(arguments.rows) - set(ROWS)
    if unknown or not arguments.minutes > 0:
        raise SystemExit(
            f"Expected a time, and rows of {', '.join(ROWS)}. Received: "
            f"{arguments.minutes} minutes, {', '.join(arguments.rows)}"
        )
    # Read once, so that "auto" is the same for all.
    data = MovingMNISTData.of(config_of("composite", arguments))
    arguments = dataclasses.replace(arguments, digits=data.config.data.digits)
    asked = {
        "machine": machine(),
        "digits": data.digits.describe(),
        "configs": {row: config_of(row, arguments).to_dict() for row in ROWS},
    }
    results = results_before(arguments.json, asked) or []
    done = {result["row"]: result for result in results}
    for row in arguments.rows:
        if row not in done:
            # What the row before has on the device is not needed any more.
            keras.utils.clear_session()
            config = config_of(row, arguments)
            done[row] = train(row, config, arguments.directory)
            if arguments.json:
                results = [*done.values()]
                write_json(arguments.json, {**asked, "results": results})
        print(line_of(done[row]), flush=True)


def line_of(result):
    """A line of the table."""
    line = f"{result['row']:<32}the paper's {result['paper']}   "
    if "diverged" in result:
        return f"{line}diverged"
    return (
        f"{line}{result['future']:>7.1f} after {result['updates']:,} updates, "
        f"{result['flop']:.2g} operations"
    )


if __name__ == "__main__":
    main()
