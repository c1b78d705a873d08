"""From a run to an artefact for others."""

import pathlib
import sys

from video_repr import artefact
from video_repr.configs.data import data_of
from video_repr.errors import InputError
from video_repr.evaluation.export import evaluate_export
from video_repr.files import read_json
from video_repr.files import whole_directory
from video_repr.files import write_json
from video_repr.model_card import Terms
from video_repr.model_card import model_card
from video_repr.saved_model import write_encoder


def export_run(run, directory=None, terms=None, replace=True, **about):
    """Exports the encoder of a run's best checkpoint.

    The numbers of its card are measured on what is written, where it predicts
    the future and the data are there; otherwise they are the checkpoint's.

    Args:
        run: a `runs.Run`.
        directory: directory to write, .../NAME/VERSION; an export in it is
            replaced. saved_models/NAME/VERSION when None, the next version of
            the run's name.
        terms: `model_card.Terms`, or None.
        replace: whether an export in a given directory is replaced.
        **about: what else config.json is to say, JSON-ready.

    Returns:
        The directory.

    Raises:
        InputError: if the run cannot be read, or the directory is there and
            is no export.
    """
    if directory is None:
        directory = artefact.next_version(
            pathlib.Path("saved_models") / run.path.absolute().name
        )
        # That another may have written meanwhile.
        replace = False
    directory = pathlib.Path(directory)
    config, model = run.config(), run.model()
    updates = run.epochs(run.best) * config.training.steps_per_epoch
    # As it was built: the dataset may be gone.
    frame_shape = tuple(model.get_build_config()["input_shape"][2:])
    kind = artefact.EXPORT if replace else None
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
        (partial / artefact.CARD).write_text(
            model_card(name, about, metrics, terms or Terms())
        )
        artefact.seal(partial)
    return directory


def _introduce(config):
    try:
        return data_of(config).introduce()
    except InputError:
        # No longer there.
        data = config.data
        return getattr(data, "path", None) or f"digits from {data.digits!r}"


def _metrics(run, partial, model):
    if "future" in model.decoders:
        # To be measured it has to be whole.
        artefact.seal(partial)
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
