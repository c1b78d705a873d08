"""Whether training ever waits for its data.

    python -m benchmarks.input --json FILE

Takes batches as a training does, from Moving MNIST on the fly (by NumPy, and
by the device that trains) and from its dataset on disk, and compares with what
the named config's updates eat on all cores: sequences a second, and processor
time a sequence.
"""

import dataclasses
import pathlib
import tempfile
import time

import tensorflow as tf
import tyro

from pipelines import moving_mnist
from pipelines.arguments import Output
from video_repr import configs
from video_repr.data import ClipDataset
from video_repr.data.run_data import MovingMNISTData
from video_repr.files import write_json
from video_repr.machine import machine
from video_repr.precision import set_precision
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


def records_on_disk(config, count, batch_size, directory):
    """Endless batches of a dataset of the config's sequences, shuffled."""
    path = pathlib.Path(directory) / "moving_mnist" / "1"
    moving_mnist.Arguments(
        Output(str(path)),
        dataclasses.replace(
            config.data, validation_sequences=1, test_sequences=1
        ),
        frames=config.model.clip_frames,
        train=count,
    )()
    clips = ClipDataset(path).clips("train", batch=batch_size, shuffle=True)
    return clips.repeat()


def rates(step, times, batch_size):
    """What `step` moves: sequences a second, processor seconds a sequence."""
    for _ in range(5):
        step()
    tf.test.experimental.sync_devices()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(times):
        step()
    # A GPU makes what it has been told to while the host goes on.
    tf.test.experimental.sync_devices()
    sequences = times * batch_size
    return {
        "sequences_per_s": sequences / (time.perf_counter() - wall),
        "processor_s_per_sequence": (time.process_time() - processor)
        / sequences,
    }


def measure(config, updates, batches):
    """Rates of the config's updates and of each source."""
    size = config.training.batch_size
    sequences = MovingMNISTData.of(config).sequences("train")
    set_precision(config.training.precision)
    model = build_model(config)
    clips = tf.constant(sequences.sequences(range(size)))
    result = {
        "update": rates(lambda: model.train_on_batch(clips), updates, size)
    }
    with tempfile.TemporaryDirectory() as directory:
        for name, dataset in (
            ("moving mnist", sequences.dataset(size)),
            ("on the device", sequences.on_device(size)),
            ("tfrecords", records_on_disk(config, 128 * size, size, directory)),
        ):
            result[name] = rates(iter(dataset).__next__, batches, size)
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
