"""A process with one system, that makes steps whenever it is told to.

Reads lines from its standard input, each a number of steps, makes as many,
waits for the last, and answers with a line of JSON.
"""

import importlib
import json
import os
import pathlib
import re
import resource
import sys
import time

from benchmarks.step.work import AbsentError
from benchmarks.step.work import Work


def peak_memory(module):
    """Peak bytes on the GPU if there is one, otherwise of the process."""
    on_device = module.device_memory()
    if on_device is not None:
        return on_device
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which begins with what the parent process had.
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(peak) * 1024
    # macOS counts bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    module, system, work = sys.argv[1:]
    work = Work(**json.loads(work))
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        module = importlib.import_module(module)
        imports, imported = peak_memory(module), time.perf_counter()
        step = module.SYSTEMS[system](work)
    except (ModuleNotFoundError, AbsentError) as error:
        print(json.dumps({"absent": str(error)}), file=answers)
        return
    loss = float(step())
    answer = {
        # With what it takes to make the weights, which some make in the
        # first step.
        "first_step_s": time.perf_counter() - imported,
        "loss": loss,
        "imports_mb": imports / 2**20,
    }
    print(json.dumps(answer), file=answers)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            last = step()
        float(last)
        answer = {
            "seconds": (time.perf_counter() - start) / int(line),
            "peak_memory_mb": peak_memory(module) / 2**20,
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
