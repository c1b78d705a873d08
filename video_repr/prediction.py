"""Predicting the future of one clip from a file."""

import numpy as np

from video_repr import visualization
from video_repr.data import read_clip
from video_repr.errors import InputError
from video_repr.files import whole_file
from video_repr.inputs import check_clips
from video_repr.precision import in_precision

OUTPUTS = (".gif", ".npy")


def predict_clip(run, source, output, steps=None):
    """Reads a clip, predicts its future with a run's model, and writes it.

    The model reads the last `input_frames` frames of the clip. Films and GIFs
    are read as grey frames, scaled and cropped to the frame size of the run's
    data. A convolutional model reads arrays of any size that its patch divides.

    Args:
        run: a `runs.Run`.
        source: path of an .npy array, a .gif or a film.
        output: path to write: .npy, the predicted frames `[steps, height,
            width]`, float32 in [0, 1]; or .gif, the input followed by the
            prediction.
        steps: number of frames to predict; None for the run's future_frames.

    Raises:
        InputError: if the run or the clip cannot be used.
    """
    if output.suffix.lower() not in OUTPUTS:
        raise InputError(
            f"Expected an output of {' or '.join(OUTPUTS)}. Received: "
            f"{str(output)!r}"
        )
    if output.is_dir():
        raise InputError(
            f"Expected a file to write. Received: {str(output)!r}, a directory"
        )
    if not output.absolute().parent.is_dir():
        raise InputError(
            f"Expected an existing directory for {str(output)!r}. Received: "
            f"{str(output.parent)!r}, which does not exist"
        )
    config = run.config()
    if config.model.future == "none":
        raise InputError(
            "Expected a run with a future decoder. Received: "
            f"{str(run.path)!r}, an autoencoder"
        )
    steps = config.model.future_frames if steps is None else steps
    if steps < 1:
        raise InputError(f"Expected at least 1 step. Received: {steps}")
    if config.data.kind != "moving_mnist":
        raise InputError(
            "Expected a run on Moving MNIST to predict films with. Received: "
            f"{str(run.path)!r}, which learned from {config.data.path}"
        )
    size = config.data.frame_size
    clip = read_clip(source, size=size, last=config.model.input_frames)
    if clip.ndim == 4 and clip.shape[-1] == 1:
        clip = clip[..., 0]
    patch = config.model.patch
    if patch is None:
        sides = f"[time, {size}, {size}]"
        fits = clip.shape[1:] == (size, size)
    else:
        sides = f"[time, height, width] that patches of {patch} px divide"
        fits = not np.any(np.mod(clip.shape[1:], patch))
    if clip.ndim != 3 or not fits:
        raise InputError(
            f"Expected a clip of shape {sides}, or a .gif or film, which is "
            f"scaled. Received: shape {clip.shape} in {source}"
        )
    check_clips(clip[None], min_frames=config.model.input_frames)
    clip = clip[-config.model.input_frames :]
    with in_precision(config.training.precision):
        future = run.model().predict_future(clip[None], steps)[0]
    if output.suffix.lower() == ".npy":
        with whole_file(output) as partial, partial.open("wb") as file:
            np.save(file, future)
        return
    if clip.dtype == np.uint8:
        clip = clip / 255
    shown = np.concatenate([clip, future])
    visualization.write_gif(
        output,
        {"": shown[None]},
        visualization.input_and_future(len(clip), steps),
    )
