"""StatisticsGen: computes statistics from a dataset's records."""

import collections
import dataclasses
import functools
import pathlib

import apache_beam as beam
import numpy as np
import tensorflow as tf

from pipelines import directory
from pipelines.engine import Engine
from pipelines.training.artifacts import dataset_of
from pipelines.training.artifacts import write_artifact
from pipelines.training.readers import STATISTICS
from pipelines.transforms.moments import Moments
from video_repr.data import ClipDataset
from video_repr.data import features as fields
from video_repr.data.splits import SPLITS
from video_repr.errors import InputError
from video_repr.files import read_json
from video_repr.files import write_json

# Noise of a film's codec on still pictures, in pixel values up to 255.
_NOISE = 2


def run(examples, workers, statistics):
    """Computes statistics from the records."""
    with write_artifact(
        "StatisticsGen", statistics, inputs={"examples": examples}
    ) as f:
        write_statistics(dataset_of(examples.path), f, workers)


def write_statistics(examples, folder, workers=1):
    """Computes the statistics of a dataset.

    Writes statistics.json, which `readers.read_statistics` reads, and
    stats.pb for other tools of TFX.

    Args:
        examples: dataset directory.
        folder: existing directory to write to, a `pathlib.Path`.
        workers: processes on this machine.
    """
    dataset = ClipDataset(examples)
    splits = {s["name"]: s["split"] for s in dataset.info["shards"]}
    paths = [str(pathlib.Path(examples) / name) for name in splits]
    with Engine(workers).pipeline() as p:
        _ = (
            p
            | beam.Create(paths)
            | beam.io.ReadAllFromTFRecord(with_filename=True)
            | beam.MapTuple(_KeyedBySplit(splits))
            | beam.CombinePerKey(_Count(dataset.features))
            | beam.MapTuple(_Write(folder))
        )
    found = {}
    for split in SPLITS:
        file = folder / f"{split}.json"
        if file.exists():
            found[split] = read_json(file)
            file.unlink()
    statistics = {
        "frame_shape": list(dataset.features.frame_shape),
        "labels": list(dataset.labels),
        "key": dataset.features.key,
        # The counts and groups in info.json, to compare with.
        "declared": {
            split: {
                "clips": values["clips"],
                "groups": sorted(
                    {
                        source["group"]
                        for source in dataset.info["sources"]
                        if source["split"] == split and source["clips"]
                    }
                ),
            }
            for split, values in dataset.info["splits"].items()
        },
        "splits": found,
    }
    write_json(folder / STATISTICS, statistics)
    (folder / "stats.pb").write_bytes(
        _proto(found, dataset.features).SerializeToString(deterministic=True)
    )


@dataclasses.dataclass
class Counts:
    """The statistics of a split.

    Attributes:
        clips: number of records.
        fields: number of records with each field.
        kinds: number of records with each field of each kind.
        broken: number of records whose clip cannot be read, or has another
            frame shape than the dataset.
        nan: number of NaN values.
        infinite: number of infinite values.
        still: number of clips in which no value changes, or no pixel by more
            than the noise of a codec.
        frames: least and greatest number of frames of a clip.
        groups: names of the groups.
        labels: number of clips of each class, by its index.
        moments: `Moments` of the finite values.
    """

    clips: int = 0
    fields: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    kinds: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    broken: int = 0
    nan: int = 0
    infinite: int = 0
    still: int = 0
    frames: tuple[int, int] | None = None
    groups: set = dataclasses.field(default_factory=set)
    labels: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    moments: Moments = dataclasses.field(default_factory=Moments)

    def add(self, record, features):
        """Counts a record."""
        self.clips += 1
        example = tf.train.Example.FromString(record).features.feature
        for name, value in example.items():
            kind = value.WhichOneof("kind")
            self.fields[name] += 1
            self.kinds[f"{name} {kind}"] += 1
        self.groups.update(
            name.decode("utf-8", "replace")
            for name in example[fields.GROUP].bytes_list.value
        )
        self.labels.update(
            str(n) for n in example[fields.LABEL_INDEX].int64_list.value
        )
        clip = _clip(record, features)
        if clip is None:
            self.broken += 1
            return
        finite = np.isfinite(clip)
        self.nan += int(np.isnan(clip).sum())
        self.infinite += int((~finite).sum()) - int(np.isnan(clip).sum())
        self.still += _stands_still(clip)
        low, high = self.frames or (len(clip), len(clip))
        self.frames = min(low, len(clip)), max(high, len(clip))
        shape = features.frame_shape
        channels = shape[2] if len(shape) == 3 else 1
        if finite.any():
            # Only pixels have several channels, and all are finite.
            self.moments.add(clip if finite.all() else clip[finite], channels)

    def merge(self, other):
        """Adds the counts of another."""
        for name in ("clips", "broken", "nan", "infinite", "still"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("fields", "kinds", "groups", "labels"):
            getattr(self, name).update(getattr(other, name))
        both = [f for f in (self.frames, other.frames) if f]
        if both:
            lows, highs = zip(*both, strict=True)
            self.frames = min(lows), max(highs)
        self.moments.merge(other.moments)

    def to_dict(self):
        """JSON-ready."""
        values = {
            "clips": self.clips,
            "fields": dict(sorted(self.fields.items())),
            "kinds": dict(sorted(self.kinds.items())),
            "broken": self.broken,
            "nan": self.nan,
            "infinite": self.infinite,
            "still": self.still,
            "frames": self.frames,
            "groups": sorted(self.groups),
            "labels": dict(sorted(self.labels.items())),
        }
        if self.moments.count:
            mean, std = directory.mean_and_std(self.moments)
            values |= {
                "mean": np.atleast_1d(mean).tolist(),
                "std": np.atleast_1d(std).tolist(),
                "min": self.moments.minimum,
                "max": self.moments.maximum,
                "moments": self.moments.to_dict(),
            }
        return values


def _stands_still(clip):
    if len(clip) == 1:
        return False
    most = clip.max(axis=0) - clip.min(axis=0)
    return bool((most <= (_NOISE if clip.dtype == np.uint8 else 0)).all())


@functools.cache
def _parser(features):
    # Traced once: eagerly it takes ten times as long.
    return tf.function(
        lambda record: features.parse(record)["clip"],
        input_signature=[tf.TensorSpec((), tf.string)],
    )


def _clip(record, features):
    try:
        clip = _parser(features)(record).numpy()
    except tf.errors.InvalidArgumentError:
        return None
    return clip if len(clip) and clip.size else None


class _Count(beam.CombineFn):
    """Combines records into `Counts`."""

    def __init__(self, features):
        self._features = features

    def create_accumulator(self):
        return Counts()

    def add_input(self, accumulator, record):
        accumulator.add(record, self._features)
        return accumulator

    def merge_accumulators(self, accumulators):
        first, *others = accumulators
        for other in others:
            first.merge(other)
        return first

    def extract_output(self, accumulator):
        return accumulator.to_dict()


class _KeyedBySplit:
    """Adds to a record the split of its file, as the key."""

    def __init__(self, splits):
        self._splits = splits

    def __call__(self, path, record):
        return self._splits[pathlib.PurePath(path).name], record


class _Write:
    """Writes the counts of a split to a file."""

    def __init__(self, folder):
        self._folder = folder

    def __call__(self, split, values):
        write_json(self._folder / f"{split}.json", values)


def _proto(found, features):
    """The statistics in the format of tensorflow-metadata."""
    usable = {split: v for split, v in found.items() if "moments" in v}
    if not usable:
        raise InputError(
            "Expected records with values. Received: none that can be read"
        )
    info = {
        "splits": {
            split: {
                "clips": values["clips"],
                "frames": dict(
                    zip(("min", "max"), values["frames"], strict=True)
                ),
            }
            for split, values in usable.items()
        }
    }
    proto = directory.statistics_list(
        info,
        {s: Moments.from_dict(v["moments"]) for s, v in usable.items()},
        features,
    )
    for dataset in proto.datasets:
        counted = found[dataset.name]
        for feature in dataset.features:
            (name,) = feature.path.step
            stats = feature.WhichOneof("stats")
            common = getattr(feature, stats).common_stats
            common.num_non_missing = counted["fields"].get(name, 0)
            common.num_missing = counted["clips"] - common.num_non_missing
            if name == features.key:
                for custom in ("nan", "infinite", "still", "broken"):
                    feature.custom_stats.add(name=custom, num=counted[custom])
    return proto
