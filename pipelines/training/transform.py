"""Transform: how frames are scaled."""

import dataclasses
import pathlib

from pipelines.training.readers import read_statistics
from video_repr.configs.frames import Frames
from video_repr.files import read_json
from video_repr.files import write_json

_TRANSFORM = "transform.json"


def write_transform(statistics, folder, output):
    """Writes how frames are scaled, fitted on the train split alone.

    Args:
        statistics: folder of the statistics.
        folder: existing directory to write to, a `pathlib.Path`.
        output: the outputs of the decoders, see `configs.ModelConfig`.
    """
    told = read_statistics(statistics)
    train = told["splits"]["train"]
    frames = Frames.fitted(
        output,
        tuple(told["frame_shape"]),
        train["mean"],
        train["std"],
        # uint8 pixels are in [0, 1] when they are scaled.
        255 if len(told["frame_shape"]) > 1 else 1,
    )
    write_json(
        folder / _TRANSFORM,
        {
            "fitted_on": "train",
            "clips": train["clips"],
            **dataclasses.asdict(frames),
        },
    )


def read_transform(folder):
    """The `Frames` that `write_transform` wrote."""
    told = read_json(pathlib.Path(folder) / _TRANSFORM)

    def numbers(value):
        return tuple(value) if isinstance(value, list) else value

    return Frames(
        tuple(told["shape"]), numbers(told["offset"]), numbers(told["scale"])
    )
