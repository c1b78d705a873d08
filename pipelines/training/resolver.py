"""Resolver: the encoder that was blessed last."""

import pathlib

from video_repr import artefact


def last_blessed(saved_models, name, model):
    """The newest encoder that is not made of this model, nor newer than it.

    Args:
        saved_models: directory of exports, NAME/VERSION below it.
        name: of the encoder.
        model: fingerprint of the model.

    Returns:
        Its directory, or None.
    """
    found = None
    for directory in artefact.versions_of(pathlib.Path(saved_models) / name):
        of = made_of_model(directory)
        if of == model:
            break
        if of is not None:
            # Others were exported by hand, and not blessed.
            found = directory
    return found


def made_of_model(directory):
    """Fingerprint of the model that an export was made of, or None."""
    about = artefact.check(directory)
    return about.get("pipeline", {}).get("model")
