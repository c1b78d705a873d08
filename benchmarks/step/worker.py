"""A process with one system, that makes a step whenever it is told to.

Reads lines from its standard input and answers each with a line of JSON.
"""

import importlib
import json
import os
import resource
import sys
import time


def main():
    module, system, work = sys.argv[1:]
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    started = time.perf_counter()
    try:
        systems = importlib.import_module(module).SYSTEMS
    except ModuleNotFoundError as error:
        print(json.dumps({"absent": error.name}), file=answers)
        return
    from benchmarks.step.work import WORKS

    step = systems[system](WORKS[work])
    built = time.perf_counter()
    loss = float(step())
    answer = {
        "build_s": built - started,
        "first_step_s": time.perf_counter() - built,
        "loss": loss,
    }
    print(json.dumps(answer), file=answers)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        answer = {
            "seconds": time.perf_counter() - start,
            # Linux counts KiB.
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            / 1024,
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
