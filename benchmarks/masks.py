"""What a mask costs an update of a layer.

    python -m benchmarks.masks --json FILE

One layer under XLA, with a mask and without; updates alternate, A B A B, and
the ratio is the median over the pairs.
"""

import dataclasses
import pathlib
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
import tyro

from video_repr import PeepholeLSTM
from video_repr.files import write_json
from video_repr.machine import machine


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure what a mask costs.

    Attributes:
        batch: clips.
        frames: of a clip.
        features: values in a frame.
        units: of the layer.
        repeats: number of pairs of updates.
        json: file to write.
    """

    batch: int = 64
    frames: int = 16
    features: int = 1280
    units: int = 1024
    repeats: int = 20
    json: pathlib.Path | None = None


def updates(arguments):
    """A function that makes an update, with a mask or without."""
    rng = np.random.default_rng(0)
    shape = arguments.batch, arguments.frames, arguments.features
    clips = tf.constant(rng.random(shape, np.float32))
    lengths = rng.integers(1, arguments.frames + 1, arguments.batch)
    mask = tf.constant(np.arange(arguments.frames) < lengths[:, None])
    layer = PeepholeLSTM(arguments.units, return_sequences=True)
    layer.build(shape)
    optimizer = keras.optimizers.Adam()
    optimizer.build(layer.trainable_variables)

    def update(mask):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(clips, mask=mask)))
        weights = layer.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    compiled = {
        masked: tf.function(
            lambda masked=masked: update(mask if masked else None),
            jit_compile=True,
        )
        for masked in (True, False)
    }
    return lambda masked: float(compiled[masked]())


def main():
    arguments = tyro.cli(Arguments)
    update = updates(arguments)
    pairs = []
    # The first of each is compiled.
    for _ in range(arguments.repeats + 1):
        pair = []
        for masked in (True, False):
            start = time.perf_counter()
            update(masked)
            pair.append(time.perf_counter() - start)
        pairs.append(pair)
    masked, plain = map(statistics.median, zip(*pairs[1:], strict=True))
    ratio = statistics.median(a / b for a, b in pairs[1:])
    print(
        f"with a mask {masked:.3f} s, without {plain:.3f} s, ratio {ratio:.3f}"
    )
    if arguments.json:
        write_json(
            arguments.json,
            {
                "machine": machine(),
                "batch": arguments.batch,
                "frames": arguments.frames,
                "features": arguments.features,
                "units": arguments.units,
                "with_mask_s": masked,
                "without_s": plain,
                "ratio": ratio,
            },
        )


if __name__ == "__main__":
    main()
