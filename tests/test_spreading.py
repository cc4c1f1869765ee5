"""Label spreading against a dense solution, and what must hold of soft labels wherever they come from."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances

from fewlabels import spreading
from fewlabels.kernel_ridge import KernelRidgeClassifier
from fewlabels.neighbours import graph, neighbours


def two_moons(count: int = 300) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    from sklearn.datasets import make_moons

    features, labels = make_moons(count, noise=0.06, random_state=0)
    return features.astype(np.float32), labels.astype(np.uint8)


def test_neighbours_are_the_nearest_others() -> None:
    features, _ = two_moons(60)
    distances = pairwise_distances(features)
    np.fill_diagonal(distances, np.inf)
    found = neighbours(features)
    assert found.dtype == np.int32
    for row, others in enumerate(found):
        assert set(others) == set(np.argsort(distances[row])[:5])
    assert neighbours(features[:3]).shape == (3, 2)


def test_the_graph_is_symmetric_and_normalised() -> None:
    joined = graph(np.array([[1], [0], [1], [4], [3]], np.int32)).toarray()
    half = 1 / np.sqrt(2)
    wanted = np.zeros((5, 5))
    wanted[0, 1] = wanted[1, 0] = wanted[1, 2] = wanted[2, 1] = half
    wanted[3, 4] = wanted[4, 3] = 1
    np.testing.assert_allclose(joined, wanted, rtol=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_spreading_is_the_solution_of_its_equation(share: float) -> None:
    """F = share * S F + (1 - share) * F0, solved densely; then each row made to sum to 1."""
    features, _ = two_moons(80)
    joined = graph(neighbours(features))
    start = np.random.default_rng(0).dirichlet([1, 1, 1], 80).astype(np.float32)
    solved = np.linalg.solve(np.eye(80) - share * joined.toarray(), (1 - share) * start)
    found = spreading.spread(start, joined, share)
    np.testing.assert_allclose(found, solved / solved.sum(axis=1, keepdims=True), atol=1e-3)
    np.testing.assert_array_equal(spreading.spread(start, joined, 0.0), start)


def test_an_image_joined_to_none_keeps_what_it_has() -> None:
    joined = graph(np.array([[1], [0], [1]], np.int32))
    alone = joined.tolil()
    alone[2, :] = alone[:, 2] = 0
    start = np.array([[1, 0], [0, 1], [0.3, 0.7]], np.float32)
    found = spreading.spread(start, alone.tocsr(), 0.5)
    np.testing.assert_allclose(found[2], start[2], rtol=1e-5)
    assert np.isfinite(found).all()


def soft(rows: NDArray[np.int64], labels: NDArray[np.uint8], gamma: float) -> tuple[NDArray[np.float32], float]:
    features, _ = two_moons()
    joined = graph(neighbours(features))
    classifier = KernelRidgeClassifier(gamma=gamma, classes=range(2))
    return spreading.soft_labels(features, joined, rows, labels, classifier, random_state=0)


def test_smoothing_is_taken_where_it_helps_the_bought_labels() -> None:
    """A kernel as wide as the data draws a straight line through the moons: neighbours know better."""
    _, truth = two_moons()
    rows = np.random.default_rng(1).choice(300, 40, replace=False)
    wide, share = soft(rows, truth[rows], gamma=0.05)
    assert share == 0.5
    np.testing.assert_allclose(wide.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(wide[rows], np.eye(2)[truth[rows]])
    features, _ = two_moons()
    plain = KernelRidgeClassifier(gamma=0.05).fit(features[rows], truth[rows]).predict(features)
    assert np.mean(wide.argmax(axis=1) == truth) > np.mean(plain == truth)


def test_smoothing_is_left_where_labels_are_no_likelier_among_neighbours() -> None:
    """Labels by lot: a neighbour's tell nothing, and the more certain an answer is, the more it costs."""
    shares = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        rows, labels = random.choice(300, 150, replace=False), random.integers(0, 2, 150).astype(np.uint8)
        shares.append(soft(rows, labels, gamma=0.05)[1])
    assert shares.count(0) >= 4


@pytest.mark.parametrize("count", [1, 3, 12])
def test_one_class_alone_leaves_no_gap(count: int) -> None:
    probabilities, _ = soft(np.arange(count), np.zeros(count, np.uint8), gamma=1.0)
    assert np.isfinite(probabilities).all()
    assert (probabilities.argmax(axis=1) == 0).all()
