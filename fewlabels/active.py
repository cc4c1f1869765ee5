"""Buy labels in rounds, each where the labels bought so far leave the most doubt.

Cluster-margin sampling (G. Citovsky et al., "Batch Active Learning at Scale", NeurIPS 2021): of the images whose two
best classes score nearly the same, take some from every part of the feature space.
"""

import numpy as np
from numpy.typing import NDArray

from fewlabels.kernel_ridge import KernelRidgeClassifier
from fewlabels.kmeans import KMeans
from fewlabels.oracle import Oracle
from fewlabels.representatives import nearest_members

FIRST = 50
"""Labels of the first round: as many representatives of clusters, for there is nothing to doubt yet."""
GROWTH = 1.45
"""After each round, so many times the labels of before."""
CANDIDATES = 20
"""The images in most doubt, for each label of a round, that it chooses from."""

Floats = NDArray[np.float32]


def buy(
    features: Floats, oracle: Oracle, budget: int, *, classes: int, gamma: float, alpha: float, random_state: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Spend a budget on the labels that tell the most.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
    oracle : Oracle
        Asked once a round, and for no row twice.
    budget : int
        Between 1 and n.
    classes : int
        How many there are, 2 at least; labels are 0 to classes - 1.
    gamma, alpha : float
        Of the kernel ridge regression that doubts.
    random_state : int
        Seeds k-means.

    Returns
    -------
    rows : ndarray of int64, shape (budget,)
        Distinct, in the order of buying.
    labels : ndarray of uint8, shape (budget,)

    Raises
    ------
    ValueError
        If the budget is not between 1 and n.
    """
    if not 1 <= budget <= len(features):
        raise ValueError(f"a budget of {budget} labels for {len(features)} images")
    rows, labels = np.empty(0, np.int64), np.empty(0, np.uint8)
    model = KernelRidgeClassifier(gamma, alpha, range(classes))
    while len(rows) < budget:
        size = size_after(len(rows), budget)
        candidates = (
            np.arange(len(features))
            if not len(rows)
            else _doubtful(features, model.fit(features[rows], labels), rows, size)
        )
        chosen = candidates[_spread(features[candidates], size - len(rows), random_state)]
        rows, labels = np.append(rows, chosen), np.append(labels, oracle(chosen))
    return rows, labels


def size_after(bought: int, budget: int) -> int:
    """Tell how many labels there are after the next round.

    Parameters
    ----------
    bought : int
        Labels so far.
    budget : int

    Returns
    -------
    int
    """
    return min(budget, max(FIRST, round(GROWTH * bought), bought + 1))


def _doubtful(
    features: Floats, model: KernelRidgeClassifier, bought: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Find the images, not bought yet, whose two highest scores differ least."""
    scores = np.partition(model.decision_function(features), -2, axis=1)
    margins = scores[:, -1] - scores[:, -2]
    margins[bought] = np.inf
    count = min(len(features) - len(bought), CANDIDATES * (size - len(bought)))
    return np.sort(np.argsort(margins, kind="stable")[:count])


def _spread(features: Floats, count: int, random_state: int) -> NDArray[np.int64]:
    """Choose rows from all parts of the candidates: the representative of each of so many clusters."""
    if count == len(features):
        return np.arange(count)
    kmeans = KMeans(count, random_state=random_state).fit(features)
    return nearest_members(kmeans.labels_, kmeans.distances_, count)
