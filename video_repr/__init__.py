"""Unsupervised learning of video representations with LSTMs, in Keras.

The models of Srivastava, Mansimov and Salakhutdinov (ICML 2015): an encoder
LSTM reads a clip into a state, and decoder LSTMs unroll that state into the
reversed clip, the future, or both.
"""

import os as _os
import sys as _sys

_command_line = (
    _os.path.basename(_sys.argv[0]) == "video-repr"
    # python -m pipelines.patches, whose argv[0] is not known yet.
    or " -m pipelines." in " ".join(_sys.orig_argv)
)
if _command_line:
    # A dozen lines about processors and drivers would stand before every
    # message of the command line.
    from video_repr._quiet import quiet_stderr as _quiet_stderr

    with _quiet_stderr():
        import tensorflow as _tf

        _tf.function(lambda x: x + x, jit_compile=True)(1.0)

_backend = _os.environ.get("KERAS_BACKEND", "tensorflow")
if _backend == "tensorflow":
    # ~/.keras/keras.json can name another backend; the variable outranks it
    # unless Keras was imported already.
    import keras as _keras

    _backend = _keras.backend.backend()
if _backend != "tensorflow":
    _message = (
        "video_repr needs Keras on its TensorFlow backend. Received: backend "
        f"{_backend!r}. Set KERAS_BACKEND=tensorflow before keras is "
        "imported."
    )
    if _command_line:
        # Before there is anything that could catch an error.
        print(f"video-repr: {_message}", file=_sys.stderr)
        raise SystemExit(2)
    raise ImportError(_message)

from video_repr.errors import InputError
from video_repr.layers import PeepholeLSTM
from video_repr.layers import PeepholeLSTMCell
from video_repr.losses import BceSumPerFrame
from video_repr.losses import CrossEntropySumOverSteps
from video_repr.losses import HalfSsePerFrame
from video_repr.models import ActionClassifier
from video_repr.models import Decoder
from video_repr.models import Encoder
from video_repr.models import VideoSeq2Seq
from video_repr.saved_model import SavedModelEncoder
from video_repr.saved_model import export_encoder

__version__ = "0.1.0"

__all__ = [
    "ActionClassifier",
    "BceSumPerFrame",
    "CrossEntropySumOverSteps",
    "Decoder",
    "Encoder",
    "HalfSsePerFrame",
    "InputError",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "SavedModelEncoder",
    "VideoSeq2Seq",
    "export_encoder",
]
