"""Configurations by name.

Every configuration is a function in `moving_mnist` or `percepts`. Its docstring
says how to run it and what to expect; on the command line its name has hyphens.
"""

from video_repr.configs import moving_mnist
from video_repr.configs import percepts
from video_repr.configs.config import ClipDatasetConfig
from video_repr.configs.config import Config
from video_repr.configs.config import ModelConfig
from video_repr.configs.config import MovingMNISTConfig
from video_repr.configs.config import TrainingConfig
from video_repr.configs.parse import from_dict
from video_repr.errors import InputError

__all__ = [
    "ClipDatasetConfig",
    "Config",
    "ModelConfig",
    "MovingMNISTConfig",
    "TrainingConfig",
    "from_dict",
    "load",
    "named",
]


def named():
    """The functions that make the configurations, by name."""
    return {
        make.__name__.replace("_", "-"): make
        for make in (*moving_mnist.CONFIGS, *percepts.CONFIGS)
    }


def load(name):
    """The configuration called `name`.

    Raises:
        InputError: if there is none.
    """
    configs = named()
    if name not in configs:
        raise InputError(
            f"Expected one of the configs {', '.join(configs)}. Received: "
            f"{name!r}"
        )
    return configs[name]()
