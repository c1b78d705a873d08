"""Our training step beside that of a commit before.

    python -m benchmarks.before COMMIT --work a,c --json FILE

Each has a process of its own, in a checkout of its own, and steps alternate,
A B A B. The ratio is the median over the pairs: above 1 this one is slower.
"""

import contextlib
import dataclasses
import pathlib
import statistics
import subprocess
import tempfile
from typing import Annotated

import tyro

from benchmarks.step.work import WORKS
from benchmarks.train_step import OURS
from benchmarks.train_step import Worker
from video_repr.files import write_json
from video_repr.machine import machine

ROOT = pathlib.Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Compare our training step with that of a commit before.

    Attributes:
        commit: of this repository.
        work: works to measure, with commas between; see step/work.py.
        repeats: number of pairs of steps.
        json: file to write.
    """

    commit: Annotated[str, tyro.conf.Positional]
    work: str = "a,c"
    repeats: int = 20
    json: pathlib.Path | None = None


@contextlib.contextmanager
def checkout(commit):
    """A directory with the files of a commit."""
    with tempfile.TemporaryDirectory() as directory:
        packed = subprocess.run(
            ["git", "archive", commit, "benchmarks", "video_repr"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        subprocess.run(
            ["tar", "--extract", "--directory", directory],
            input=packed,
            check=True,
        )
        yield pathlib.Path(directory)


def main():
    arguments = tyro.cli(Arguments)
    unknown = set(arguments.work.split(",")) - set(WORKS)
    if unknown or arguments.repeats < 1:
        raise SystemExit(
            f"Expected works of {', '.join(WORKS)}, and at least 1 repeat. "
            f"Received: {arguments.work}, {arguments.repeats}"
        )
    rows = []
    with checkout(arguments.commit) as before:
        for name in arguments.work.split(","):
            workers = [
                Worker(*OURS, WORKS[name], root) for root in (ROOT, before)
            ]
            pairs = [
                [worker.step()["seconds"] for worker in workers]
                for _ in range(arguments.repeats + 1)
            ][1:]
            for worker in workers:
                worker.close()
            now, then = map(statistics.median, zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            rows.append(
                {"work": name, "now_s": now, "before_s": then, "ratio": ratio}
            )
            print(
                f"{name:<11}now {now:.3f} s, before {then:.3f} s, ratio "
                f"{ratio:.3f}",
                flush=True,
            )
    if arguments.json:
        write_json(
            arguments.json,
            {
                "machine": machine(),
                "before": arguments.commit,
                "results": rows,
            },
        )


if __name__ == "__main__":
    main()
