"""What a model has to know of the frames of its data."""

import dataclasses

from video_repr.configs.config import DatasetConfig
from video_repr.errors import InputError


@dataclasses.dataclass(frozen=True)
class Frames:
    """What a model has to know of frames.

    Attributes:
        shape: of a frame.
        offset: what the encoder takes from their values, see `Encoder`.
        scale: what it multiplies them with then.
    """

    shape: tuple[int, ...]
    offset: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0

    @classmethod
    def of(cls, config):
        """The frames of a config's data.

        Raises:
            InputError: if its dataset cannot be read.
        """
        if not isinstance(config.data, DatasetConfig):
            return cls((config.data.frame_size,) * 2)
        from video_repr.data import ClipDataset

        dataset = ClipDataset(config.data.path)
        shape = dataset.features.frame_shape
        if config.model.output == "logistic":
            return cls(shape)
        train = dataset.split("train")
        if not all(train["std"]):
            raise InputError(
                f"Expected percepts that vary in {config.data.path}. Received: "
                "the same value in all training frames"
            )
        # uint8 pixels are in [0, 1] when they are scaled.
        unit = 255 if dataset.features.is_image else 1
        return cls.fitted(
            config.model.output, shape, train["mean"], train["std"], unit
        )

    @classmethod
    def fitted(cls, output, shape, mean, std, unit=1):
        """The frames of values of a known mean and standard deviation.

        Args:
            output: of the decoders, see `configs.ModelConfig`.
            shape: of a frame.
            mean: of the values of each channel, or of all.
            std: their standard deviations, above 0.
            unit: number of values that are 1 when the encoder reads them.
        """
        if output == "logistic":
            return cls(shape)
        offset = tuple(value / unit for value in mean)
        if output == "rectified":
            # What is not negative stays so.
            offset = (0.0,) * len(offset)
        return cls(shape, offset, tuple(unit / value for value in std))
