"""Makes Keras train eagerly in a process that imports this.

Tiny models are traced for longer than they are trained.
"""

import keras

_compile = keras.Model.compile


def _compile_eagerly(self, *args, **kwargs):
    options = {"jit_compile": False, "run_eagerly": True}
    _compile(self, *args, **{**kwargs, **options})


keras.Model.compile = _compile_eagerly
