"""Kernel ridge regression against scikit-learn's, and its shortcuts against doing the work."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier


def blobs(count: int, classes: int = 4, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points about a centre for each class, near enough to each other that some are taken for another."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, 6))
    labels = np.arange(count) % classes
    return ((centres[labels] + random.normal(size=(count, 6))) / 4).astype(np.float32), labels.astype(np.uint8)


@pytest.mark.parametrize(("gamma", "alpha"), [(1.0, 0.2), (0.3, 2.0)])
def test_scores_are_scikit_learns(gamma: float, alpha: float) -> None:
    (X, y), (unseen, _) = blobs(80), blobs(3000, seed=1)
    reference = KernelRidge(kernel="rbf", gamma=gamma, alpha=alpha).fit(X, (y[:, None] == np.arange(4)) - 0.25)
    model = KernelRidgeClassifier(gamma, alpha).fit(X, y)
    scores = model.decision_function(unseen)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores - 0.25, reference.predict(unseen), atol=1e-4)
    np.testing.assert_array_equal(model.predict(unseen), scores.argmax(axis=1))


def test_what_is_left_out_scores_as_if_it_had_been() -> None:
    X, y = blobs(40)
    model = KernelRidgeClassifier().fit(X, y)
    for row in (0, 7, 39):
        others = np.arange(40) != row
        without = clone(model).fit(X[others], y[others])
        np.testing.assert_allclose(model.leave_one_out_[row], without.decision_function(X[[row]])[0], atol=1e-5)


def test_probabilities_have_the_temperature_of_least_log_loss() -> None:
    X, y = blobs(200)
    model = KernelRidgeClassifier().fit(X, y)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(X))

    def loss(temperature: float) -> float:
        return -log_softmax(temperature * model.leave_one_out_, axis=1)[np.arange(200), y].mean()

    assert 1 < model.temperature_ < 40
    assert loss(model.temperature_) <= min(loss(0.9 * model.temperature_), loss(1.1 * model.temperature_))


def test_labels_keep_their_names() -> None:
    X, y = blobs(40)
    names = np.array(["ant", "bee", "cat", "dog"])
    assert KernelRidgeClassifier().fit(X, names[y]).score(X, names[y]) > 0.7


def test_one_class_alone_is_an_answer() -> None:
    X, _ = blobs(12)
    model = KernelRidgeClassifier(classes=range(3)).fit(X, np.full(12, 2))
    assert (model.predict(X) == 2).all()
    probabilities = model.predict_proba(X)
    assert np.isfinite(probabilities).all()
    assert probabilities.shape == (12, 3)


def test_images_all_alike_have_finite_scores() -> None:
    model = KernelRidgeClassifier().fit(np.zeros((6, 3)), [0, 0, 0, 0, 1, 1])
    assert np.isfinite(model.leave_one_out_).all()
    assert (model.predict(np.zeros((2, 3))) == 0).all()


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="label 3 is none of the classes"):
        KernelRidgeClassifier(classes=range(3)).fit(*blobs(8))
