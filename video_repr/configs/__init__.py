"""Configurations by name.

Every configuration is a function of `moving_mnist` or `percepts` whose
docstring says how to run it and what to expect; its name on the command line
has hyphens.
"""

from video_repr.configs import moving_mnist
from video_repr.configs import percepts
from video_repr.configs.config import Config
from video_repr.configs.config import DataConfig
from video_repr.configs.config import DatasetConfig
from video_repr.configs.config import DatasetRun
from video_repr.configs.config import ModelConfig
from video_repr.configs.config import TrainingConfig
from video_repr.configs.config import from_dict
from video_repr.errors import InputError

__all__ = [
    "Config",
    "DataConfig",
    "DatasetConfig",
    "DatasetRun",
    "ModelConfig",
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
