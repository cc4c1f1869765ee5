"""Soft labels: when they are smoothed, and what must hold of them wherever they come from."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.spreading.graph import neighbour_graph
from fewlabels.spreading.soft_labels import soft_labels


def two_moons(count: int = 300) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    from sklearn.datasets import make_moons

    features, labels = make_moons(count, noise=0.06, random_state=0)
    return features.astype(np.float32), labels.astype(np.uint8)


def soft(rows: NDArray[np.int64], labels: NDArray[np.uint8], gamma: float) -> tuple[NDArray[np.float32], float]:
    features, _ = two_moons()
    joined = neighbour_graph(nearest_neighbours(features))
    classifier = KernelRidgeClassifier(gamma=gamma, classes=range(2))
    return soft_labels(features, joined, rows, labels, classifier, random_state=0)


def test_smoothing_is_taken_where_it_helps_the_bought_labels() -> None:
    """A kernel as wide as the data draws a straight line through the moons: neighbours know better."""
    _, truth = two_moons()
    rows = np.random.default_rng(1).choice(300, 40, replace=False)
    wide, weight = soft(rows, truth[rows], gamma=0.05)
    assert weight == 0.5
    np.testing.assert_allclose(wide.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(wide[rows], np.eye(2)[truth[rows]])
    features, _ = two_moons()
    plain = KernelRidgeClassifier(gamma=0.05).fit(features[rows], truth[rows]).predict(features)
    assert np.mean(wide.argmax(axis=1) == truth) > np.mean(plain == truth)


def test_smoothing_is_left_where_labels_are_no_likelier_among_neighbours() -> None:
    """Labels by lot: a neighbour's tell nothing, and the more certain an answer is, the more it costs."""
    weights = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        rows, labels = random.choice(300, 150, replace=False), random.integers(0, 2, 150).astype(np.uint8)
        weights.append(soft(rows, labels, gamma=0.05)[1])
    assert weights.count(0) >= 4


@pytest.mark.parametrize("count", [1, 3, 12])
def test_one_class_alone_leaves_no_gap(count: int) -> None:
    probabilities, _ = soft(np.arange(count), np.zeros(count, np.uint8), gamma=1.0)
    assert np.isfinite(probabilities).all()
    assert (probabilities.argmax(axis=1) == 0).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fewer_labels_than_folds_are_not_smoothed(count: int) -> None:
    _, truth = two_moons()
    rows = np.array([0, 150, 40, 290])[:count]
    probabilities, weight = soft(rows, truth[rows], gamma=1.0)
    assert weight == 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities[rows], np.eye(2)[truth[rows]])


def test_the_classifier_of_the_caller_is_left_alone() -> None:
    features, truth = two_moons()
    classifier = KernelRidgeClassifier(classes=range(2))
    joined = neighbour_graph(nearest_neighbours(features))
    soft_labels(features, joined, np.arange(0, 300, 10), truth[::10], classifier, random_state=0)
    assert not hasattr(classifier, "dual_coef_")


def test_the_order_of_the_classes_changes_nothing() -> None:
    features, truth = two_moons()
    joined = neighbour_graph(nearest_neighbours(features))
    rows = np.random.default_rng(1).choice(300, 40, replace=False)
    found = {}
    for classes in ([0, 1, 2], [2, 0, 1]):
        classifier = KernelRidgeClassifier(gamma=0.05, classes=classes)
        probabilities, weight = soft_labels(features, joined, rows, truth[rows], classifier, random_state=0)
        found[tuple(classes)] = probabilities[:, np.argsort(classes)], weight
    (one, weight), (other, other_weight) = found.values()
    assert weight == other_weight == 0.5
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_folds_are_those_of_the_seed() -> None:
    """A quarter of thirty labels are wrong: whether to smooth depends on which of them are held back together."""
    features, truth = two_moons()
    joined = neighbour_graph(nearest_neighbours(features))
    random = np.random.default_rng(1)
    rows = random.choice(300, 30, replace=False)
    labels = (truth[rows] ^ (random.random(30) < 0.25)).astype(np.uint8)
    classifier = KernelRidgeClassifier(classes=range(2))
    once, again = (
        [soft_labels(features, joined, rows, labels, classifier, random_state=seed)[1] for seed in range(5)]
        for _ in range(2)
    )
    assert once == again
    assert set(once) == {0, 0.5}


def test_five_labels_are_enough_to_decide() -> None:
    _, truth = two_moons()
    rows = np.random.default_rng(1).choice(300, 5, replace=False)
    assert soft(rows, truth[rows], gamma=1.0)[1] == 0.5
