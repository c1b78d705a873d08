"""A training step beside what others make of the same work.

    python -m benchmarks.train_step --work a,b --repeats 10 --json FILE

Each system runs in a process of its own. A peer's steps alternate with ours,
A B A B, and the ratio is the median over such pairs; the machine's ceiling,
its best large product of float32 matrices, is measured in between. A peer
that is not installed (`pip install 'video_repr[bench]'`) is listed as absent.
"""

import dataclasses
import itertools
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
        precision: "float32", "tf32", "mixed_bfloat16", with commas between:
            the works are measured in each.
        devices: numbers of GPUs to share the batch, with commas between.
        repeats: number of pairs of steps.
        peers: parts of the names of the peers to measure, with commas
            between; all when left out.
        json: file to write.
    """

    work: str = "a"
    precision: str = "float32"
    devices: str = "1"
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
                *(module, system, json.dumps(dataclasses.asdict(work))),
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
    """The best product of two large matrices that was seen."""

    def __init__(self, precision, size=4096):
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(
            precision == "tf32"
        )
        dtype = "bfloat16" if precision == "mixed_bfloat16" else "float32"
        self._a = tf.cast(tf.random.normal((size, size)), dtype)
        self._flop = 2 * size**3
        self.gflops = 0.0

    def measure(self, repeats=3):
        import tensorflow as tf

        for _ in range(repeats):
            start = time.perf_counter()
            tf.matmul(self._a, self._a).numpy()
            seconds = time.perf_counter() - start
            self.gflops = max(self.gflops, self._flop / seconds / 1e9)


def measure(name, work, peers, repeats, ceiling):
    """Rows for our system and each of the peers on one work."""
    ours = Worker(*OURS, work)
    if "absent" in ours.first:
        return [_missing(name, work, "ours", ours.first)]
    if "loss" not in ours.first:
        raise SystemExit(f"Our own step failed on work {name}.")
    rows, of_ours = [], []
    for module, system in peers:
        peer = Worker(module, system, work)
        ceiling.measure()
        if "loss" not in peer.first:
            peer.close()
            rows.append(_missing(name, work, system, peer.first))
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


def _missing(name, work, system, answer):
    reason = answer.get("absent")
    status = f"absent: {reason}" if reason else "failed"
    print(f"{name:<11}{system:<36}{status}", flush=True)
    return {**_of(name, work), "system": system, "status": status}


def _of(name, work):
    return {
        "work": name,
        "precision": work.precision,
        "devices": work.devices,
    }


def _row(name, work: Work, worker, steps):
    seconds = statistics.median(step["seconds"] for step in steps)
    return {
        **_of(name, work),
        "system": worker.system,
        "sequences_per_s": work.batch / seconds,
        "gflops": work.flop() / seconds / 1e9,
        "peak_memory_mb": steps[-1]["peak_memory_mb"],
        **worker.first,
    }


def _print(row):
    print(
        f"{row['work']:<11}{row['system']:<36}{row['sequences_per_s']:>8.1f} "
        f"seq/s{row['gflops']:>8.0f} GFLOP/s"
        f"{row['peak_memory_mb']:>8.0f} MB"
        f" ({row['peak_memory_mb'] - row['imports_mb']:.0f} own)"
        f"{row['first_step_s']:>8.1f} s first"
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
    wanted = arguments.peers.split(",")
    peers = [p for p in PEERS if any(part in p[1] for part in wanted)]
    precisions = arguments.precision.split(",")
    ceilings = {precision: Ceiling(precision) for precision in precisions}
    rows = []
    for name, precision, devices in itertools.product(
        arguments.work.split(","), precisions, arguments.devices.split(",")
    ):
        work = dataclasses.replace(
            WORKS[name], precision=precision, devices=int(devices)
        )
        ceiling = ceilings[precision]
        ceiling.measure()
        rows += measure(name, work, peers, arguments.repeats, ceiling)
    for precision, ceiling in ceilings.items():
        print(f"{machine()}: ceiling {ceiling.gflops:.0f} in {precision}")
    for row in rows:
        if "gflops" in row:
            row["fraction_of_ceiling"] = row["gflops"] / (
                ceilings[row["precision"]].gflops * row["devices"]
            )
    result = {
        "machine": machine(),
        "ceiling_gflops": ceilings[precisions[0]].gflops,
        "ceilings_gflops": {p: c.gflops for p, c in ceilings.items()},
        "results": rows,
    }
    if arguments.json:
        write_json(arguments.json, result)


if __name__ == "__main__":
    main()
