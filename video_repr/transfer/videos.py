"""Labelled videos, and random subsets with few labels."""

import dataclasses

import numpy as np
import tensorflow as tf

from video_repr.data import ClipDataset
from video_repr.data.action_lists import check_groups
from video_repr.data.clips import block_starts
from video_repr.data.clips import hold
from video_repr.data.draw import rng_of
from video_repr.errors import InputError


@dataclasses.dataclass(frozen=True)
class Videos:
    """Labelled videos in memory.

    Attributes:
        frames: an array `[time, *frame_shape]` for each video.
        labels: class index of each video, int64.
        groups: group of each video.
        ids: names.
        classes: names of the classes.
        contents: checksums of their content, by their names; see
            `data.ClipDataset.contents`.
    """

    frames: tuple[np.ndarray, ...]
    labels: np.ndarray
    groups: tuple[str, ...]
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    contents: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.frames)

    @property
    def frame_shape(self):
        """Shape of a frame."""
        return self.frames[0].shape[1:]

    def take(self, indices):
        """The videos of some indices, in their order."""
        return dataclasses.replace(
            self,
            frames=tuple(self.frames[i] for i in indices),
            labels=self.labels[list(indices)],
            groups=tuple(self.groups[i] for i in indices),
            ids=tuple(self.ids[i] for i in indices),
        )

    def few(self, per_class, seed):
        """A random subset with `per_class` videos of each class.

        Subsets of one seed are nested: a larger one contains the smaller ones.

        Args:
            per_class: videos of each class, or "all".
            seed: random seed of the subset.

        Returns:
            `Videos`.

        Raises:
            InputError: if a class has fewer.
        """
        if per_class == "all":
            return self
        if per_class < 1:
            raise InputError(
                "Expected at least 1 labelled video of each class, or 'all'. "
                f"Received: {per_class}"
            )
        drawn = []
        for label, name in enumerate(self.classes):
            members = np.flatnonzero(self.labels == label)
            if len(members) < per_class:
                raise InputError(
                    f"Expected at least {per_class} videos of each class to "
                    f"draw. Received: {len(members)} of {name!r}"
                )
            drawn += list(rng_of(seed, name).permutation(members)[:per_class])
        return self.take(drawn)

    def blocks(self, length, stride):
        """The blocks of all videos, `[(video, first frame), ...]`.

        A video that is shorter than a block has one.
        """
        return [
            (number, start)
            for number, video in enumerate(self.frames)
            for start in block_starts(len(video), length, stride)
        ]

    def introduce(self, length, stride):
        """Numbers of videos, blocks and unused frames, in words."""
        blocks = self.blocks(length, stride)
        frames = sum(map(len, self.frames))
        read = {
            (number, frame)
            for number, start in blocks
            for frame in range(start, start + length)
            if frame < len(self.frames[number])
        }
        left = frames - len(read)
        return (
            f"{len(self):,} videos of {len(set(self.labels))} classes, "
            f"{len(blocks):,} blocks of {length} frames, one every {stride}; "
            f"{left:,} of {frames:,} frames are in none"
        )

    def cut(self, blocks, length):
        """Blocks as arrays.

        Args:
            blocks: some of the result of `blocks`.
            length: frames of a block; the last frame of a shorter video is
                repeated.

        Returns:
            `(clips, labels)`: `[blocks, length, *frame_shape]` and `[blocks]`.
        """
        clips = [
            hold(self.frames[number][start : start + length], length)
            for number, start in blocks
        ]
        return np.stack(clips), self.labels[[number for number, _ in blocks]]


def load_videos(dataset):
    """The videos of a dataset's splits.

    The records of a video are joined in the order of time. All videos are held
    in memory as float32, 16 kB for a frame of 4096 values; pixels are scaled to
    [0, 1].

    Args:
        dataset: path of a dataset directory with labels.

    Returns:
        A dict of `Videos` by split.

    Raises:
        InputError: if it has no labels, less than 2 classes, a class without a
            training video, several crops of a video, or a group in several
            splits.
    """
    dataset = ClipDataset(dataset)
    if not dataset.labels:
        raise InputError(
            f"Expected a dataset with labels. Received: {dataset.path}"
        )
    if len(dataset.labels) < 2:
        raise InputError(
            "Expected at least 2 classes. Received: "
            f"{len(dataset.labels)} in {dataset.path}"
        )
    lost = sum(not source["clips"] for source in dataset.info["sources"])
    if lost:
        print(
            f"{dataset.path}: {lost:,} of "
            f"{len(dataset.info['sources']):,} videos gave no clip and are not "
            "counted; failures.jsonl says why.",
            flush=True,
        )
    try:
        found = {
            split: _videos(dataset, split) for split in dataset.info["splits"]
        }
    except tf.errors.OpError as error:
        raise InputError(
            f"Expected a dataset as it was written. Received: {dataset.path}: "
            f"{error.message}"
        ) from error
    check_splits(found)
    missing = set(range(len(dataset.labels))) - set(found["train"].labels)
    if missing:
        names = ", ".join(dataset.labels[i] for i in sorted(missing))
        raise InputError(
            "Expected videos of each class to train on. Received: none of "
            f"{names} in {dataset.path}"
        )
    return found


def _videos(dataset, split):
    records = {}
    for example in dataset.examples(split).as_numpy_iterator():
        records.setdefault(example["media_id"].decode(), []).append(example)
    ids = sorted(records)
    frames, labels, groups = [], [], []
    unit = 255 if dataset.features.is_image else 1
    for name in ids:
        # Popped, so that memory holds each video once.
        parts = sorted(records.pop(name), key=lambda e: (e["start"], e["id"]))
        if len({part["start"] for part in parts}) < len(parts):
            raise InputError(
                "Expected each part of a video once. Received: clips of "
                f"{name!r} that begin at one time, as of several crops, in "
                f"{dataset.path}"
            )
        clip = np.concatenate([part["clip"] for part in parts])
        clip = clip.astype(np.float32)
        frames.append(clip / unit if unit != 1 else clip)
        labels.append(int(parts[0]["label"]))
        groups.append(parts[0]["group"].decode())
    return Videos(
        tuple(frames),
        np.array(labels),
        tuple(groups),
        tuple(ids),
        tuple(dataset.labels),
        {name: dataset.contents[name] for name in ids},
    )


@dataclasses.dataclass(frozen=True)
class _Member:
    group: str
    split: str


def check_splits(splits):
    """Checks that splits share no group, and no video under any name.

    Args:
        splits: a dict of `Videos` by split.

    Raises:
        InputError: naming the group or the videos, if they do.
    """
    check_groups(
        _Member(group, split)
        for split, videos in splits.items()
        for group in (*videos.groups, *(f"video {v}" for v in videos.ids))
    )
    first = {}
    for split, videos in splits.items():
        for name, content in videos.contents.items():
            of, other = first.setdefault(content, (split, name))
            if content and of != split:
                raise InputError(
                    f"Expected each video in one split. Received: {other!r} in "
                    f"{of} and {name!r} in {split}, of the same content"
                )
