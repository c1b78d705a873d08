"""Peephole LSTM layers for Keras."""

from video_repr.layers.peephole_lstm import PeepholeLSTM
from video_repr.layers.peephole_lstm import PeepholeLSTMCell

__all__ = ["PeepholeLSTM", "PeepholeLSTMCell"]
