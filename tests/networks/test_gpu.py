"""With a GPU that TensorFlow can use, networks are trained on it, and nothing needs to be set; skipped without one."""

import numpy as np
import pytest
from synthetic import BARS as SHAPE
from synthetic import bars

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.label_set import LabelSet
from fewlabels.networks.quiet_keras import tf
from fewlabels.networks.student import StudentSettings, train_student

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="TensorFlow finds no GPU"),
]


def test_a_student_is_trained_on_the_gpu() -> None:
    images, labels = bars(600)
    unseen, answers = bars(300, seed=1)
    probabilities = np.full((600, 3), 0.1, np.float32)
    probabilities[np.arange(600), labels] = 0.8
    label_set = LabelSet(np.arange(600), labels, np.arange(600) % 10 == 0, probabilities=probabilities)
    settings = StudentSettings(generations=2, epochs=3, batch_size=30, learning_rate=0.01, dropout=0.2)
    ridge = KernelRidgeClassifier(classes=range(3))
    tf.config.experimental.reset_memory_stats("GPU:0")
    trained = train_student(images, label_set, ridge, image_shape=SHAPE, n_classes=3, settings=settings, seed=0)
    assert tf.config.experimental.get_memory_info("GPU:0")["peak"] > 0
    assert np.mean(trained.predict_proba(unseen).argmax(axis=1) == answers) > 0.9
