"""The data that a run learns from and is tested on."""

import dataclasses
import functools
import itertools

import numpy as np
import tensorflow as tf

from video_repr.configs.config import Config
from video_repr.data.dataset import ClipDataset
from video_repr.data.digits import Digits
from video_repr.data.digits import load_digits
from video_repr.data.frame_scaling import FrameScaling
from video_repr.data.moving_mnist import MovingMNIST
from video_repr.data.moving_mnist import read_sequences
from video_repr.errors import InputError

# Validation and test sequences do not depend on the training seed. Theirs are
# negative and training's never is, so no two splits share trajectories.
_HELD_OUT_SEEDS = {"validation": -1, "test": -2}
# Sequences whose mean is the mean-frame baseline.
_MEAN_OF_SEQUENCES = 2000


def load_data(config):
    """The data of a config: `MovingMNISTData` or `ClipDatasetData`.

    Raises:
        InputError: if they cannot be loaded.
    """
    return _KINDS[config.data.kind].of(config)


def frame_scaling(config):
    """The `FrameScaling` of a config's data.

    Raises:
        InputError: if its dataset cannot be read.
    """
    if config.data.kind == "moving_mnist":
        return FrameScaling((config.data.frame_size,) * 2)
    dataset = ClipDataset(config.data.path)
    shape = dataset.features.frame_shape
    if config.model.output == "logistic":
        return FrameScaling(shape)
    train = dataset.split("train")
    if not all(train["std"]):
        raise InputError(
            f"Expected percepts that vary in {config.data.path}. Received: "
            "the same value in all training frames"
        )
    # uint8 pixels are in [0, 1] when they are scaled.
    unit = 255 if dataset.features.is_image else 1
    return FrameScaling.fitted(
        config.model.output, shape, train["mean"], train["std"], unit
    )


@dataclasses.dataclass(frozen=True)
class ClipDatasetData:
    """Clips of a dataset directory for a config.

    Attributes:
        config: a `configs.Config`.
        dataset: `data.ClipDataset`.
    """

    config: Config
    dataset: ClipDataset

    @classmethod
    def of(cls, config):
        """Opens the dataset of a config.

        Raises:
            InputError: if it cannot be read, or has no clips for validation.
        """
        dataset = ClipDataset(config.data.path)
        for split in ("train", "validation"):
            dataset.split(split)
        return cls(config, dataset)

    def train(self, batch_size, start=0):
        """Endless batches, a function of the seed.

        Args:
            batch_size: clips of a batch.
            start: number of clips to skip at the beginning.
        """
        clips = self._clips(
            "train",
            shuffle=True,
            seed=self.config.training.seed,
            start=start,
        )
        batches = clips.repeat().batch(
            batch_size,
            # It has no end, and XLA compiles for one size.
            drop_remainder=True,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return batches.prefetch(2)

    def validation(self):
        """`[clips, frames, ...]` of the validation split."""
        return self._some("validation", self.config.data.validation_clips)

    def test(self):
        """`[clips, frames, ...]` to report numbers on."""
        return self._some(self._tested, self.config.data.test_clips)

    @property
    def labels(self):
        """Names of the classes in the order of their indices, if any."""
        return self.dataset.labels

    def test_labels(self):
        """Index of the class of each of `test`'s clips, `[clips]`."""
        pairs = self._windows(self._tested, labels=True)
        labels = pairs.map(lambda _, label: label).as_numpy_iterator()
        return np.array(
            list(itertools.islice(labels, self.config.data.test_clips))
        )

    def test_names(self, count):
        """The source of each of the first clips of `test`, in words."""
        names = (
            f"{example['id'].decode()}, frame {start + 1}"
            for example in self.dataset.examples(
                self._tested
            ).as_numpy_iterator()
            for start in range(
                0,
                len(example["clip"]) - self._window + 1,
                self.config.data.stride,
            )
        )
        return list(itertools.islice(names, count))

    def mean_frame(self):
        """The mean of training frames, of the shape of a frame."""
        clips = self._some("train", _MEAN_OF_SEQUENCES)
        scale = 255 if clips.dtype == np.uint8 else 1
        return clips.mean(axis=(0, 1)) / scale

    def describe(self):
        """A JSON-ready record of what the test numbers were measured on."""
        return {
            "name": self.dataset.info["name"],
            "path": str(self.dataset.path),
            "split": self._tested,
            "stride": self.config.data.stride,
            "input_frames": self.config.model.input_frames,
            "future_frames": self.config.model.future_frames,
        }

    def introduce(self):
        """The training data, in words."""
        clips = self.dataset.split("train")["clips"]
        frames = self._window
        short = sum(
            source["split"] == "train" and source["clip_frames"]["max"] < frames
            for source in self.dataset.info["sources"]
            if source["clips"]
        )
        return f"{clips:,} clips of {self.dataset.path}" + (
            f", {short:,} videos left out for less than {frames} frames"
            if short
            else ""
        )

    @property
    def fingerprint(self):
        """Identifies the data: the dataset's fingerprint."""
        return self.dataset.fingerprint

    @property
    def place(self):
        """The path of the dataset."""
        return self.config.data.path

    def videos(self):
        """The videos of the training and validation splits.

        Returns:
            For each split a dict from a video's name to its content, as in
            `ClipDataset.contents`.
        """
        contents = self.dataset.contents
        return {
            split: {
                name: contents[name]
                for name in sorted(
                    source["media_id"]
                    for source in self.dataset.info["sources"]
                    if source["split"] == split and source["clips"]
                )
            }
            for split in ("train", "validation")
        }

    @property
    def _tested(self):
        splits = self.dataset.info["splits"]
        return "test" if "test" in splits else "validation"

    @property
    def _window(self):
        frames = self.config.model.clip_frames
        return max(frames, self.config.data.window or frames)

    def _clips(self, split, **options):
        frames = self.config.model.clip_frames
        windows = self._windows(split, **options)
        if frames == self._window:
            return windows
        return windows.map(lambda window: window[:frames])

    def _windows(self, split, **options):
        return self.dataset.clips(
            split,
            clip_length=self._window,
            stride=self.config.data.stride,
            skip_shorter=self.config.data.skip_shorter,
            **options,
        )

    def _some(self, split, count):
        clips = self._clips(split).as_numpy_iterator()
        return np.stack(list(itertools.islice(clips, count)))


@dataclasses.dataclass(frozen=True)
class MovingMNISTData:
    """Moving MNIST for a config, from digits that are read once.

    Attributes:
        config: a `configs.Config` whose `data.digits` is the source that was
            used.
        digits: `data.Digits`.
    """

    config: Config
    digits: Digits

    @classmethod
    def of(cls, config):
        """Loads the digits of a config; "auto" becomes the source used.

        Raises:
            InputError: if they cannot be loaded.
        """
        digits = load_digits(config.data.digits)
        found = dataclasses.replace(config.data, digits=digits.source)
        return cls(dataclasses.replace(config, data=found), digits)

    def sequences(self, split):
        """The endless sequences of "train", "validation" or "test" digits."""
        config = self.config
        return MovingMNIST(
            getattr(self.digits, split),
            seed=_HELD_OUT_SEEDS.get(split, config.training.seed),
            digits=config.data.digits_per_sequence,
            frames=config.model.clip_frames,
            size=config.data.frame_size,
            speed=config.data.speed,
        )

    def train(self, batch_size, start=0):
        """Endless batches, a function of the seed.

        With a GPU the training step makes them there.

        Args:
            batch_size: sequences of a batch.
            start: number of sequences to skip at the beginning.
        """
        sequences = self._train_sequences
        if tf.config.get_visible_devices("GPU"):
            return sequences.on_device(batch_size, start=start)
        return sequences.dataset(batch_size, start=start)

    @functools.cached_property
    def _train_sequences(self):
        return self.sequences("train")

    @property
    def fingerprint(self):
        """Identifies the data: the SHA-256 of the glyphs."""
        return self.digits.describe()["sha256"]

    @property
    def place(self):
        """The source of the glyphs."""
        return self.digits.source

    def videos(self):
        """An empty dict: there are no videos."""
        return {}

    def introduce(self):
        """What is trained on, in words."""
        return (
            f"sequences of {len(self.digits.train):,} digits from "
            f"{self.digits.source!r}"
        )

    def validation(self):
        """uint8 `[sequences, frames, size, size]` of validation digits."""
        count = self.config.data.validation_sequences
        return self.sequences("validation").sequences(range(count))

    def test(self):
        """uint8 `[sequences, frames, size, size]` to report numbers on.

        Raises:
            InputError: if the config's test file cannot be used.
        """
        config, count = self.config, self.config.data.test_sequences
        if config.data.test_file is None:
            return self.sequences("test").sequences(range(count))
        clips = read_sequences(config.data.test_file)
        frames, size = config.model.clip_frames, config.data.frame_size
        if clips.shape[1] < frames or clips.shape[2:] != (size, size):
            raise InputError(
                f"Expected sequences of {frames} frames of {size} x {size} "
                f"px. Received: shape {clips.shape} in "
                f"{config.data.test_file}"
            )
        return clips[:, :frames]

    def mean_frame(self):
        """The per-pixel mean of training sequences, `[size, size]`."""
        sequences = self.sequences("train").sequences(range(_MEAN_OF_SEQUENCES))
        return sequences.mean(axis=(0, 1)) / 255

    def describe(self):
        """A JSON-ready record of what the test numbers were measured on."""
        data = self.config.data
        return {
            "name": "Moving MNIST",
            "digits": self.digits.describe(),
            "digits_per_sequence": data.digits_per_sequence,
            "speed": data.speed,
            "test": data.test_file or "made from the test digits",
            "test_seed": None if data.test_file else _HELD_OUT_SEEDS["test"],
            "input_frames": self.config.model.input_frames,
            "future_frames": self.config.model.future_frames,
        }


_KINDS = {
    "clip_dataset": ClipDatasetData,
    "moving_mnist": MovingMNISTData,
}
