"""Keras and TensorFlow, imported without the messages that TensorFlow prints about GPUs that the machine lacks.

TensorFlow writes them to stderr whatever its log level: https://github.com/tensorflow/tensorflow/issues/100442. Keras
is not shown matplotlib, which takes half a second more, for galleries of images that nothing here draws. Meanwhile
Python's garbage collector is off: it would look, in vain, through the million objects that come, for a fifth of the
time. Import this module only where a network is needed: it takes seconds.
"""

import gc
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault(
    "TF_ENABLE_ONEDNN_OPTS", "1"
)  # off by default without AVX-512, where a step then takes a third longer
with tempfile.TemporaryFile() as messages:
    sys.stderr.flush()
    stderr = os.dup(2)
    os.dup2(messages.fileno(), 2)  # the C++ side writes to the descriptor, not to sys.stderr
    has_drawn, collects = "matplotlib" in sys.modules, gc.isenabled()
    try:
        gc.disable()
        if not has_drawn:  # as if it were not installed
            sys.modules["matplotlib"] = None  # type: ignore[assignment]
        import keras
        import tensorflow as tf
        from tqdm.keras import TqdmCallback  # imports keras, too

        tf.config.list_logical_devices()  # looks for GPUs, and prints its messages, now rather than later
        tf.get_logger().setLevel("ERROR")  # with several networks it warns that one function is traced often
    except BaseException:
        messages.seek(0)
        os.write(stderr, messages.read())
        raise
    finally:
        if collects:
            gc.enable()
        os.dup2(stderr, 2)
        os.close(stderr)
        if not has_drawn:
            del sys.modules["matplotlib"]

__all__ = ["TqdmCallback", "keras", "tf"]
