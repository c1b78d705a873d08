"""Encoder, decoders, and the models made of them."""

from video_repr.models.classifier import ActionClassifier
from video_repr.models.decoder import Decoder
from video_repr.models.encoder import Encoder
from video_repr.models.seq2seq import VideoSeq2Seq

__all__ = ["ActionClassifier", "Decoder", "Encoder", "VideoSeq2Seq"]
