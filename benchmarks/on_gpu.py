"""All that is to be measured on a GPU, within a time.

    python -m benchmarks.on_gpu --minutes 12
    python -m benchmarks.on_gpu --minutes 12 --parts update

Runs the parts in the order of `parts`, most valuable first, each in a process
of its own with a time limit of its own, and writes DIRECTORY/on_gpu.json after
each. A part that fails, or takes too long, is recorded as such, with what it
had measured, and the next one begins. Called again it makes the parts that are
not done: on another machine of the kind too, if it has the directory's .json
files.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import tyro

from benchmarks.resume import results_before
from video_repr.files import write_json
from video_repr.machine import machine

ROOT = pathlib.Path(__file__).parents[1]
# As the installed command does.
_COMMAND = "import sys, video_repr_command; sys.exit(video_repr_command.main())"
# A part with less is not begun.
_LEAST_SECONDS = 20

# Works, their batches and peers. All peers take too long for every work.
_UPDATES = (
    ("update a", "64,128,512", "nn.LSTM"),
    ("update f,g", "16,128", "conv,Conv"),
    ("update b,d,e", "64,128,512", "nn.LSTM"),
    ("peers a", "128", "keras,loop,jax"),
)
_PRECISIONS = "tf32", "mixed_bfloat16", "float32"

_TRAINING = (
    *("--training.minutes", "3", "--training.batch-size", "128"),
    *("--training.precision", "mixed_bfloat16", "--training.schedule", "root"),
    *("--training.steps-per-epoch", "8000"),
    *("--training.steps-per-execution", "10"),
)
_TINY_TRAINING = (
    *("--training.minutes", "0.001", "--training.batch-size", "2"),
    *("--training.no-jit-compile", "--training.steps-per-epoch", "2"),
    *("--model.units", "4", "--data.frame-size", "16"),
    *("--data.validation-sequences", "4", "--data.test-sequences", "4"),
)
_TINY_TABLE = (
    *("--minutes", "0.001", "--rows", "future predictor", "--units", "4"),
    *("--batch", "2", "--precision", "float32", "--steps-per-epoch", "2"),
    *("--steps-per-execution", "2"),
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure on a GPU.

    Attributes:
        minutes: time for all.
        parts: beginnings of names of parts, all when left out.
        digits: source of the glyphs, as in a config.
        tiny: sizes for a test on a CPU; they measure nothing.
        directory: to write to: on_gpu.json, a .json and a .log for each part,
            and run directories.
    """

    minutes: float
    parts: tuple[str, ...] = ("",)
    digits: str = "auto"
    tiny: tyro.conf.FlagCreatePairsOff[bool] = False
    directory: pathlib.Path = pathlib.Path("runs/on_gpu")


@dataclasses.dataclass(frozen=True)
class Part:
    """A process that measures something.

    Attributes:
        name: of the part.
        minutes: its limit.
        command: arguments for Python.
        files: what it writes, JSON or lines of JSON.
    """

    name: str
    minutes: float
    command: tuple[str, ...]
    files: tuple[pathlib.Path, ...] = ()


def parts(arguments):
    """All parts, most valuable first."""
    tiny, directory = arguments.tiny, arguments.directory

    def program(name, limit, module, *options):
        file = directory / f"{name.replace(' ', '_')}.json"
        return Part(
            name,
            limit,
            ("-m", f"benchmarks.{module}", *options, "--json", str(file)),
            (file,),
        )

    def updates(name, batch, peers, precision):
        _, works = name.split()
        return program(
            f"{name} {precision}",
            6,
            "train_step",
            *("--work", works, "--precision", precision, "--batch", batch),
            *("--peers", peers, "--in-flight", "1,2" if tiny else "1,20"),
            *(("--repeats", "1") if tiny else ()),
        )

    digits = "--digits", arguments.digits
    run = directory / "composite-1x2048"
    first, *more = [("update c,f", "2", "jax")] if tiny else _UPDATES
    precisions = ("float32",) if tiny else _PRECISIONS
    return [
        Part(
            "pretrain",
            6,
            (
                *("-c", _COMMAND, "pretrain", run.name, "--run", str(run)),
                *("--resume", "--data.digits", arguments.digits),
                *(_TINY_TRAINING if tiny else _TRAINING),
            ),
            (run / "evaluation.json", run / "metrics.jsonl", run / "made.json"),
        ),
        program(
            "paper table",
            15,
            "paper_table",
            *(_TINY_TABLE if tiny else ("--minutes", "1.75")),
            *("--directory", str(directory / "paper_table"), *digits),
        ),
        *(updates(*first, precision) for precision in precisions),
        program(
            "first update",
            4,
            "config_time",
            *(["demo"] if tiny else ["composite-1x2048", "composite-2x2048"]),
            *("--steps", "1" if tiny else "20"),
        ),
        program(
            "input",
            4,
            "input",
            *("--config", "demo" if tiny else "composite-1x2048", *digits),
            *(("--updates", "1", "--batches", "1") if tiny else ()),
        ),
        Part(
            "tests",
            5,
            (
                *("-m", "pytest", "-m", "gpu", "-q"),
                # Without the packages of some tests the others run.
                "--continue-on-collection-errors",
                "tests/test_precision.py" if tiny else "tests",
            ),
        ),
        *(
            updates(*works, precision)
            for works in more
            for precision in precisions
        ),
    ]


def run(part, seconds, log):
    """Runs a part; returns its record.

    Args:
        part: `Part`.
        seconds: after which it is stopped.
        log: file to write what it prints to.
    """
    began, status = time.monotonic(), "done"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *part.command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            # A group, to end with the processes that it has started.
            start_new_session=True,
        )
        try:
            if process.wait(seconds):
                status = "failed"
        except subprocess.TimeoutExpired:
            status = f"stopped after {seconds:.0f} s"
        finally:
            # Also when this program is told to end.
            _kill(process)
    lines = log.read_text(errors="replace").split("\n")
    return {
        "part": part.name,
        "status": status,
        "seconds": round(time.monotonic() - began, 1),
        "command": " ".join(part.command),
        "said": next((line for line in reversed(lines) if line.strip()), ""),
        "measured": {
            file.name: _content(file) for file in part.files if file.exists()
        },
    }


def _kill(process):
    """Kills a process and those that it has started, if one is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _content(file):
    text = file.read_text()
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text)


def main():
    arguments = tyro.cli(Arguments)
    # The parts run elsewhere.
    directory = arguments.directory.resolve()
    arguments = dataclasses.replace(arguments, directory=directory)
    began = time.monotonic()
    chosen = [
        part
        for part in parts(arguments)
        if part.name.startswith(arguments.parts)
    ]
    if not chosen or not arguments.minutes > 0:
        names = ", ".join(part.name for part in parts(arguments))
        raise SystemExit(
            f"Expected a time, and beginnings of {names}. Received: "
            f"{arguments.minutes} minutes, {', '.join(arguments.parts)}"
        )
    # `finally` is for this signal too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Told to end."))
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "on_gpu.json"
    asked = {
        "machine": machine(),
        "digits": arguments.digits,
        "tiny": arguments.tiny,
    }
    records = {
        record["part"]: record for record in results_before(file, asked) or []
    }
    for part in chosen:
        if records.get(part.name, {}).get("status") == "done":
            continue
        left = 60 * arguments.minutes - (time.monotonic() - began)
        if left < _LEAST_SECONDS:
            print(f"{part.name:<28}not begun: the time is over", flush=True)
            records.setdefault(
                part.name, {"part": part.name, "status": "not begun"}
            )
        else:
            log = directory / f"{part.name.replace(' ', '_')}.log"
            record = run(part, min(left, 60 * part.minutes), log)
            records[part.name] = record
            print(
                f"{part.name:<28}{record['status']}, {record['seconds']:.0f} s"
                f": {record['said']}",
                flush=True,
            )
        write_json(file, {**asked, "results": [*records.values()]})


if __name__ == "__main__":
    main()
