"""Keras without the start-up chatter of TensorFlow, which lists on stderr the GPUs it lacks, whatever its log level.

`from fewlabels.quiet_keras import keras` where a network is needed, and only there: the import takes seconds.
See https://github.com/tensorflow/tensorflow/issues/100442.
"""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # else off without AVX-512, and a step takes a third longer
with tempfile.TemporaryFile() as chatter:
    sys.stderr.flush()
    stderr = os.dup(2)
    os.dup2(chatter.fileno(), 2)  # the C++ side writes to the descriptor, not to sys.stderr
    try:
        import keras
        import tensorflow as tf
        from tqdm.keras import TqdmCallback  # imports keras, too

        tf.config.list_logical_devices()  # looks for GPUs, and complains, now rather than later
        tf.get_logger().setLevel("ERROR")  # it warns of one function traced often, where there are several networks
    except BaseException:
        chatter.seek(0)
        os.write(stderr, chatter.read())
        raise
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)

__all__ = ["TqdmCallback", "keras", "tf"]
