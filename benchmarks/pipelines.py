"""What the pipelines cost beside the work that cannot be spared.

    python -m benchmarks.pipelines --json FILE

Each figure is a ratio of two measurements of one run, the median over
`repeats`:

    patches_vs_decode     frame rate of pipelines.patches in one process, of
                          that of a loop that decodes and crops
    two_workers_vs_one    frame rate of two workers, of one's
    percepts_vs_network   frame rate of pipelines.percepts, of that of the
                          network alone at its best batch size
    memory_10min_vs_1min  peak memory with a film of ten minutes, of that
                          with one minute, 720p
    reading_vs_model      sequences a second read from a dataset, of those
                          that the demo's updates eat

and `costs`, in ms of one core, of what docs/scaling.md counts with. The
films are generated, or those of a folder.
"""

import contextlib
import dataclasses
import io
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import av
import numpy as np
import tensorflow as tf
import tyro

from benchmarks import input as feeding
from pipelines import patches
from pipelines import percepts
from pipelines.arguments import Input
from pipelines.arguments import Output
from pipelines.sources import Source
from pipelines.transforms.convnet import Percepts
from pipelines.transforms.flow import Flow
from pipelines.transforms.parts import Part
from pipelines.transforms.parts import part_path
from video_repr import configs
from video_repr.data.draw import rng_of
from video_repr.data.features import IMAGE
from video_repr.data.features import Clip
from video_repr.data.features import Features
from video_repr.files import write_json
from video_repr.machine import machine
from video_repr.models import convnets

_MEASURES = (
    "patches_vs_decode",
    "two_workers_vs_one",
    "percepts_vs_network",
    "memory_10min_vs_1min",
    "reading_vs_model",
    "costs",
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Measure the pipelines.

    Attributes:
        measures: names of figures, all when left out.
        films: folder of films in place of generated ones.
        minutes: of one worker's job in two_workers_vs_one.
        weights: of efficientnet-lite0; a file, or "random".
        digits: source of the glyphs of reading_vs_model.
        repeats: pairs of measurements.
        json: file to write.
    """

    measures: tuple[str, ...] = _MEASURES
    films: pathlib.Path | None = None
    minutes: float = 2.0
    weights: str = "random"
    digits: str = "auto"
    repeats: int = 3
    json: pathlib.Path | None = None


def write_film(path, seconds, height, width, rate=30):
    """A film of noise that moves; packets repeat after ten seconds."""
    rng = np.random.default_rng(0)
    span = min(seconds, 10) * rate
    field = rng.integers(0, 256, (height // 8 + 1, width // 8 + span, 3))
    field = field.astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    encoded = io.BytesIO()
    with av.open(encoded, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for t in range(span):
            pixels = np.ascontiguousarray(field[:height, 2 * t : 2 * t + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())
    with av.open(str(path), "w") as container:
        added = None
        for again in range(seconds * rate // span):
            encoded.seek(0)
            with av.open(encoded) as part:
                source = part.streams.video[0]
                if added is None:
                    added = container.add_stream_from_template(source)
                shift = round(again * span / rate / source.time_base)
                for packet in part.demux(source):
                    if packet.dts is None:
                        continue
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = added
                    container.mux(packet)


def films_of(folder):
    """Paths of the films below a folder."""
    return sorted(p for p in folder.rglob("*") if p.is_file())


def decode_and_crop(films, size=32):
    """Frames a second of what patches cannot be had without."""
    frames, start = 0, time.perf_counter()
    for film in films:
        rng = rng_of(film)
        with av.open(str(film)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            for frame in container.decode(stream):
                pixels = frame.to_ndarray(format="rgb24")
                y = rng.integers(0, frame.height - size + 1)
                x = rng.integers(0, frame.width - size + 1)
                pixels[y : y + size, x : x + size].copy()
                frames += 1
    return frames / (time.perf_counter() - start), frames


def seconds_of(command):
    """How long a pipeline's command takes, its words not printed."""
    start = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        command()
    return time.perf_counter() - start


def cut(folder, directory, **options):
    """The command of pipelines.patches on a folder."""
    return patches.Arguments(
        Input(str(folder)),
        Output(
            str(pathlib.Path(tempfile.mkdtemp(dir=directory)) / "films" / "1"),
            max_failure_rate=1.0,
        ),
        **options,
    )


def copies_of(folder, directory, count):
    """A folder with each film of another so many times."""
    many = pathlib.Path(tempfile.mkdtemp(dir=directory))
    for film in films_of(folder):
        for copy in range(count):
            (many / f"{copy:04}-{film.name}").symlink_to(film.resolve())
    return many


def patches_vs_decode(arguments, folder, directory):
    rate, frames = decode_and_crop(films_of(folder))
    # A job's beginning and end are no part of its rate.
    folder = copies_of(folder, directory, max(1, round(15 * rate / frames)))
    seconds_of(cut(folder, directory))
    ratios = []
    for _ in range(arguments.repeats):
        rate, frames = decode_and_crop(films_of(folder))
        spent = seconds_of(cut(folder, directory))
        ratios.append(frames / spent / rate)
        print(f"  decoding {rate:.0f}, patches {frames / spent:.0f} frames/s")
    return statistics.median(ratios)


def two_workers_vs_one(arguments, folder, directory):
    once = seconds_of(cut(folder, directory))
    copies = max(1, round(60 * arguments.minutes / once * 1.2))
    many = copies_of(folder, directory, copies)
    one = seconds_of(cut(many, directory))
    two = seconds_of(cut(many, directory, workers=2))
    print(f"  one worker {one:.0f} s, two {two:.0f} s")
    return one / two


def percepts_vs_network(arguments, folder, directory):
    network = convnets.network("efficientnet-lite0", arguments.weights)
    run = tf.function(network.percepts, reduce_retracing=True)

    def rate(batch):
        pictures = np.zeros((batch, 224, 224, 3), np.float32)
        run(pictures)
        start = time.perf_counter()
        for _ in range(max(1, 256 // batch)):
            run(pictures).numpy()
        return max(1, 256 // batch) * batch / (time.perf_counter() - start)

    best = max((8, 16, 32, 64), key=rate)
    _, frames = decode_and_crop(films_of(folder))
    copies = max(1, round(30 * rate(best) / frames))
    folder = copies_of(folder, directory, copies)
    frames *= copies

    def command():
        return percepts.Arguments(
            Input(str(folder)),
            Output(
                str(pathlib.Path(tempfile.mkdtemp(dir=directory)) / "p" / "1"),
                max_failure_rate=1.0,
            ),
            Percepts(weights=arguments.weights, batch=best),
        )

    seconds_of(command())
    ratios = []
    for _ in range(arguments.repeats):
        alone, spent = rate(best), seconds_of(command())
        ratios.append(frames / spent / alone)
        print(
            f"  network {alone:.0f} at batches of {best}, percepts "
            f"{frames / spent:.0f} frames/s"
        )
    return statistics.median(ratios)


def memory_10min_vs_1min(arguments, folder, directory):
    peaks = []
    for minutes in (1, 10):
        path = pathlib.Path(directory) / f"{minutes}min"
        path.mkdir()
        write_film(path / "film.mp4", 60 * minutes, 720, 1280)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pipelines.patches"),
                *("--input", str(path)),
                *("--output", str(path / "out" / "1")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit("pipelines.patches failed")
        peaks.append(usage.ru_maxrss / 1024)
        print(f"  {minutes} min: {peaks[-1]:.0f} MB")
    return peaks[1] / peaks[0]


def reading_vs_model(arguments, folder, directory):
    config = configs.load("demo")
    data = dataclasses.replace(config.data, digits=arguments.digits)
    config = dataclasses.replace(config, data=data)
    result = feeding.measure(config, updates=30, batches=300)
    return result["tfrecords"]["of_update"]


def costs(arguments, folder, directory):
    found = {}
    for height, width in ((240, 320), (720, 1280)):
        film = pathlib.Path(directory) / f"{height}.mp4"
        write_film(film, 10, height, width)
        rate, _ = decode_and_crop([film])
        found[f"decode a frame of {height} x {width}"] = 1000 / rate
    with av.open(str(pathlib.Path(directory) / "240.mp4")) as container:
        frames = list(itertools.islice(container.decode(video=0), 101))
    start = time.perf_counter()
    count = len(
        list(Flow().between((0, i / 30, f) for i, f in enumerate(frames)))
    )
    spent = time.perf_counter() - start
    found["flow of a frame of 240 x 320"] = 1000 * spent / count
    for name in ("efficientnet-lite0", "vgg16-fc6"):
        network = convnets.network(name, "random")
        run = tf.function(network.percepts, reduce_retracing=True)
        pictures = np.zeros((32, 224, 224, 3), np.float32)
        run(pictures)
        spent = []
        for _ in range(3):
            start = time.perf_counter()
            run(pictures).numpy()
            spent.append(time.perf_counter() - start)
        # Networks run on all cores.
        cores = len(os.sched_getaffinity(0))
        found[f"{name} of a frame"] = (
            1000 * statistics.median(spent) * cores / len(pictures)
        )
    found["write a MB of records"] = _writing(directory)
    return found


def _writing(directory):
    """Milliseconds for each MB of a part."""
    features = Features(IMAGE, (32, 32, 3))
    values = np.random.default_rng(0).integers(
        0, 256, (29, 32, 32, 3), np.uint8
    )
    (pathlib.Path(directory) / "parts").mkdir()
    source = Source("none", "none", "none", split="train")
    part = Part(str(directory), source, features)
    start = time.perf_counter()
    for number in range(1000):
        name = f"none/{number:06}"
        part.add(Clip(name, values, "none", 0, "none", "none"))
    part.close()
    spent = time.perf_counter() - start
    file = f"{part_path(str(directory), 'none')}.tfrecord"
    return 1000 * spent / (os.path.getsize(file) / 1e6)


def main():
    arguments = tyro.cli(Arguments)
    results = {"machine": machine()}
    with tempfile.TemporaryDirectory() as directory:
        folder = arguments.films
        if folder is None:
            folder = pathlib.Path(directory) / "generated"
            folder.mkdir()
            for number in range(2):
                write_film(folder / f"{number}.mp4", 60, 240, 320)
        for name in arguments.measures:
            print(name, flush=True)
            results[name] = globals()[name](arguments, folder, directory)
            found = results[name]
            if not isinstance(found, dict):
                found = {name: found}
            for what, value in found.items():
                print(f"{what:<36}{value:>8.2f}", flush=True)
            if arguments.json:
                write_json(arguments.json, results)


if __name__ == "__main__":
    main()
