"""How dataclasses become flags of the command line."""

import tyro

# Fields of a nested dataclass as flags of their own, --rate for frames.rate.
FLAT = tyro.conf.arg(name="")


def named(name):
    """A field whose flag has another name."""
    return tyro.conf.arg(name=name)
