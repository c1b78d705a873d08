"""Keeps TensorFlow's greetings out of the command line's output."""

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def quiet_stderr():
    """Holds back what is written to stderr; shows it if the block fails.

    C++ writes to the file descriptor, past `sys.stderr`, and no setting of
    TensorFlow's silences what it logs while it is imported.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(kept, held_back.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def import_tensorflow():
    """Imports TensorFlow for a program, which then computes in float32.

    It leaves out TensorFlow's lines about processors and drivers: a dozen of
    them would precede every message. TF32 is off, until a config has it on.
    """
    # Silences what TensorFlow would log later, about XLA.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        from tensorflow import config
    # Not `set_precision`: not every program needs Keras.
    config.experimental.enable_tensor_float_32_execution(False)
