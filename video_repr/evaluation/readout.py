"""What a linear readout recovers from an encoder's state."""

import numpy as np

from video_repr.errors import extra


def readout(train, test, targets, test_targets):
    """How well linear maps of states give numbers.

    Ridge regressions on standardised states; their penalty is chosen by
    leaving one out of the training states.

    Args:
        train: states to fit on, `[clips, values]`.
        test: states to be right about, alike.
        targets: numbers to recover, `[clips, numbers]`.
        test_targets: the test clips', alike.

    Returns:
        R^2 on the test clips, mean over the numbers: 1 is all, 0 what their
        mean would give.
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
    """How well a linear classifier of states finds classes.

    Args:
        train: as for `readout`.
        test: as for `readout`.
        labels: a class of each training clip.
        test_labels: of each test clip.

    Returns:
        The share of test clips whose class is found.
    """
    with extra("report"):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, max_iter=300)
    )
    return float(model.fit(train, labels).score(test, test_labels))


def states_of(encoder, clips, batch_size=100):
    """All of an encoder's states side by side, `[clips, values]`.

    Args:
        encoder: an `Encoder`.
        clips: `[clips, time, ...]`.
        batch_size: number of clips that are computed at once.
    """
    found = []
    for start in range(0, len(clips), batch_size):
        states = encoder.encode_states(clips[start : start + batch_size])
        found.append(
            np.concatenate(
                [np.asarray(value) for state in states for value in state],
                axis=1,
            )
        )
    return np.concatenate(found)
