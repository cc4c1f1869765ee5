"""Soft labels: a probability of each class for every image, from few bought labels.

A network can learn from all images once each has soft labels. A classifier on the bought labels gives them; label
spreading smooths them where that suits the bought labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import KFold

from fewlabels.arrays import Floats
from fewlabels.spreading.graph import spread_over_graph

FOLDS = 5
"""Parts of the bought labels: each is predicted from the others."""
LEAST_PROBABILITY = 1e-4
"""A probability counts as no smaller in the log loss, so that one sure mistake does not decide alone."""


def soft_labels(
    features: Floats,
    graph: sparse.csr_array,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    classifier: Any,
    *,
    neighbour_weight: float = 0.5,
    random_state: int,
) -> tuple[Floats, float]:
    """Compute soft labels of every image, with or without label spreading.

    Whether to smooth is decided by five-fold cross-validation on the bought labels: the choice of the smaller log loss
    is taken.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
    graph : csr_array of float32, shape (n, n)
        As from `fewlabels.features.neighbours.neighbour_graph`.
    rows : ndarray of int64, shape (m,)
        The images whose labels were bought.
    labels : ndarray of uint8, shape (m,)
    classifier : KernelRidgeClassifier
        With `classes` given; a clone of it is trained.
    neighbour_weight : float, default=0.5
        The part of an image's probabilities that comes from its neighbours, if that suits the bought labels.
    random_state : int
        Seeds the folds.

    Returns
    -------
    probabilities : ndarray of float32, shape (n, n_classes)
        Each row sums to 1; the bought labels are certain.
    neighbour_weight : float
        The weight that was taken: as given, or 0.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> from fewlabels.features.neighbours import nearest_neighbours, neighbour_graph
    >>> features = np.array([[0], [0.1], [0.2], [2], [2.1], [2.2]], np.float32)
    >>> graph = neighbour_graph(nearest_neighbours(features, 2))
    >>> rows, labels, ridge = np.array([0, 5]), np.array([0, 1]), KernelRidgeClassifier(classes=[0, 1])
    >>> probabilities, weight = soft_labels(features, graph, rows, labels, ridge, random_state=0)
    >>> probabilities.argmax(axis=1)
    array([0, 0, 0, 1, 1, 1])
    """
    untrained = clone(classifier)
    weight = _best_weight(features, graph, rows, labels, untrained, (0.0, neighbour_weight), random_state)
    (smoothed,) = _smoothed(features, graph, rows, labels, untrained, [weight])
    smoothed[rows] = labels[:, None] == np.asarray(classifier.classes)
    return smoothed, weight


def _best_weight(
    features: Floats,
    graph: sparse.csr_array,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    classifier: Any,
    weights: Sequence[float],
    random_state: int,
) -> float:
    """Choose the weight whose probabilities of the labels held back have the smallest log loss."""
    if len(rows) < FOLDS:
        return weights[0]
    losses = np.zeros(len(weights))
    for kept, held_back in KFold(FOLDS, shuffle=True, random_state=random_state).split(rows):
        tried = _smoothed(features, graph, rows[kept], labels[kept], classifier, weights)
        right = np.searchsorted(classifier.classes, labels[held_back])
        for place, probabilities in enumerate(tried):
            losses[place] -= np.log(np.maximum(probabilities[rows[held_back], right], LEAST_PROBABILITY)).sum()
    return weights[int(losses.argmin())]


def _smoothed(
    features: Floats,
    graph: sparse.csr_array,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    classifier: Any,
    weights: Sequence[float],
) -> list[Floats]:
    """Train on the bought labels and spread the probabilities, once for each weight."""
    probabilities = classifier.fit(features[rows], labels).predict_proba(features)
    probabilities[rows] = labels[:, None] == classifier.classes_
    return [spread_over_graph(probabilities, graph, weight) for weight in weights]
