"""Soft labels: a probability of each class for every image, from few bought labels.

A network can be trained on all images once each has soft labels. A classifier on the bought labels gives them; label
spreading smooths them where that predicts bought labels held back with a smaller log loss.
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
"""Lower limit of a probability in the log loss, so that one confident mistake does not dominate it."""


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

    Five-fold cross-validation on the bought labels decides whether to smooth, by the smaller log loss. With fewer than
    five labels nothing is smoothed.

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
        The part of an image's probabilities that comes from its neighbours, if they are smoothed.
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
    classes = np.asarray(classifier.classes)
    untrained = clone(classifier)

    def smoothed(kept: NDArray[Any], weights: Sequence[float]) -> list[Floats]:
        """Train on some of the bought labels and spread the probabilities, once for each weight."""
        probabilities = untrained.fit(features[rows[kept]], labels[kept]).predict_proba(features)
        probabilities[rows[kept]] = labels[kept, None] == classes
        return [spread_over_graph(probabilities, graph, weight) for weight in weights]

    weights, best = (0.0, neighbour_weight), 0
    if len(rows) >= FOLDS:
        losses = np.zeros(len(weights))
        for kept, held_back in KFold(FOLDS, shuffle=True, random_state=random_state).split(rows):
            right = labels[held_back, None] == classes
            for place, probabilities in enumerate(smoothed(kept, weights)):
                likelihoods = np.maximum(probabilities[rows[held_back]][right], LEAST_PROBABILITY)
                losses[place] -= np.log(likelihoods).sum()
        best = int(losses.argmin())
    (soft,) = smoothed(np.arange(len(rows)), [weights[best]])
    soft[rows] = labels[:, None] == classes
    return soft, weights[best]
