"""Keras and TensorFlow, imported without the messages that TensorFlow prints about GPUs that the machine lacks.

TensorFlow writes them to stderr whatever its log level: https://github.com/tensorflow/tensorflow/issues/100442. Import
this module only where a network is needed: it takes seconds.
"""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault(
    "TF_ENABLE_ONEDNN_OPTS", "1"
)  # off by default without AVX-512, where a step then takes a third longer
# Keras imports it where it can, for charts that nothing here draws: that takes half a second.
without_charts = "matplotlib" not in sys.modules
if without_charts:
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
with tempfile.TemporaryFile() as messages:
    sys.stderr.flush()
    stderr = os.dup(2)
    os.dup2(messages.fileno(), 2)  # the C++ side writes to the descriptor, not to sys.stderr
    try:
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
        os.dup2(stderr, 2)
        os.close(stderr)
        if without_charts:
            del sys.modules["matplotlib"]

__all__ = ["TqdmCallback", "keras", "tf"]
