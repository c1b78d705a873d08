"""Peephole LSTM layers for Keras."""

from video_repr.layers.peephole_lstm import PeepholeLSTM
from video_repr.layers.peephole_lstm_cell import PeepholeLSTMCell

__all__ = ["PeepholeLSTM", "PeepholeLSTMCell"]
