"""What the state knows: maps of states, and linear readouts."""

import numpy as np

from video_repr import visualization
from video_repr.data import MovingMNIST
from video_repr.evaluation import readout as readouts
from video_repr.report.page import Table
from video_repr.report.page import figure

_READ_TRAIN, _READ_TEST = 1500, 500
_MAP = "A map of {} by the first two principal components of their states, {}"


def representation(subject):
    """Maps of states; for Moving MNIST also linear readouts."""
    if subject.on_mnist:
        return _of_digits(subject)
    n = subject.model.input_frames
    states = readouts.states_of(subject.encoder, subject.clips[:, :n])
    frames = subject.clips[:, :n].astype(np.float32)
    motion = np.abs(np.diff(frames, axis=1))
    motion = motion.reshape(len(frames), -1).mean(axis=1)
    maps = visualization.map_states(states)
    coloured = "coloured by the mean change between frames"
    blocks = [
        figure(
            visualization.state_map(maps, motion, "mean change between frames"),
            _MAP.format("test clips", f"{coloured}."),
            f"States of {len(states)} test clips, {coloured}.",
        )
    ]
    if subject.data.labels:
        blocks.append(
            figure(
                visualization.state_map(
                    maps,
                    subject.data.test_labels()[: len(states)],
                    "class",
                    names=subject.data.labels,
                ),
                _MAP.format("test clips", "coloured by their classes."),
                "The same states, coloured by the clips' classes, which were "
                "not used in training.",
            )
        )
    return blocks


def _of_digits(subject):
    train = _one_digit(subject, "train", _READ_TRAIN, seed=-4)
    test = _one_digit(subject, "test", _READ_TEST, seed=-5)
    states = {
        name: [
            readouts.states_of(encoder, split["clips"])
            for split in (train, test)
        ]
        for name, encoder in (
            ("this encoder", subject.encoder),
            ("random weights, as it began", subject.untrained.encoder),
        )
    }
    columns = {
        "position, R^2": ("position", readouts.readout, "{:.3f}"),
        "velocity, R^2": ("velocity", readouts.readout, "{:.3f}"),
        "digit, accuracy": ("digit", readouts.readout_classes, "{:.1%}"),
    }
    if train["digit"] is None:
        del columns["digit, accuracy"]
    rows = [
        (
            name,
            *(
                form.format(read(*of, train[target], test[target]))
                for target, read, form in columns.values()
            ),
        )
        for name, of in states.items()
    ]
    cells = ""
    if subject.config.model.patch is not None:
        side = readouts.CELLS
        cells = f", its maps averaged over {side} x {side} cells"
    velocity = test["velocity"]
    maps = visualization.map_states(states["this encoder"][1])
    blocks = [
        Table(
            ("", *columns),
            tuple(rows),
            f"A linear readout of the state after {subject.model.input_frames} "
            f"frames of one digit, at its end{cells}: fitted on "
            f"{_READ_TRAIN:,} sequences of training digits, measured on "
            f"{_READ_TEST} of test digits.",
        )
    ]
    colours = {
        "direction of motion, degrees, 0 to the right, 90 downwards": {
            "colors": np.degrees(np.arctan2(velocity[:, 0], velocity[:, 1])),
            "cyclic": True,
        },
        "speed, px/frame": {"colors": np.linalg.norm(velocity, axis=1)},
        "digit": {"colors": test["digit"], "names": tuple(map(str, range(10)))},
    }
    if np.ptp(colours["speed, px/frame"]["colors"]) < 1e-3:
        # All have the same speed.
        del colours["speed, px/frame"]
    if test["digit"] is None:
        del colours["digit"]
    for label, options in colours.items():
        of = label.partition(",")[0]
        blocks.append(
            figure(
                visualization.state_map(maps, label=label, **options),
                _MAP.format("sequences", f"coloured by {of}."),
                f"States of {_READ_TEST} sequences of one digit, coloured by "
                f"{of} at the end.",
            )
        )
    return blocks


def _one_digit(subject, split, count, seed):
    """Clips of one digit; its position, velocity and class at their end."""
    data, config = subject.data, subject.config
    mnist = MovingMNIST(
        getattr(data.digits, split),
        seed=seed,
        digits=1,
        frames=subject.model.input_frames,
        size=config.data.frame_size,
        speed=config.data.speed,
    )
    motion = mnist.motion(range(count))
    labels = data.digits.labels
    return {
        "clips": mnist.sequences(range(count)),
        "position": motion.positions[:, -1, 0],
        "velocity": motion.velocities[:, -1, 0],
        "digit": None if labels is None else labels[split][motion.glyphs[:, 0]],
    }
