"""Classifiers without an LSTM."""

import numpy as np

from video_repr.errors import extra


def mean_percept_probe(train, test, *, inverse_penalty=1.0):
    """Accuracy of a linear classifier of a video's mean frame.

    It does not use the order of the frames.

    Args:
        train: labelled `Videos` to fit on.
        test: held-out `Videos`.
        inverse_penalty: scikit-learn's C; before the fit, frames are divided by
            the standard deviation of all training values.

    Returns:
        Share of videos that are classified correctly.
    """
    scale = _scale(train)
    probe = logistic_regression(inverse_penalty)
    probe.fit(_means(train) / scale, train.labels)
    return float(probe.score(_means(test) / scale, test.labels))


def single_frame(train, test, *, inverse_penalty=1.0, frames=5):
    """Accuracy of a linear classifier of single frames, averaged.

    Args:
        train: labelled `Videos` to fit on.
        test: held-out `Videos`.
        inverse_penalty: see `mean_percept_probe`.
        frames: frames of each video to learn from, evenly spaced.

    Returns:
        Share of videos whose own class has the highest mean probability over
        all of their frames.
    """
    scale = _scale(train)
    chosen = [
        video[np.linspace(0, len(video) - 1, frames).round().astype(int)]
        for video in _flat(train)
    ]
    probe = logistic_regression(inverse_penalty)
    probe.fit(np.concatenate(chosen) / scale, train.labels.repeat(frames))
    found = [
        probe.predict_proba(video / scale).mean(axis=0).argmax()
        for video in _flat(test)
    ]
    return float((probe.classes_[found] == test.labels).mean())


def _means(videos):
    return np.stack([video.mean(axis=0) for video in _flat(videos)])


def _flat(videos):
    return [video.reshape(len(video), -1) for video in videos.frames]


def _scale(videos):
    return np.concatenate(videos.frames).std()


def logistic_regression(inverse_penalty):
    """scikit-learn's, unfitted."""
    with extra("transfer"):
        from sklearn.linear_model import LogisticRegression
    return LogisticRegression(C=inverse_penalty, max_iter=2000)
