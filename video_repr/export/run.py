"""Exports the encoder of a run."""

import pathlib
import sys

from video_repr.data.run_data import load_data
from video_repr.errors import InputError
from video_repr.export import layout
from video_repr.export.card import Terms
from video_repr.export.card import model_card
from video_repr.export.evaluate import evaluate_export
from video_repr.export.saved_model import write_encoder
from video_repr.files import read_json
from video_repr.files import whole_directory
from video_repr.files import write_json


def export_run(run, directory=None, terms=None, replace=True, **about):
    """Exports the encoder of a run's best checkpoint.

    The metrics of its card are measured on the exported SavedModel, if it
    predicts the future and the data are there; otherwise they are those of the
    checkpoint.

    Args:
        run: a `runs.Run`.
        directory: directory to write, .../NAME/VERSION; an export in it is
            replaced. When None, the next version in saved_models/, under the
            run's name.
        terms: `export.Terms`, or None.
        replace: whether to replace an export in a given directory.
        **about: further entries for config.json, JSON-ready.

    Returns:
        The directory.

    Raises:
        InputError: if the run cannot be read, or the directory exists and is
            not an export.
    """
    if directory is None:
        directory = layout.next_version(
            pathlib.Path("saved_models") / run.path.absolute().name
        )
        # Another process may have written this version meanwhile.
        replace = False
    directory = pathlib.Path(directory)
    config, model = run.config(), run.model()
    updates = run.updates(run.best)
    # From the model, as the dataset may be gone.
    frame_shape = tuple(model.get_build_config()["input_shape"][2:])
    kind = layout.EXPORT if replace else None
    with whole_directory(directory, kind) as partial:
        write_encoder(
            model.encoder,
            partial,
            frame_shape,
            future=model.decoders.get("future"),
            input_frames=model.input_frames,
            # Percepts have no height and width.
            pixels=len(frame_shape) > 1,
            about={
                "run": config.to_dict(),
                "data": _introduce(config),
                "updates": updates,
                **about,
            },
        )
        if run.videos_file.exists():
            videos = read_json(run.videos_file)
            write_json(partial / "videos.json", videos)
        metrics = _metrics(run, partial, model)
        if metrics is not None:
            write_json(partial / "metrics.json", metrics)
        about = read_json(partial / "config.json")
        name = " ".join(directory.absolute().parts[-2:])
        (partial / layout.CARD).write_text(
            model_card(name, about, metrics, terms or Terms())
        )
        layout.seal(partial)
    return directory


def _introduce(config):
    try:
        return load_data(config).introduce()
    except InputError:
        # The data are no longer there.
        data = config.data
        if data.kind == "clip_dataset":
            return data.path
        return f"digits from {data.digits!r}"


def _metrics(run, partial, model):
    if "future" in model.decoders:
        # Measuring needs a complete export.
        layout.seal(partial)
        try:
            found = evaluate_export(partial)
        except InputError as error:
            print(f"Not measured on the export: {error}", file=sys.stderr)
        else:
            return {"measured_on": "the exported SavedModel", **found}
    if not run.evaluation_file.exists():
        return None
    return {
        "measured_on": "the run's checkpoint",
        **read_json(run.evaluation_file, dict),
    }
