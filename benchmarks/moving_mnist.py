"""How many Moving MNIST sequences a second one core makes.

python -m benchmarks.moving_mnist
"""

import os
import statistics
import time

from video_repr.data import MovingMNIST
from video_repr.data import load_digits

BATCHES, BATCH = 20, 500


def main():
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    data = MovingMNIST(load_digits().train)
    rates = []
    for batch in range(BATCHES + 1):
        start = time.perf_counter()
        data.sequences(range(batch * BATCH, (batch + 1) * BATCH))
        rates.append(BATCH / (time.perf_counter() - start))
    rates = rates[1:]
    print(
        f"{statistics.median(rates):,.0f} sequences of {data.frames} frames "
        f"with {data.digits} digits a second on one core (median of "
        f"{BATCHES}, from {min(rates):,.0f} to {max(rates):,.0f})"
    )


if __name__ == "__main__":
    main()
