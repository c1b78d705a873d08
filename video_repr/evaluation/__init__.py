"""Evaluation of what a model predicts."""

from video_repr.evaluation.prediction import evaluate
from video_repr.evaluation.run import evaluate_run

__all__ = ["evaluate", "evaluate_run"]
