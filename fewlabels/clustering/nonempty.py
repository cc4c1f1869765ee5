"""The nearest centroid of each point, such that no cluster is empty."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats
from fewlabels.clustering.assignment import assign_to_nearest
from fewlabels.pool import Rows, as_pool
from fewlabels.run import current

Nearest = Callable[[Any, Any], Any]
"""As `assign_to_nearest`."""


def assign_all(X: Rows, centroids: NDArray[Any], nearest: Nearest = assign_to_nearest) -> tuple[Any, Any, int]:
    """Assign each point to its nearest centroid; a centroid left without any takes the point farthest from its own.

    Parameters
    ----------
    X : ndarray or Pool of float64, float32 or uint8, shape (n, d)
        At least as many points as centroids.
    centroids : ndarray of float64 or float32, shape (k, d)
        Those left without points are changed in place.
    nearest : callable, default=assign_to_nearest

    Returns
    -------
    labels : ndarray or Pool of int32, shape (n,)
    distances : ndarray or Pool of float32, shape (n,)
    distinct : int
        How many distinct clusters there are: fewer than centroids where copies of points had to be dealt out.

    Examples
    --------
    >>> centroids = np.array([[1], [50]], np.float32)
    >>> assign_all(np.array([[0], [1], [9]], np.float32), centroids), centroids.ravel()
    ((array([0, 0, 1], dtype=int32), array([1., 0., 0.], dtype=float32), 2), array([1., 9.], dtype=float32))
    """
    k, total = len(centroids), np.inf
    while True:
        labels, distances = nearest(X, centroids)
        before = total
        sizes, total = current().map_reduce(_sizes_and_total, _added, labels, distances, k=k)
        distinct = int(np.count_nonzero(sizes))
        if distinct == k:
            return labels, distances, distinct
        # each cluster keeps a point, so that no more than k of the farthest are looked at
        rows, own, _ = current().map_reduce(_farthest, partial(_farther, k=k), labels, distances, k=k)
        empty, places = np.flatnonzero(sizes == 0), iter(range(k))
        chosen = []
        for cluster in empty:
            place = next(place for place in places if sizes[own[place]] > 1)
            sizes[own[place]] -= 1
            sizes[cluster] += 1
            chosen.append(rows[place])
        centroids[empty] = as_pool(X).take(chosen)
        if total >= before or total == 0:  # only copies of centroids are left to deal out
            labels, distances = current().map(_dealt, labels, distances, outputs=2, moved=np.array(chosen), to=empty)
            return labels, distances, distinct


def _sizes_and_total(
    rows: slice, labels: NDArray[np.int32], distances: Floats, *, k: int
) -> tuple[NDArray[np.int64], float]:
    return np.bincount(labels, minlength=k), float(distances.sum(dtype=np.float64))


def _added(a: tuple[NDArray[np.int64], float], b: tuple[NDArray[np.int64], float]) -> tuple[NDArray[np.int64], float]:
    return a[0] + b[0], a[1] + b[1]


Farthest = tuple[NDArray[np.int64], NDArray[np.int32], Floats]
"""Rows, the clusters they are in and their distances, the farthest first, the lower row where two are as far."""


def _farthest(rows: slice, labels: NDArray[np.int32], distances: Floats, *, k: int) -> Farthest:
    order = np.argsort(-distances, kind="stable")[:k]
    return rows.start + order, labels[order], distances[order]


def _farther(a: Farthest, b: Farthest, *, k: int) -> Farthest:
    distances = np.append(a[2], b[2])
    order = np.argsort(-distances, kind="stable")[:k]
    return np.append(a[0], b[0])[order], np.append(a[1], b[1])[order], distances[order]


def _dealt(
    rows: slice, labels: NDArray[np.int32], distances: Floats, *, moved: NDArray[np.int64], to: NDArray[np.int64]
) -> tuple[NDArray[np.int32], Floats]:
    here = (moved >= rows.start) & (moved < rows.stop)
    labels, distances = labels.copy(), distances.copy()
    labels[moved[here] - rows.start] = to[here]
    distances[moved[here] - rows.start] = 0
    return labels, distances
