"""Cluster-margin sampling: images whose two likeliest classes score nearly the same, from all parts of the data.

Margin sampling alone asks about many images that look alike. Clusters of the candidates make a batch diverse. After
G. Citovsky et al., "Batch Active Learning at Scale", NeurIPS 2021, with k-means as the clustering.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from fewlabels.arrays import Floats, concatenated
from fewlabels.choosing.pool import check_count, pool_of
from fewlabels.choosing.representatives import representatives
from fewlabels.pool import Rows, as_pool
from fewlabels.run import current


def cluster_margin(
    features: Rows,
    rows: ArrayLike,
    labels: ArrayLike,
    n: int,
    *,
    exclude: Iterable[int] = (),
    classifier: Any,
    random_state: int,
    candidates: int = 20,
) -> NDArray[np.int64]:
    """Choose the representatives of n clusters among the images with the smallest margins.

    A classifier is trained on the labels so far; the margin of an image is the difference between its two highest
    scores. With no labels yet, or of one class only, there is no margin: representatives of the whole pool are chosen.

    Parameters
    ----------
    features : ndarray or Pool of float32, shape (n_images, d)
    rows : array-like of int, shape (m,)
        The images labelled so far.
    labels : array-like, shape (m,)
        Their labels.
    n : int
        How many images to ask about next, 1 at least.
    exclude : iterable of int, default=()
        Images that must not be asked about.
    classifier : scikit-learn classifier
        With `decision_function` or `predict_proba`; a clone of it is trained.
    random_state : int
        Seeds k-means.
    candidates : int, default=20
        The candidates * n images of the smallest margin are clustered. 1 is plain margin sampling.

    Returns
    -------
    ndarray of int64, shape (n,)
        Distinct rows of the pool, or all of them where fewer than n remain.

    Raises
    ------
    ValueError
        As `pool_of` does, or if candidates is no whole number or below 1.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> features = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
    >>> cluster_margin(features, [0, 100], [0, 1], 1, classifier=KernelRidgeClassifier(), random_state=0, candidates=1)
    array([50])
    """
    check_count("candidates", candidates)
    pool, labelled, known = pool_of(features, rows, labels, n, exclude), np.asarray(rows, int), np.asarray(labels)
    if len(pool) <= n:
        return pool
    if len(np.unique(known)) < 2:
        return representatives(features, rows, labels, n, exclude=exclude, random_state=random_state)
    trained = clone(classifier).fit(as_pool(features).take(labelled), known)
    margins = current().map(_margins, features, classifier=trained, label="margins")
    free = np.zeros(len(features), bool)
    free[pool] = True
    count = candidates * n
    _, nearest = current().map_reduce(_smallest, partial(_smaller, count=count), margins, free, count=count)
    smallest = np.sort(nearest)
    clustered = as_pool(features).take(smallest)
    batch: NDArray[np.int64] = smallest[representatives(clustered, [], [], n, random_state=random_state)]
    return batch


def _margins(rows: slice, features: Floats, *, classifier: Any) -> NDArray[Any]:
    """Compute the difference between the two highest scores of each image."""
    score = classifier.decision_function if hasattr(classifier, "decision_function") else classifier.predict_proba
    scores = np.asarray(score(features))
    if scores.ndim == 1:  # of two classes, scikit-learn gives one score, which is 0 where they are equal
        scores = np.stack([scores, -scores], axis=1)
    highest = np.partition(scores, -2, axis=1)
    return np.asarray(highest[:, -1] - highest[:, -2])


Smallest = tuple[NDArray[Any], NDArray[np.int64]]
"""Margins, ascending, and their rows; the lower row first where margins are equal."""


def _smallest(rows: slice, margins: NDArray[Any], free: NDArray[np.bool_], *, count: int) -> Smallest:
    there = np.flatnonzero(free)
    return _first(margins[there], rows.start + there, count)


def _smaller(a: Smallest, b: Smallest, *, count: int) -> Smallest:
    margins, rows = concatenated(a, b)
    return _first(margins, rows, count)


def _first(margins: NDArray[Any], rows: NDArray[np.int64], count: int) -> Smallest:
    order = np.argsort(margins, kind="stable")[:count]
    return margins[order], rows[order]
