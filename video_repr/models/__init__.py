"""Encoders, decoders, and the models made of them."""

from video_repr.models.classifier import ActionClassifier
from video_repr.models.conv_decoder import ConvDecoder
from video_repr.models.conv_encoder import ConvEncoder
from video_repr.models.decoder import Decoder
from video_repr.models.encoder import Encoder
from video_repr.models.seq2seq import VideoSeq2Seq

__all__ = [
    "ActionClassifier",
    "ConvDecoder",
    "ConvEncoder",
    "Decoder",
    "Encoder",
    "VideoSeq2Seq",
]
