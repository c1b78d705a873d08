"""A training step beside what others make of the same work.

    python -m benchmarks.train_step --work a,b --repeats 10 --json FILE
    python -m benchmarks.train_step --work a,f --precision tf32,mixed_bfloat16 \
        --batch 64,128,512 --in-flight 1,20

Each system runs in a process of its own. A peer's steps alternate with ours,
A B A B, and the ratio is the median over such pairs; the machine's ceiling,
its best large product of matrices in that precision, is measured in between. A
peer that is not installed (`pip install 'video_repr[bench]'`) is listed as
absent.
"""

import contextlib
import dataclasses
import importlib.metadata
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import tyro

from benchmarks.step.work import WORKS
from benchmarks.step.work import Work
from video_repr.files import write_json
from video_repr.machine import machine

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
# Of works with patches.
CONV_PEERS = (
    ("benchmarks.step.in_keras", "keras ConvLSTM2D, XLA"),
    ("benchmarks.step.in_keras", "keras ConvLSTM2D"),
    ("benchmarks.step.in_torch", "torch conv peephole loop"),
    ("benchmarks.step.in_torch", "torch conv peephole loop, compiled"),
    ("benchmarks.step.in_jax", "jax conv scan"),
)

_SHARED_GPU = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class StoppedError(Exception):
    """A system's process ended before its work was done."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure training steps.

    Attributes:
        work: works to measure, with commas between; see step/work.py.
        precision: "float32", "tf32", "mixed_bfloat16", with commas between:
            the works are measured in each.
        batch: batch sizes, with commas between; each work's own when left out.
        in_flight: numbers of steps to tell a system to make before waiting for
            the last, with commas between; 1 waits for each.
        devices: numbers of GPUs to share the batch, with commas between.
        repeats: number of pairs of steps, or of such series of them.
        peers: parts of the names of the peers to measure, with commas
            between; all when left out.
        json: file to write.
    """

    work: str = "a"
    precision: str = "float32"
    batch: str = ""
    in_flight: str = "1"
    devices: str = "1"
    peers: str = ""
    repeats: int = 10
    json: pathlib.Path | None = None


class Worker:
    """One system in a process of its own.

    Args:
        module: that has the system.
        system: its name there.
        work: `Work`.
        root: of the checkout that it runs in; this one when None.
    """

    def __init__(self, module, system, work, root=None):
        self.system = system
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.step.worker"),
                *(module, system, json.dumps(_given(work))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=root,
            env={
                **os.environ,
                # Threads that wait must not take the other's processor.
                "OMP_WAIT_POLICY": "PASSIVE",
                # Nor one process all of a GPU's memory.
                **_SHARED_GPU,
            },
        )
        self.first = self._answer()

    def step(self, in_flight=1):
        """Seconds and memory of a step.

        Args:
            in_flight: number of steps to make before waiting for the last; the
                seconds are those of all, divided by it.

        Raises:
            StoppedError: if the process has died.
        """
        try:
            self._process.stdin.write(f"{in_flight}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise StoppedError(self.reason()) from None
        answer = self._answer()
        if "seconds" not in answer:
            raise StoppedError(self.reason())
        return answer

    def reason(self):
        """The last line that the process wrote of an error."""
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._errors.close()

    def _answer(self):
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"failed": True}


def _given(work):
    """What makes the work: nothing that a commit before may not know."""
    values = dataclasses.asdict(work)
    return {
        field.name: values[field.name]
        for field in dataclasses.fields(work)
        if values[field.name] != field.default
    }


class Ceiling:
    """The best product of two large matrices that was seen.

    Args:
        precision: as in `Work`.
        sizes: rows and columns of the matrices; what suits the device when
            None.
    """

    def __init__(self, precision, sizes=None):
        self._precision, self._sizes = precision, sizes
        self.gflops = 0.0

    def measure(self, repeats=3):
        import tensorflow as tf

        # A GPU makes a product in less time than it takes to ask for it.
        gpu = bool(tf.config.list_physical_devices("GPU"))
        products = 10 if gpu else 1
        tf.config.experimental.enable_tensor_float_32_execution(
            self._precision == "tf32"
        )
        mixed = self._precision == "mixed_bfloat16"
        for size in self._sizes or ((8192,) if gpu else (2048, 4096)):
            a = tf.cast(
                tf.random.normal((size, size)),
                "bfloat16" if mixed else "float32",
            )
            for _ in range(repeats):
                start = time.perf_counter()
                for _ in range(products):
                    product = tf.matmul(a, a)
                # A number of the last, so that all are done.
                product[0, 0].numpy()
                seconds = (time.perf_counter() - start) / products
                self.gflops = max(self.gflops, 2e-9 * size**3 / seconds)


def measure(name, work, peers, repeats, ceiling, in_flight=(1,)):
    """Rows for our system and each of the peers on one work.

    For each of the numbers of steps in flight there is a row.
    """
    ours = Worker(*OURS, work)
    if "absent" in ours.first:
        return [_missing(name, work, "ours", ours.first)]
    if "loss" not in ours.first:
        raise SystemExit(f"Our own step failed on work {name}: {ours.reason()}")
    rows, of_ours = [], {flying: [] for flying in in_flight}
    for module, system in peers:
        peer = Worker(module, system, work)
        ceiling.measure()
        try:
            if "loss" not in peer.first:
                raise StoppedError(peer.first.get("absent", peer.reason()))
            found = []
            for flying in in_flight:
                pairs = []
                for _ in range(repeats + 1):
                    mine = ours.step(flying)
                    pairs.append((mine, peer.step(flying)))
                # The first is a warm-up.
                found.append((flying, pairs[1:]))
        except StoppedError as error:
            answer = {**peer.first, "reason": str(error)}
            rows.append(_missing(name, work, system, answer))
            continue
        finally:
            peer.close()
        for flying, pairs in found:
            of_ours[flying] += [a for a, _ in pairs]
            ratios = [a["seconds"] / b["seconds"] for a, b in pairs]
            steps = [b for _, b in pairs]
            row = _row(name, work, peer, steps, ceiling, flying)
            row["paired_ratio_to_ours"] = statistics.median(ratios)
            rows.append(row)
            _print(row)
    own = []
    for flying, steps in of_ours.items():
        if not steps:
            steps = [ours.step(flying) for _ in range(repeats + 1)][1:]
        row = _row(name, work, ours, steps, ceiling, flying)
        row["paired_ratio_to_ours"] = 1.0
        own.append(row)
        _print(row)
    ours.close()
    return [*own, *rows]


def _missing(name, work, system, answer):
    if "absent" in answer:
        status = f"absent: {answer['absent']}"
    else:
        status = f"failed: {answer['reason']}"
    print(f"{name:<11}{system:<36}{status}", flush=True)
    return {**_of(name, work), "system": system, "status": status}


def _of(name, work):
    return {
        "work": name,
        "batch": work.batch,
        "precision": work.precision,
        "devices": work.devices,
    }


def _row(name, work: Work, worker, steps, ceiling, in_flight):
    seconds = statistics.median(step["seconds"] for step in steps)
    return {
        **_of(name, work),
        "system": worker.system,
        "in_flight": in_flight,
        "sequences_per_s": work.batch / seconds,
        "gflops": work.flop() / seconds / 1e9,
        "fraction_of_ceiling": work.flop()
        / seconds
        / 1e9
        / (ceiling.gflops * work.devices),
        "peak_memory_mb": steps[-1]["peak_memory_mb"],
        **worker.first,
    }


def _print(row):
    print(
        f"{row['work']:<11}{row['system']:<36}{row['sequences_per_s']:>8.1f} "
        f"seq/s{row['gflops']:>8.0f} GFLOP/s"
        f"{row['fraction_of_ceiling']:>7.0%} of the ceiling"
        f"{row['peak_memory_mb']:>8.0f} MB"
        f" ({row['peak_memory_mb'] - row['imports_mb']:.0f} own)"
        f"{row['first_step_s']:>8.1f} s first"
        f"{row['paired_ratio_to_ours']:>7.2f} of ours"
        f"   ({row['batch']} sequences, {row['in_flight']} in flight)",
        flush=True,
    )


def main():
    arguments = tyro.cli(Arguments)
    wanted = arguments.peers.split(",")
    peers, conv_peers = (
        [p for p in all_of if any(part in p[1] for part in wanted)]
        for all_of in (PEERS, CONV_PEERS)
    )
    names = arguments.work.split(",")
    precisions = arguments.precision.split(",")
    for what, given, known in (
        ("works", names, tuple(WORKS)),
        ("precisions", precisions, ("float32", "tf32", "mixed_bfloat16")),
    ):
        if not set(given) <= set(known):
            raise SystemExit(
                f"Expected {what} of {', '.join(known)}. Received: "
                f"{', '.join(given)}"
            )
    if arguments.repeats < 1 or not (peers or conv_peers):
        raise SystemExit(
            "Expected at least 1 repeat, and parts of the names of peers. "
            f"Received: {arguments.repeats}, {arguments.peers!r}"
        )
    in_flight = _numbers(arguments.in_flight)
    batches = _numbers(arguments.batch) if arguments.batch else [None]
    os.environ.update(_SHARED_GPU)
    ceilings = {precision: Ceiling(precision) for precision in precisions}
    rows = []
    for name, precision, batch, count in itertools.product(
        names, precisions, batches, _numbers(arguments.devices)
    ):
        work = dataclasses.replace(
            WORKS[name],
            precision=precision,
            batch=batch or WORKS[name].batch,
            devices=count,
        )
        ceiling = ceilings[precision]
        ceiling.measure()
        rows += measure(
            name,
            work,
            conv_peers if work.patch else peers,
            arguments.repeats,
            ceiling,
            in_flight,
        )
        print(
            f"{name:<11}ceiling {ceiling.gflops:.0f} GFLOP/s in {precision}",
            flush=True,
        )
        if arguments.json:
            # What is done is kept, whatever comes.
            write_json(
                arguments.json,
                {
                    "machine": machine(),
                    "versions": _versions(),
                    "ceiling_gflops": ceilings[precisions[0]].gflops,
                    "ceilings_gflops": {
                        p: c.gflops for p, c in ceilings.items()
                    },
                    "results": rows,
                },
            )


def _numbers(text):
    """Positive numbers with commas between."""
    numbers = text.split(",")
    if not all(number.isdecimal() and int(number) for number in numbers):
        raise SystemExit(
            f"Expected positive numbers with commas between. Received: {text!r}"
        )
    return [int(number) for number in numbers]


def _versions():
    found = {}
    for package in ("tensorflow", "keras", "torch", "jax", "jaxlib"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


if __name__ == "__main__":
    main()
