"""Evaluation of a run: evaluation.json and figures/."""

import dataclasses
import re

import numpy as np

from video_repr import visualization
from video_repr.data.run_data import load_data
from video_repr.errors import InputError
from video_repr.errors import need
from video_repr.evaluation.prediction import evaluate
from video_repr.files import Kind
from video_repr.files import contents
from video_repr.files import whole_directory
from video_repr.files import write_json
from video_repr.precision import in_precision

_CLIPS_IN_FIGURES = 4

_FIGURE = re.compile(r"errors\.png|strips-\d+\.png|prediction\.gif")


def _are_figures(directory):
    # Users may have put their own files beside them.
    return all(_FIGURE.fullmatch(path.name) for path in contents(directory))


FIGURES = Kind("an evaluation's figures", _are_figures)


def evaluate_run(run, test_file=None):
    """Evaluates the best checkpoint of a run on the test set.

    Writes `evaluation.json` and `figures/`.

    Args:
        run: a `runs.Run`.
        test_file: a published Moving MNIST test file to use instead of the
            config's test set.

    Returns:
        The content of `evaluation.json`.

    Raises:
        InputError: if the run or the test set cannot be read, the data have
            changed since the run began, or `figures/` has other files.
    """
    # The figures need it, after the evaluation.
    need("report", "matplotlib", "PIL")
    config = with_test_file(run.config(), test_file, run.path)
    model = run.model()
    data = load_data(config)
    run.check_data(data)
    clips = data.test()
    with (
        in_precision(config.training.precision),
        whole_directory(run.figures, FIGURES) as figures,
    ):
        evaluation = {
            **evaluate(model, clips, data.mean_frame()),
            "data": {**data.describe(), "sequences": len(clips)},
        }
        write_figures(figures, model, clips, evaluation)
    write_json(run.evaluation_file, evaluation)
    return evaluation


def with_test_file(config, test_file, path):
    """The config with another test file, if one is given.

    Args:
        config: a `configs.Config`.
        test_file: a published Moving MNIST test file, or None.
        path: path of the run or export, for messages.

    Raises:
        InputError: if it was not trained on Moving MNIST.
    """
    if test_file is None:
        return config
    if config.data.kind != "moving_mnist":
        raise InputError(
            "Expected a run on Moving MNIST for a test file of it. "
            f"Received: {path}, which learned from {config.data.path}"
        )
    data = dataclasses.replace(config.data, test_file=test_file)
    return dataclasses.replace(config, data=data)


def write_figures(directory, model, clips, evaluation):
    """Draws a model's predictions.

    Writes `errors.png` and, if clips are pictures, `strips-N.png` for the first
    ones and, with a future decoder, `prediction.gif`.

    Args:
        directory: existing directory to write to, a `pathlib.Path`.
        model: a `VideoSeq2Seq`.
        clips: `[clips, time, ...]`.
        evaluation: the result of `evaluate`.
    """
    if visualization.are_pictures(clips):
        _write_pictures(directory, model, clips[:_CLIPS_IN_FIGURES])
    branch = evaluation["baselines_of"]
    metric = next(
        m
        for m in ("bce_sum_per_frame", "half_sse_per_frame")
        if m in evaluation[branch]
    )
    curves = {
        "model": evaluation[branch],
        "last frame repeated": evaluation["baselines"]["last_frame"],
        "mean frame": evaluation["baselines"]["mean_frame"],
    }
    visualization.error_curves(
        {name: scores["per_step"][metric] for name, scores in curves.items()},
        metric,
        title=f"{branch}, {evaluation['data']['sequences']:,} test sequences",
    ).savefig(directory / "errors.png")


def _write_pictures(directory, model, clips):
    n = model.input_frames
    frames = {
        branch: np.clip(found, 0, 1)
        for branch, found in model.predict(clips, verbose=0).items()
    }
    for i, clip in enumerate(clips):
        blocks = [{"input": clip[:n]}]
        if "reconstruction" in frames:
            blocks[0]["reconstruction"] = frames["reconstruction"][i]
        if "future" in frames:
            truth = clip[n : n + model.future_frames]
            blocks.append({"truth": truth, "prediction": frames["future"][i]})
        visualization.strips(*blocks).savefig(directory / f"strips-{i + 1}.png")
    if "future" in frames:
        visualization.write_gif(
            directory / "prediction.gif",
            {
                "truth": clips,
                "model": np.concatenate(
                    [clips[:, :n] / 255, frames["future"]], axis=1
                ),
            },
            visualization.input_and_future(n, model.future_frames),
        )
