"""Reading a dataset directory: deterministic, without Beam or PyAV.

<data_dir>/<name>/<version>/
<name>-train-00000-of-00010.tfrecord ...
info.json      what made it: arguments, versions, sources, counts
records.npy    place of each record, see `records`
features.json  fields of a record
schema.pbtxt, stats.pb   tensorflow-metadata protos
failures.jsonl a line per source that failed
README.md      dataset card
COMPLETED      written last
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib

import numpy as np
import tensorflow as tf

from video_repr.data import records
from video_repr.data.cut import Cut
from video_repr.data.info import read_features
from video_repr.data.info import read_info
from video_repr.data.shuffled import Shuffled
from video_repr.errors import InputError


@dataclasses.dataclass(frozen=True)
class ClipDataset:
    """A dataset directory.

    Example:
    >>> dataset = ClipDataset("data/films/1")
    >>> clips = dataset.clips("train", clip_length=29, batch=16, shuffle=True)
    >>> model.fit(clips, epochs=10)

    Attributes:
        path: the directory.

    Raises:
        InputError: if it is missing, not complete, or damaged.
    """

    path: pathlib.Path

    def __post_init__(self):
        path = pathlib.Path(self.path)
        object.__setattr__(self, "path", path)
        if not path.is_dir():
            raise InputError(
                f"Expected a dataset directory of this machine. Received: "
                f"{str(self.path)!r}, which does not exist"
            )
        if not (path / "COMPLETED").is_file():
            raise InputError(
                "Expected a dataset that was written to its end. Received: "
                f"{str(path)!r} without its file COMPLETED"
            )
        for shard in self.info["shards"]:
            file = path / shard["name"]
            size = os.path.getsize(file) if os.path.isfile(file) else None
            if size != shard["bytes"]:
                raise InputError(
                    f"Expected {file} of {shard['bytes']} bytes. Received: "
                    + ("none" if size is None else f"{size} bytes")
                )

    @functools.cached_property
    def info(self):
        """The content of info.json."""
        return read_info(self.path)

    @functools.cached_property
    def features(self):
        """The fields of a record, `features.Features`."""
        return read_features(self.path)

    @property
    def labels(self):
        """Names of the classes in the order of their indices."""
        return self.features.labels

    @functools.cached_property
    def fingerprint(self):
        """SHA-256 of the records and of their features.

        It does not depend on names: a copy of the dataset has the same.
        """
        return fingerprint(self.info, self.features)

    @functools.cached_property
    def contents(self):
        """Checksums of the content of the sources, a dict by their names.

        "file " and the SHA-256 of the source's file, or "values " and that of
        its values; None if neither is recorded.
        """
        kinds = {"sha256": "file", "values_sha256": "values"}
        return {
            source["media_id"]: next(
                (
                    f"{kind} {source[key]}"
                    for key, kind in kinds.items()
                    if key in source
                ),
                None,
            )
            for source in self.info["sources"]
        }

    @functools.cached_property
    def records(self):
        """The content of records.npy, see `records`."""
        return records.find_records(
            self.path, self.info["shards"], self.fingerprint
        )

    def examples(self, split, *, shuffle=False, seed=0):
        """The records of a split, whole and one by one.

        Args:
            split: "train", "validation" or "test".
            shuffle: whether to shuffle them, anew for every epoch.
            seed: random seed of the order.

        Returns:
            A `tf.data.Dataset` of dicts as `Features.parse` returns.

        Raises:
            InputError: if the dataset has no such split.
            tf.errors.InvalidArgumentError: during reading, if the checksum of a
                file is wrong; it names the file.
        """
        self.split(split)
        if shuffle:
            return Shuffled.of(self, split, np.ones_like, seed).examples()
        shards = [s for s in self.info["shards"] if s["split"] == split]
        names = tf.data.Dataset.from_tensor_slices(
            [str(self.path / s["name"]) for s in shards]
        )
        sums = {str(self.path / s["name"]): s["sha256"] for s in shards}

        def read(name):
            checked = tf.numpy_function(
                functools.partial(_check, sums), [name], tf.string
            )
            return tf.data.TFRecordDataset(tf.ensure_shape(checked, ()))

        return names.interleave(read, cycle_length=4).map(
            self.features.parse, tf.data.AUTOTUNE, deterministic=True
        )

    def clips(
        self,
        split,
        *,
        clip_length=None,
        stride=None,
        batch=None,
        shuffle=False,
        seed=0,
        labels=False,
        skip_shorter=False,
        pad=False,
        start=0,
    ):
        """Clips of one length, cut from the records of a split.

        Args:
            split: "train", "validation" or "test".
            clip_length: frames of a clip. When None, the length of the records
                if all have the same; with `pad`, that of the longest record.
            stride: frames between the starts of a record's clips;
                `clip_length` when None.
            batch: clips in a batch; None gives them one by one. With `shuffle`
                all batches are full, so that a training step is compiled once.
            shuffle: whether to shuffle the clips, anew for every epoch; each
                iteration over the result is an epoch. The order depends on
                the seed and on the number of the epoch.
            seed: random seed of the order.
            labels: whether to give pairs of clip and class index.
            skip_shorter: whether to leave out records that are shorter than
                `clip_length`, rather than raise an error.
            pad: whether to pad them instead: zeros follow their last frame,
                and each clip comes with its mask.
            start: number of clips to skip at the beginning of the shuffled
                epochs; it can be more than an epoch. They are not decoded.

        Returns:
            A `tf.data.Dataset` of `[clip_length, *frame_shape]`, or of
            `[batch, clip_length, *frame_shape]`: uint8 pixels or float32
            percepts. With `pad` it has dicts with those as "clips" and a
            "mask", bool `[(batch,) clip_length]`, true for frames of the video;
            `Encoder` and `ActionClassifier` read such dicts.

        Raises:
            InputError: if records are shorter than the clips, have no labels,
                or are too few for a full batch.
        """
        frames = self.split(split)["frames"]
        shortest, longest = frames["min"], frames["max"]
        if pad and skip_shorter:
            raise InputError(
                "Expected either pad or skip_shorter. Received: both"
            )
        if clip_length is None:
            clip_length = longest if pad else shortest
            if not pad and shortest != longest:
                raise InputError(
                    f"Expected a clip_length, for records of {self.path} have "
                    f"{shortest} to {longest} frames, or pad=True. Received: "
                    "None"
                )
        stride = stride or clip_length
        for name, value in (("clip_length", clip_length), ("stride", stride)):
            if value < 1:
                raise InputError(
                    f"Expected {name} of at least 1. Received: {value}"
                )
        if not pad and clip_length > (longest if skip_shorter else shortest):
            raise InputError(
                f"Expected a clip_length of at most {shortest}, the frames of "
                f"the shortest {split} record of {self.path}, of at most "
                f"{longest} with skip_shorter=True, or any with pad=True. "
                f"Received: {clip_length}"
            )
        if labels and not self.labels:
            raise InputError(
                f"Expected a dataset with labels. Received: {self.path}"
            )

        if start < 0 or (start and not shuffle):
            raise InputError(
                "Expected a start of at least 0, and of 0 without shuffle. "
                f"Received: {start}"
            )

        cut = Cut(clip_length, stride, self.features.frame_shape, pad)
        single = cut.count(shortest) == cut.count(longest) == 1
        if shuffle:
            shuffled = Shuffled.of(self, split, cut.count, seed, start)
            if batch is not None and len(shuffled) < batch:
                raise InputError(
                    f"Expected at least {batch} {split} clips for a batch of "
                    f"{self.path}. Received: {len(shuffled)}"
                )
        if shuffle and not single:
            clips = shuffled.windows(cut)
        else:
            examples = shuffled.examples() if shuffle else self.examples(split)
            clips = (
                examples.map(cut.first, tf.data.AUTOTUNE, deterministic=True)
                if single
                else examples.flat_map(cut.all)
            )
        if not labels:
            clips = clips.map(lambda clip, _: clip)
        if batch is not None:
            # Clips are copied into several batches at once.
            clips = clips.batch(
                batch,
                drop_remainder=shuffle,
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        return clips.prefetch(2)

    def split(self, split):
        """The statistics of a split in info.json: clips, frames, mean, std, ...

        Raises:
            InputError: if the dataset has no such split.
        """
        splits = self.info["splits"]
        if split not in splits:
            raise InputError(
                f"Expected one of the splits {', '.join(splits)} of "
                f"{self.path}. Received: {split!r}"
            )
        return splits[split]


def fingerprint(info, features):
    """SHA-256 of a dataset's records and of their features.

    Args:
        info: the content of info.json.
        features: `features.Features`.
    """
    shards = [[s["split"], s["sha256"]] for s in info["shards"]]
    return hashlib.sha256(
        json.dumps([features.to_dict(), shards], sort_keys=True).encode()
    ).hexdigest()


def _check(sums, name):
    path = pathlib.Path(name.decode())
    records.check(path, sums[str(path)])
    return np.array(name, object)
