"""The data that a config names."""

import dataclasses

from video_repr.data import MovingMNIST
from video_repr.data import load_digits
from video_repr.data import read_sequences
from video_repr.errors import InputError

# Validation and test sequences are the same whatever the training seed, which
# is never negative: no two splits share their trajectories.
_HELD_OUT_SEEDS = {"validation": -1, "test": -2}
# Sequences whose mean is the mean-frame baseline.
_MEAN_OF_SEQUENCES = 2000


@dataclasses.dataclass(frozen=True)
class Data:
    """Moving MNIST for a config, from digits that are read once.

    Attributes:
        config: a `configs.Config` whose `data.digits` names the source that
            was found.
        digits: `data.Digits`.
    """

    config: "video_repr.configs.Config"  # noqa: F821
    digits: "video_repr.data.Digits"  # noqa: F821

    @classmethod
    def of(cls, config):
        """Finds the digits of a config; "auto" becomes what it found.

        Raises:
            InputError: if they cannot be had.
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
