"""Probabilities of labels that a kernel ridge regression has not seen."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier


def test_probabilities_of_what_is_left_out_have_the_temperature_of_the_whole() -> None:
    random = np.random.default_rng(0)
    y = np.arange(30) % 3
    X = (random.normal(size=(30, 4)) + np.eye(3, 4)[y]).astype(np.float32)
    model = KernelRidgeClassifier(classes=range(3)).fit(X, y)
    found = model.leave_one_out_proba()
    assert found.dtype == np.float32
    for row in (0, 13, 29):
        others = np.arange(30) != row
        scores = clone(model).fit(X[others], y[others]).decision_function(X[[row]])[0]
        np.testing.assert_allclose(found[row], softmax(model.temperature_ * scores), atol=1e-4)
    with pytest.raises(NotFittedError):
        KernelRidgeClassifier().leave_one_out_proba()
