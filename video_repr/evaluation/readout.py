"""Linear readouts of an encoder's state."""

import numpy as np

from video_repr.errors import extra


def readout(train, test, targets, test_targets):
    """How well linear regressions on states predict numbers.

    They are ridge regressions on standardised states, with the penalty chosen
    by leave-one-out cross-validation on the training states.

    Args:
        train: states to fit on, `[clips, values]`.
        test: held-out states, of the same form.
        targets: numbers to predict, `[clips, numbers]`.
        test_targets: those of the test clips, of the same form.

    Returns:
        R^2 on the test clips, mean over the numbers: 1 is perfect, 0 is as good
        as predicting the mean.
    """
    with extra("report"):
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    model = make_pipeline(
        StandardScaler(), RidgeCV(alphas=np.logspace(-1, 4, 11))
    )
    return float(model.fit(train, targets).score(test, test_targets))


def readout_classes(train, test, labels, test_labels):
    """Accuracy of a linear classifier of states.

    Args:
        train: as for `readout`.
        test: as for `readout`.
        labels: class of each training clip.
        test_labels: class of each test clip.

    Returns:
        The share of test clips that it classifies correctly.
    """
    with extra("report"):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, max_iter=300)
    )
    return float(model.fit(train, labels).score(test, test_labels))


# Rows and columns, at most, that maps of states are averaged over. They keep
# where something is; a readout of all places of all channels would not fit the
# memory.
CELLS = 4


def states_of(encoder, clips, batch_size=100):
    """All of an encoder's states side by side, `[clips, values]`.

    Of maps these are the means over at most 4 x 4 cells.

    Args:
        encoder: an `Encoder` or a `ConvEncoder`.
        clips: `[clips, time, ...]`.
        batch_size: number of clips that are computed at once.
    """
    found = []
    for start in range(0, len(clips), batch_size):
        states = encoder.encode_states(clips[start : start + batch_size])
        found.append(
            np.concatenate(
                [_pooled(value) for state in states for value in state],
                axis=1,
            )
        )
    return np.concatenate(found)


def _pooled(state):
    """A state as `[clips, values]`."""
    state = np.asarray(state)
    if state.ndim > 2:
        for axis in (1, 2):
            cells = np.array_split(
                state, min(CELLS, state.shape[axis]), axis=axis
            )
            state = np.stack([c.mean(axis=axis) for c in cells], axis=axis)
    return state.reshape(len(state), -1)
