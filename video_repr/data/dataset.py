"""Reading a dataset directory: deterministic, without Beam or PyAV.

<data_dir>/<name>/<version>/
<name>-train-00000-of-00010.tfrecord ...
info.json      what made it: arguments, versions, sources, counts
records.npy    where the records are, see `records`
features.json  what a record holds
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
        InputError: if it is missing, not completed, or not whole.
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
        """What a record holds, `features.Features`."""
        return read_features(self.path)

    @property
    def labels(self):
        """Names of the classes in the order of their indices."""
        return self.features.labels

    @functools.cached_property
    def fingerprint(self):
        """SHA-256 of its records, and of what they are read as.

        Not of names: the same records elsewhere have the same.
        """
        return fingerprint(self.info, self.features)

    @functools.cached_property
    def contents(self):
        """What is known of its sources' content, a dict by their names.

        "file ..." or "values ...", SHA-256 of what they were read from or of
        what was read; None where nothing is known.
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
            shuffle: whether their order is drawn, anew for every epoch.
            seed: what it is drawn from.

        Returns:
            A `tf.data.Dataset` of dicts as `Features.parse` returns.

        Raises:
            InputError: if the dataset has no such split.
            tf.errors.InvalidArgumentError: while it is read, naming a file
                whose bytes are not those that were written.
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
            clip_length: frames of a clip; the records' own length, if they
                are equally long, when None. With `pad` None is the longest
                record's.
            stride: frames between the starts of a record's clips;
                `clip_length` when None.
            batch: clips in a batch; None gives them one by one. Batches are
                full when shuffled, so that a training step is compiled once.
            shuffle: whether their order is drawn, anew for every epoch: each
                time that the result is gone through is one. A function of
                the seed and of the number of the epoch.
            seed: what it is drawn from.
            labels: whether to give pairs of clip and class index.
            skip_shorter: whether records that are shorter than `clip_length`
                are left out rather than refused.
            pad: whether they are padded rather than refused: zeros follow
                their last frame, and each clip comes with its mask.
            start: number of clips of shuffled epochs, one after another, to
                leave out at the beginning. None of them is decoded.

        Returns:
            A `tf.data.Dataset` of `[clip_length, *frame_shape]`, or of
            `[batch, clip_length, *frame_shape]`: uint8 pixels or float32
            percepts. With `pad` of dicts of those as "clips" and of which
            frames are of the video as "mask", bool `[(batch,)
            clip_length]`, which `Encoder` and `ActionClassifier` read.

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
            clips = clips.batch(batch, drop_remainder=shuffle)
        return clips.prefetch(2)

    def split(self, split):
        """What info.json says of a split: clips, frames, mean, std, ...

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


def load(
    path,
    split,
    clip_length=None,
    stride=None,
    batch=None,
    shuffle=False,
    seed=0,
):
    """Clips of a dataset directory: `ClipDataset(path).clips(split, ...)`."""
    return ClipDataset(path).clips(
        split,
        clip_length=clip_length,
        stride=stride,
        batch=batch,
        shuffle=shuffle,
        seed=seed,
    )


def fingerprint(info, features):
    """SHA-256 of a dataset's records, and of what they are read as.

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
