"""Pusher: exports a blessed model to `saved_models`."""

import pathlib

from pipelines.training.artifacts import write_artifact
from pipelines.training.readers import read_blessing
from pipelines.training.resolver import model_fingerprint
from pipelines.training.settings import read_settings
from video_repr.export import layout
from video_repr.export.card import Terms
from video_repr.files import write_json
from video_repr.runs import Run


def run(model, evaluation, examples, saved_models, name, terms, pushed):
    """Exports a blessed model to `saved_models`."""
    inputs = {"model": model, "evaluation": evaluation}
    with write_artifact(
        "Pusher", pushed, {"saved_models": saved_models, "name": name}, inputs
    ) as f:
        lineage = {
            "examples": examples.metadata["fingerprint"],
            "evaluation": evaluation.metadata["fingerprint"],
        }
        directory = push(
            model.path,
            model.metadata["fingerprint"],
            evaluation.path,
            saved_models,
            name,
            read_settings(terms, Terms),
            lineage,
        )
        write_json(f / "pushed.json", {"pushed": directory and str(directory)})


def push(model, fingerprint, blessing, saved_models, name, terms, lineage):
    """Exports a blessed model as the next version, unless it is there already.

    Args:
        model: run directory.
        fingerprint: fingerprint of the model.
        blessing: folder that the Evaluator wrote.
        saved_models: directory of exports, NAME/VERSION below it.
        name: name of the encoder.
        terms: `export.Terms`.
        lineage: entries for config.json, JSON-ready.

    Returns:
        The export's directory; None if the model is not blessed.
    """
    if not read_blessing(blessing)["blessed"]:
        print("Not pushed: the model is not blessed.")
        return None
    home = pathlib.Path(saved_models) / name
    for directory in layout.versions_of(home):
        if model_fingerprint(directory) == fingerprint:
            print(f"{directory} is this model already.")
            return directory
    from video_repr.export.run import export_run

    directory = export_run(
        Run(pathlib.Path(model)),
        layout.next_version(home),
        terms,
        replace=False,
        pipeline={**lineage, "model": fingerprint},
    )
    print(f"{directory} written.")
    return directory
