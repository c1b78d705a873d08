"""Peephole LSTM layers for Keras."""

from video_repr.layers.peephole_conv_lstm import PeepholeConvLSTM
from video_repr.layers.peephole_conv_lstm_cell import PeepholeConvLSTMCell
from video_repr.layers.peephole_lstm import PeepholeLSTM
from video_repr.layers.peephole_lstm_cell import PeepholeLSTMCell

__all__ = [
    "PeepholeConvLSTM",
    "PeepholeConvLSTMCell",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
]
