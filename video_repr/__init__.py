"""Unsupervised learning of video representations with LSTMs, in Keras.

The models of Srivastava, Mansimov and Salakhutdinov (ICML 2015): an encoder
LSTM reads a clip into a state, and decoder LSTMs unroll that state into the
reversed clip, the future, or both.

Names are imported when they are first used: `import video_repr` does not
import TensorFlow. __init__.pyi lists the names.
"""

import importlib
import sys

import lazy_loader
import wrapt

from video_repr._backend import check_backend

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

check_backend()

# Modules whose classes must be registered before Keras loads a .keras file.
_SERIALIZABLE = (
    "layers",
    "losses",
    "models",
    "optimizers",
    "export.saved_model_encoder",
)
_complete = set()


def _register(module):
    """Registers all our classes once Keras or one of these is imported."""
    _complete.add(module.__name__)
    check_backend()
    names = [f"{__name__}.{name}" for name in _SERIALIZABLE]
    if any(n in sys.modules and n not in _complete for n in names):
        # One of these modules is being imported and has imported Keras. This
        # hook runs again when that module is complete.
        return
    for name in names:
        importlib.import_module(name)


for _name in ("keras", *(f"{__name__}.{name}" for name in _SERIALIZABLE)):
    wrapt.register_post_import_hook(_register, _name)
