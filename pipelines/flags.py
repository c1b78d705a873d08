"""How dataclasses become flags of the command line."""

import tyro

# Makes fields of a nested dataclass top-level flags: --rate for frames.rate.
FLAT = tyro.conf.arg(name="")


def named(name):
    """A field whose flag has another name."""
    return tyro.conf.arg(name=name)
