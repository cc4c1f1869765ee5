"""Soft labels for every image: what a classifier makes of few labels, smoothed over images that are alike.

Label spreading (D. Zhou et al., "Learning with Local and Global Consistency", NeurIPS 2004) starts from few labels and
knows nothing about the rest. Here it starts from a probability of each class for each image, and lets alike images
agree.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.model_selection import KFold

from fewlabels.kernel_ridge import KernelRidgeClassifier

SHARES = (0.0, 0.5)
"""How much of an image's probabilities comes from its neighbours: nothing, or half."""
FOLDS = 5
"""Parts that the bought labels are held back in, to choose between them."""
PRECISION = 1e-4
"""Spreading ends when what is left to spread is less than this share."""

Floats = NDArray[np.float32]


def spread(probabilities: Floats, graph: sparse.csr_array, share: float) -> Floats:
    """Let images that are joined agree.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n, classes)
    graph : csr_array of float32, shape (n, n)
        As from `fewlabels.neighbours.graph`.
    share : float
        Of an image's probabilities, what comes from its neighbours: 0 changes nothing, below 1.

    Returns
    -------
    ndarray of float32, shape (n, classes)
        Each row sums to 1. An image joined to none keeps what it has.
    """
    if share == 0:
        return probabilities
    smoothed = probabilities
    for _ in range(int(np.ceil(np.log(PRECISION) / np.log(share)))):
        smoothed = np.float32(share) * (graph @ smoothed) + np.float32(1 - share) * probabilities
    normalised: Floats = smoothed / smoothed.sum(axis=1, keepdims=True)
    return normalised


def soft_labels(
    features: Floats,
    graph: sparse.csr_array,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    classifier: KernelRidgeClassifier,
    *,
    random_state: int,
) -> tuple[Floats, float]:
    """Give every image a probability for each class, from few bought labels.

    Whether to smooth is decided on the bought labels alone: held back in five parts, each is predicted from the others
    with and without, and the choice of the smaller log loss is taken.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
    graph : csr_array of float32, shape (n, n)
        As from `fewlabels.neighbours.graph`.
    rows : ndarray of int64, shape (m,)
        The images whose labels were bought.
    labels : ndarray of uint8, shape (m,)
    classifier : KernelRidgeClassifier
        With `classes` given.
    random_state : int
        Seeds the parts.

    Returns
    -------
    probabilities : ndarray of float32, shape (n, classes)
        Each row sums to 1; the bought labels are certain.
    share : float
        How much came from neighbours.
    """
    share = _best_share(features, graph, rows, labels, classifier, random_state)
    (smoothed,) = _spread_from(features, graph, rows, labels, classifier, [share])
    smoothed[rows] = labels[:, None] == classifier.classes_
    return smoothed, share


def _best_share(
    features: Floats,
    graph: sparse.csr_array,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    classifier: KernelRidgeClassifier,
    random_state: int,
) -> float:
    if len(rows) < FOLDS:
        return SHARES[0]
    losses = np.zeros(len(SHARES))
    for kept, held_back in KFold(FOLDS, shuffle=True, random_state=random_state).split(rows):
        tried = _spread_from(features, graph, rows[kept], labels[kept], classifier, SHARES)
        right = np.searchsorted(classifier.classes_, labels[held_back])
        for place, probabilities in enumerate(tried):
            losses[place] -= np.log(np.maximum(probabilities[rows[held_back], right], PRECISION)).sum()
    return SHARES[int(losses.argmin())]


def _spread_from(
    features: Floats,
    graph: sparse.csr_array,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    classifier: KernelRidgeClassifier,
    shares: Sequence[float],
) -> list[Floats]:
    probabilities = classifier.fit(features[rows], labels).predict_proba(features)
    probabilities[rows] = labels[:, None] == classifier.classes_
    return [spread(probabilities, graph, share) for share in shares]
