"""A training step beside what others make of the same work.

    python -m benchmarks.train_step --work a,b --repeats 10 --json FILE

Each system runs in a process of its own. A peer's steps alternate with ours,
A B A B, and the ratio is the median over such pairs; the machine's ceiling,
its best large product of float32 matrices, is measured in between. A peer
that is not installed (`pip install 'video_repr[bench]'`) is listed as absent.
"""

import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import tyro

from benchmarks.step.work import WORKS
from benchmarks.step.work import Work
from video_repr.files import write_json

OURS = ("benchmarks.step.ours", "ours")
PEERS = (
    *(
        ("benchmarks.step.in_keras", f"keras {name}{suffix}")
        for name in ("LSTM", "RNN(PeepholeLSTMCell)")
        for suffix in (", XLA", "")
    ),
    *(
        ("benchmarks.step.in_torch", f"torch {name}{suffix}")
        for name in ("nn.LSTM", "peephole loop")
        for suffix in ("", ", compiled")
    ),
    ("benchmarks.step.in_jax", "jax scan"),
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure training steps.

    Attributes:
        work: works to measure, with commas between; see step/work.py.
        repeats: number of pairs of steps.
        peers: parts of the names of the peers to measure, with commas
            between; all when left out.
        json: file to write.
    """

    work: str = "a"
    peers: str = ""
    repeats: int = 10
    json: pathlib.Path | None = None


class Worker:
    """One system in a process of its own."""

    def __init__(self, module, system, work):
        self.system = system
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.step.worker"),
                *(module, system, work),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Threads that wait must not take the other's processor.
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )
        self.first = self._answer()

    def step(self):
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self):
        self._process.stdin.close()
        self._process.wait()

    def _answer(self):
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"failed": True}


class Ceiling:
    """The best product of two large float32 matrices that was seen."""

    def __init__(self, size=4096):
        import tensorflow as tf

        self._a = tf.random.normal((size, size))
        self._flop = 2 * size**3
        self.gflops = 0.0

    def measure(self, repeats=3):
        import tensorflow as tf

        for _ in range(repeats):
            start = time.perf_counter()
            tf.matmul(self._a, self._a).numpy()
            seconds = time.perf_counter() - start
            self.gflops = max(self.gflops, self._flop / seconds / 1e9)


def measure(name, peers, repeats, ceiling):
    """Rows for our system and each of the peers on one work."""
    work = WORKS[name]
    ours = Worker(*OURS, name)
    if "loss" not in ours.first:
        raise SystemExit(f"Our own step failed on work {name}.")
    rows, of_ours = [], []
    for module, system in peers:
        peer = Worker(module, system, name)
        ceiling.measure()
        if "loss" not in peer.first:
            peer.close()
            reason = peer.first.get("absent")
            status = f"absent: {reason}" if reason else "failed"
            rows.append({"work": name, "system": system, "status": status})
            print(f"{name}  {system:<36}{status}", flush=True)
            continue
        pairs = [(ours.step(), peer.step()) for _ in range(repeats + 1)][1:]
        of_ours += [a for a, _ in pairs]
        ratios = [a["seconds"] / b["seconds"] for a, b in pairs]
        row = _row(name, work, peer, [b for _, b in pairs])
        row["paired_ratio_to_ours"] = statistics.median(ratios)
        rows.append(row)
        _print(row)
        peer.close()
    if not of_ours:
        of_ours = [ours.step() for _ in range(repeats + 1)][1:]
    row = {**_row(name, work, ours, of_ours), "paired_ratio_to_ours": 1.0}
    _print(row)
    ours.close()
    return [row, *rows]


def _row(name, work: Work, worker, steps):
    seconds = statistics.median(step["seconds"] for step in steps)
    return {
        "work": name,
        "system": worker.system,
        "sequences_per_s": work.batch / seconds,
        "gflops": work.flop() / seconds / 1e9,
        "peak_memory_mb": steps[-1]["peak_memory_mb"],
        **worker.first,
    }


def _print(row):
    print(
        f"{row['work']}  {row['system']:<36}{row['sequences_per_s']:>8.1f} "
        f"seq/s{row['gflops']:>8.0f} GFLOP/s"
        f"{row['peak_memory_mb']:>8.0f} MB{row['first_step_s']:>8.1f} s first"
        f"{row['paired_ratio_to_ours']:>7.2f} of ours",
        flush=True,
    )


def machine():
    """What ran it, in words."""
    processor = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":")[1].strip()
                break
    return f"{processor}, {len(os.sched_getaffinity(0))} cores"


def main():
    arguments = tyro.cli(Arguments)
    ceiling = Ceiling()
    ceiling.measure()
    wanted = arguments.peers.split(",")
    peers = [p for p in PEERS if any(part in p[1] for part in wanted)]
    rows = []
    for name in arguments.work.split(","):
        rows += measure(name, peers, arguments.repeats, ceiling)
    print(f"{machine()}: ceiling {ceiling.gflops:.0f} GFLOP/s")
    for row in rows:
        if "gflops" in row:
            row["fraction_of_ceiling"] = row["gflops"] / ceiling.gflops
    result = {
        "machine": machine(),
        "ceiling_gflops": ceiling.gflops,
        "results": rows,
    }
    if arguments.json:
        write_json(arguments.json, result)


if __name__ == "__main__":
    main()
