"""Unsupervised learning of video representations with LSTMs, in Keras.

The models of Srivastava, Mansimov and Salakhutdinov (ICML 2015): an encoder
LSTM reads a clip into a state, and decoder LSTMs unroll that state into the
reversed clip, the future, or both.

What is named here is imported when it is first used: `import video_repr`
imports no TensorFlow. The names stand in __init__.pyi.
"""

import importlib
import sys

import lazy_loader
import wrapt

from video_repr._backend import check_backend

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

check_backend()

# Modules whose classes Keras has to know before it loads a .keras file.
_SERIALIZABLE = ("layers", "losses", "models", "optimizers", "saved_model")
_complete = set()


def _register(module):
    """Registers all our classes once Keras, or one of ours, is imported."""
    _complete.add(module.__name__)
    check_backend()
    names = [f"{__name__}.{name}" for name in _SERIALIZABLE]
    if any(n in sys.modules and n not in _complete for n in names):
        # One of them is being imported, imported Keras for it, and ends here
        # again when it is whole.
        return
    for name in names:
        importlib.import_module(name)


for _name in ("keras", *(f"{__name__}.{name}" for name in _SERIALIZABLE)):
    wrapt.register_post_import_hook(_register, _name)
