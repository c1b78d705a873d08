"""Whether training ever waits for its data.

    python -m benchmarks.input --json FILE

Takes batches as a training does, from Moving MNIST on the fly and from
TFRecords on disk, and compares with what the named config's updates eat on
all cores: sequences a second, and processor time a sequence.
"""

import dataclasses
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf
import tyro

from benchmarks.train_step import machine
from video_repr import configs
from video_repr.configs.data import Data
from video_repr.files import write_json
from video_repr.training import build_model


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure the input.

    Attributes:
        config: whose updates are fed.
        digits: source of the glyphs, as in a config.
        updates: number of updates to time.
        batches: number of batches to time from each source.
        json: file to write.
    """

    config: str = "demo"
    digits: str = "auto"
    updates: int = 50
    batches: int = 500
    json: pathlib.Path | None = None


def write_records(path, sequences):
    """Writes uint8 sequences to a TFRecord file, an Example each."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for sequence in sequences:
            pixels = tf.train.BytesList(value=[sequence.tobytes()])
            feature = {"pixels": tf.train.Feature(bytes_list=pixels)}
            example = tf.train.Example(
                features=tf.train.Features(feature=feature)
            )
            writer.write(example.SerializeToString())


def read_records(path, shape, batch_size):
    """Batches of the sequences of a TFRecord file, over and over."""

    def parse(records):
        fields = {"pixels": tf.io.FixedLenFeature((), tf.string)}
        pixels = tf.io.parse_example(records, fields)["pixels"]
        return tf.reshape(
            tf.io.decode_raw(pixels, tf.uint8), (batch_size, *shape)
        )

    return (
        tf.data.TFRecordDataset(str(path))
        .repeat()
        .batch(batch_size, drop_remainder=True)
        .map(parse)
        .prefetch(4)
    )


def rates(step, times, batch_size):
    """What `step` moves: sequences a second, processor seconds a sequence."""
    for _ in range(5):
        step()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(times):
        step()
    sequences = times * batch_size
    return {
        "sequences_per_s": sequences / (time.perf_counter() - wall),
        "processor_s_per_sequence": (time.process_time() - processor)
        / sequences,
    }


def measure(config, updates, batches):
    """Rates of the config's updates and of each source."""
    size = config.training.batch_size
    sequences = Data.of(config).sequences("train")
    model = build_model(config)
    clips = tf.constant(sequences.sequences(range(size)))
    result = {
        "update": rates(lambda: model.train_on_batch(clips), updates, size)
    }
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "sequences.tfrecord"
        some = sequences.sequences(range(32 * size))
        write_records(path, some)
        for name, dataset in (
            ("moving mnist", sequences.dataset(size)),
            ("tfrecords", read_records(path, some.shape[1:], size)),
        ):
            source = iter(dataset)
            if name == "tfrecords":
                np.testing.assert_array_equal(next(source), some[:size])
            result[name] = rates(source.__next__, batches, size)
    update = result["update"]
    for rate in result.values():
        rate["of_update"] = rate["sequences_per_s"] / update["sequences_per_s"]
        rate["processor_share"] = (
            rate["processor_s_per_sequence"]
            / update["processor_s_per_sequence"]
        )
    return result


def main():
    arguments = tyro.cli(Arguments)
    config = configs.load(arguments.config)
    data = dataclasses.replace(config.data, digits=arguments.digits)
    config = dataclasses.replace(config, data=data)
    result = measure(config, arguments.updates, arguments.batches)
    for name, rate in result.items():
        print(
            f"{name:<14}{rate['sequences_per_s']:>10,.0f} sequences/s"
            f"{rate['of_update']:>8.1f} times the updates'"
            f"{rate['processor_share']:>8.2%} of their processor time"
        )
    if arguments.json:
        write_json(
            arguments.json,
            {"machine": machine(), "config": arguments.config, **result},
        )


if __name__ == "__main__":
    main()
