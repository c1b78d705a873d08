"""How the values of frames are scaled before a model reads them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class FrameScaling:
    """The shape of frames, and how their values are scaled.

    Attributes:
        shape: shape of a frame.
        offset: number that the encoder subtracts from values, see `Encoder`.
        scale: number that it then multiplies them by.
    """

    shape: tuple[int, ...]
    offset: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0

    @classmethod
    def fitted(cls, output, shape, mean, std, unit=1):
        """The scaling for values of a known mean and standard deviation.

        Args:
            output: output of the decoders, see `configs.ModelConfig`.
            shape: shape of a frame.
            mean: mean of the values of each channel, or of all.
            std: their standard deviations, above 0.
            unit: value that the encoder reads as 1: 255 for uint8 pixels.
        """
        if output == "logistic":
            return cls(shape)
        offset = tuple(value / unit for value in mean)
        if output == "rectified":
            # Values that are not negative stay so.
            offset = (0.0,) * len(offset)
        return cls(shape, offset, tuple(unit / value for value in std))
