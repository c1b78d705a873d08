"""Resolver: finds the last blessed encoder."""

import json
import pathlib

from pipelines.training.artifacts import component_events
from pipelines.training.artifacts import send_event
from video_repr.export import layout
from video_repr.files import sha256


def run(model, saved_models, name):
    """The last blessed encoder and its fingerprint, as JSON."""
    with component_events("Resolver"):
        found = last_blessed(saved_models, name, model.metadata["fingerprint"])
        blessed = {}
        if found is not None:
            blessed = {
                "path": str(found),
                "fingerprint": sha256(found / "SHA256SUMS"),
            }
            print(f"Blessed last: {found}")
        send_event("Resolver", "finished", uri=blessed.get("path"))
        return json.dumps(blessed)


def last_blessed(saved_models, name, model):
    """The newest blessed encoder, before the export of this model if any.

    Args:
        saved_models: directory of exports, NAME/VERSION below it.
        name: name of the encoder.
        model: fingerprint of the model.

    Returns:
        Its directory, or None.
    """
    found = None
    for directory in layout.versions_of(pathlib.Path(saved_models) / name):
        of = model_fingerprint(directory)
        if of == model:
            break
        if of is not None:
            # Encoders without a fingerprint were exported by hand.
            found = directory
    return found


def model_fingerprint(directory):
    """Fingerprint of the model that an export was made from, or None."""
    about = layout.check(directory)
    return about.get("pipeline", {}).get("model")
