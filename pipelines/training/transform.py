"""Transform: fits the scaling of frames."""

import dataclasses
import pathlib

from pipelines.training.artifacts import write_artifact
from pipelines.training.readers import read_statistics
from pipelines.training.settings import TrainerConfig
from pipelines.training.settings import read_settings
from video_repr.data.frame_scaling import FrameScaling
from video_repr.files import read_json
from video_repr.files import write_json

_TRANSFORM = "transform.json"


def run(statistics, trainer_settings, transform):
    """Fits the scaling of frames."""
    output = read_settings(trainer_settings, TrainerConfig).model.output
    with write_artifact(
        "Transform", transform, {"output": output}, {"statistics": statistics}
    ) as f:
        write_transform(statistics.path, f, output)


def write_transform(statistics, folder, output):
    """Writes the scaling of frames, fitted on the train split alone.

    Args:
        statistics: folder of the statistics.
        folder: existing directory to write to, a `pathlib.Path`.
        output: output of the decoders, see `configs.ModelConfig`.
    """
    found = read_statistics(statistics)
    train = found["splits"]["train"]
    frames = FrameScaling.fitted(
        output,
        tuple(found["frame_shape"]),
        train["mean"],
        train["std"],
        # uint8 pixels are in [0, 1] when they are scaled.
        255 if len(found["frame_shape"]) > 1 else 1,
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
    """The `FrameScaling` that `write_transform` wrote."""
    found = read_json(pathlib.Path(folder) / _TRANSFORM)

    def numbers(value):
        return tuple(value) if isinstance(value, list) else value

    return FrameScaling(
        tuple(found["shape"]), numbers(found["offset"]), numbers(found["scale"])
    )
