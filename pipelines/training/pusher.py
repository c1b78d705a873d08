"""Pusher: a blessed model to where encoders are taken from."""

import pathlib

from pipelines.training.readers import read_blessing
from pipelines.training.resolver import made_of_model
from video_repr import artefact
from video_repr.runs import Run


def push(model, fingerprint, blessing, saved_models, name, terms, lineage):
    """Exports a blessed model to the next version, unless it is there.

    Args:
        model: run directory.
        fingerprint: the model's.
        blessing: folder of what the Evaluator found.
        saved_models: directory of exports, NAME/VERSION below it.
        name: of the encoder.
        terms: `model_card.Terms`.
        lineage: JSON-ready, for config.json.

    Returns:
        The export's directory; None where the model is not blessed.
    """
    if not read_blessing(blessing)["blessed"]:
        print("Not pushed: the model is not blessed.")
        return None
    home = pathlib.Path(saved_models) / name
    for directory in artefact.versions_of(home):
        if made_of_model(directory) == fingerprint:
            print(f"{directory} is this model already.")
            return directory
    from video_repr.export import export_run

    directory = export_run(
        Run(pathlib.Path(model)),
        artefact.next_version(home),
        terms,
        replace=False,
        pipeline={**lineage, "model": fingerprint},
    )
    print(f"{directory} written.")
    return directory
