"""Watches a film or a camera, and says which clips it moves like.

    python examples/watch.py --encoder saved_models/moving_mnist/1 --watch 0 \
        --references wave.mp4 walk.mp4

reads camera 0, or a film, frame by frame with the encoder's signature `step`,
begins anew every so many frames as it was trained on, and prints then how far
the state is from those of the references: 1 - cosine similarity.
"""

import argparse
import json
import pathlib

import cv2
import numpy as np
import tensorflow as tf


def frames_of(source, shape):
    """Yields float32 frames `[1, *shape]` in [0, 1] of a film or a camera."""
    video = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not video.isOpened():
        raise SystemExit(f"Expected a film or a camera. Received: {source}")
    height, width, *channels = shape
    while True:
        there, image = video.read()
        if not there:
            return
        # The centre that has the shape of a frame.
        rows, columns = image.shape[:2]
        side = min(rows / height, columns / width)
        top, left = (
            int(rows - side * height) // 2,
            int(columns - side * width) // 2,
        )
        image = image[
            top : top + int(side * height), left : left + int(side * width)
        ]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        code = cv2.COLOR_BGR2RGB if channels else cv2.COLOR_BGR2GRAY
        yield cv2.cvtColor(image, code)[None].astype(np.float32) / 255


def states_of(encoder, frames, length):
    """Yields the encoder's last h after every `length` frames."""
    begin, step = encoder.signatures["states"], encoder.signatures["step"]
    states = {}
    for number, frame in enumerate(frames, start=1):
        # The first frame begins from zeros, of whatever shape the states are.
        states = (
            step(frame=tf.constant(frame), **states)
            if states
            else begin(clips=tf.constant(frame[:, None]))
        )
        if number % length == 0:
            # Maps as a vector too.
            yield states[f"h_{len(states) // 2}"].numpy().ravel()
            states = {}


def main():
    """Prints a line for every clip that was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--encoder", required=True, help="folder of an exported encoder"
    )
    parser.add_argument(
        "--watch", required=True, help="a film, or the number of a camera: 0"
    )
    parser.add_argument(
        "--references",
        nargs="+",
        required=True,
        help="films that what is seen is compared with, by their beginnings",
    )
    options = parser.parse_args()
    path = pathlib.Path(options.encoder)
    try:
        about = json.loads((path / "config.json").read_text())["encoder"]
        encoder = tf.saved_model.load(str(path))
    except Exception as error:
        # TensorFlow has many types for what a broken SavedModel raises.
        raise SystemExit(
            f"Expected an exported encoder. Received: {path}: {error}"
        ) from error
    shape, length = about["frame_shape"], about["input_frames"]
    if len(shape) < 2:
        raise SystemExit(
            f"Expected an encoder of pictures. Received: {path}, of percepts"
        )
    references = {}
    for film in options.references:
        state = next(states_of(encoder, frames_of(film, shape), length), None)
        if state is None:
            raise SystemExit(
                f"Expected films of at least {length} frames. Received: {film}"
            )
        references[film] = state
    watched = frames_of(options.watch, shape)
    for clip, seen in enumerate(states_of(encoder, watched, length)):
        distances = {
            # Rounded, the distance to itself may be below zero.
            film: max(
                0.0,
                1 - state @ seen / np.linalg.norm(state) / np.linalg.norm(seen),
            )
            for film, state in references.items()
        }
        nearest = min(distances, key=distances.get)
        print(
            f"frames {clip * length + 1} to {(clip + 1) * length}: "
            + "  ".join(f"{f} {d:.3f}" for f, d in distances.items())
            + f"  nearest {nearest}",
            flush=True,
        )


if __name__ == "__main__":
    main()
