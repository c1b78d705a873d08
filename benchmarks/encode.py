"""How long an exported encoder takes, beside the Keras model it came from.

    python -m benchmarks.encode --json benchmarks/results/encode_2_cores.json

Clips of ten 64 x 64 frames through the SavedModel's `__call__`, its signature
`encode`, and `predict_on_batch` of the Encoder, in turns, so that what else
the machine does meets all of them.
"""

import dataclasses
import pathlib
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf
import tyro

from video_repr import Encoder
from video_repr import export_encoder
from video_repr.files import write_json
from video_repr.machine import machine


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure the latency of encoding.

    Attributes:
        units: of the encoder.
        batches: clips at once.
        rounds: how often each is timed.
        json: file to write.
    """

    units: int = 512
    batches: tuple[int, ...] = (1, 32)
    rounds: int = 200
    json: pathlib.Path | None = None


def main():
    arguments = tyro.cli(Arguments)
    encoder = Encoder((arguments.units,))
    encoder.build((None, None, 64, 64))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "encoder"
        export_encoder(encoder, path, (64, 64), input_frames=10, pixels=True)
        saved = tf.saved_model.load(str(path))
        encode = saved.signatures["encode"]
        for batch in arguments.batches:
            clips = np.random.default_rng(0).random(
                (batch, 10, 64, 64), np.float32
            )
            tensor = tf.constant(clips)
            calls = {
                "predict_on_batch": lambda x=clips: encoder.predict_on_batch(x),
                "saved_model": lambda x=clips: saved(x).numpy(),
                "signature": lambda x=tensor: encode(clips=x)[
                    "features"
                ].numpy(),
            }
            seconds = {name: [] for name in calls}
            for turn in range(arguments.rounds + 5):
                for name, call in calls.items():
                    start = time.perf_counter()
                    call()
                    if turn >= 5:
                        seconds[name].append(time.perf_counter() - start)
            row = {"batch": batch}
            for name, values in seconds.items():
                row[f"{name}_ms"] = 1000 * statistics.median(values)
            for name in ("saved_model", "signature"):
                row[f"{name}_over_keras"] = statistics.median(
                    a / b
                    for a, b in zip(
                        seconds[name], seconds["predict_on_batch"], strict=True
                    )
                )
            rows.append(row)
            print("  ".join(f"{k} {v:.3f}" for k, v in row.items()))
    if arguments.json:
        about = {"machine": machine(), "units": arguments.units}
        write_json(arguments.json, {**about, "rows": rows})


if __name__ == "__main__":
    main()
