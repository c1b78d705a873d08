"""Reconstruction and future prediction, beside two baselines."""

import numpy as np
import tensorflow as tf

from video_repr import metrics

_METRICS = {**metrics.ERROR_METRICS, **metrics.PIXEL_METRICS}


def evaluate(model, clips, mean_frame, batch_size=100):
    """Scores a model on clips, every decoder on its own predictions.

    Args:
        model: a `VideoSeq2Seq`.
        clips: `[clips, model.clip_frames, ...]`, uint8 or floating point;
            images for models with logistic outputs.
        mean_frame: `[...]`, the mean of the training set, in the units of the
            clips. Errors are in the units that the model's LSTMs read, see
            `Encoder`'s `scale`.
        batch_size: number of clips that are computed at once.

    Returns:
        A JSON-ready dict with
        - "reconstruction" and "future", for each decoder of the model: metrics
          averaged over frames and clips, and under "per_step" the curves over
          the predicted frames, the nearest to the input's end first;
        - "baselines": the same metrics for "last_frame", the last frame of
          the input repeated, and "mean_frame";
        - "baselines_of": the branch that the baselines predict, "future", or
          "reconstruction" without a future decoder;
        - "lower_bound" for logistic outputs: the lowest cross entropy that any
          prediction can have.
    """
    return Evaluator(model, mean_frame)(clips, batch_size)


class Evaluator:
    """`evaluate` for several sets of clips: the model is compiled once.

    Args:
        model: as for `evaluate`.
        mean_frame: as for `evaluate`.
        only: names of the metrics to compute; all when None.
    """

    def __init__(self, model, mean_frame, only=None):
        self._model, self._only = model, only
        self._logistic = {
            branch: decoder.output == "logistic"
            for branch, decoder in model.decoders.items()
        }
        self._of_baselines = (
            "future" if "future" in self._logistic else "reconstruction"
        )
        self._predict = tf.function(
            lambda batch: model(batch, training=False),
            jit_compile=bool(model.jit_compile),
        )
        self._mean_frame = np.asarray(
            model.encoder.scaled(np.asarray(mean_frame, np.float32))
        )

    def __call__(self, clips, batch_size=100):
        """As `evaluate`."""
        model, logistic, of = self._model, self._logistic, self._of_baselines
        scores = _Scores(self._only)
        for start in range(0, len(clips), batch_size):
            batch = clips[start : start + batch_size]
            outputs = self._predict(tf.convert_to_tensor(batch))
            batch = np.asarray(model.encoder.scaled(_in_unit_range(batch)))
            for branch, truth in model.targets(batch).items():
                prediction = np.asarray(outputs[branch], np.float32)
                scores.add(branch, truth, prediction, logistic[branch])
                if logistic[branch]:
                    scores.add_entropy(branch, truth)
            truth = model.targets(batch)[of]
            last = batch[:, model.input_frames - 1 : model.input_frames]
            for name, frame in (
                ("last_frame", last),
                ("mean_frame", self._mean_frame),
            ):
                scores.add(
                    name,
                    truth,
                    np.broadcast_to(frame, truth.shape),
                    logistic[of],
                    is_frames=True,
                )
        return {
            **{branch: scores.of(branch) for branch in model.decoders},
            "baselines_of": of,
            "baselines": {
                "last_frame": scores.of("last_frame"),
                "mean_frame": scores.of("mean_frame"),
            },
            "lower_bound": {
                branch: {"bce_sum_per_frame": scores.entropy(branch)}
                for branch in model.decoders
                if logistic[branch]
            },
        }


class _Scores:
    """Per-frame metrics, gathered over batches."""

    def __init__(self, only=None):
        self._only = only
        self._per_frame = {}

    def add(self, name, truth, prediction, logistic, is_frames=False):
        picture = truth.shape[2:4] if truth.ndim > 3 else None
        wanted = set(metrics.metric_names(logistic, picture))
        if self._only:
            wanted &= set(self._only)
        if "bce_sum_per_frame" in wanted:
            bce = metrics.bce_sum_per_frame(
                truth, prediction, logits=not is_frames
            )
            self._append(name, "bce_sum_per_frame", bce)
        if logistic and not is_frames:
            # The sigmoid, which no logit overflows.
            prediction = np.exp(-np.logaddexp(0, -prediction))
        for metric, function in _METRICS.items():
            if metric in wanted:
                self._append(name, metric, function(truth, prediction))

    def add_entropy(self, name, truth):
        self._append(name, "entropy", metrics.entropy_sum_per_frame(truth))

    def of(self, name):
        curves = {
            metric: np.concatenate(values).mean(axis=0)
            for metric, values in self._per_frame[name].items()
            if metric != "entropy"
        }
        return {
            **{metric: float(curve.mean()) for metric, curve in curves.items()},
            "per_step": {
                metric: curve.tolist() for metric, curve in curves.items()
            },
        }

    def entropy(self, name):
        return float(np.concatenate(self._per_frame[name]["entropy"]).mean())

    def _append(self, name, metric, values):
        self._per_frame.setdefault(name, {}).setdefault(metric, []).append(
            values
        )


def _in_unit_range(clips):
    if clips.dtype == np.uint8:
        return clips.astype(np.float32) / 255
    return np.asarray(clips, np.float32)
