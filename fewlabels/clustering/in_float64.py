"""Distances of points to centroids where outliers leave float32 too few digits: scikit-learn's, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import euclidean_distances, pairwise_distances_argmin

from fewlabels.arrays import Doubles, Floats
from fewlabels.points import spread_about, unit_of
from fewlabels.pool import Rows
from fewlabels.run import current


def exact_distances(X: Rows, centroids: Doubles) -> Any:
    """Compute the distance of each point to each centroid, as `distances_to_centroids` does.

    Parameters
    ----------
    X : ndarray or Pool of float64, float32 or uint8, shape (n, d)
    centroids : ndarray of float64, shape (k, d)

    Returns
    -------
    ndarray or Pool of float32, shape (n, k)

    Raises
    ------
    ValueError
        If points are farther from the median centroid than float32 can say.

    Examples
    --------
    >>> exact_distances(np.array([[0.0], [1e9]]), np.array([[1.0], [3.0], [1e9]])).round()
    array([[1.e+00, 3.e+00, 1.e+09],
           [1.e+09, 1.e+09, 0.e+00]], dtype=float32)
    """
    origin = _origin(X, centroids)
    return current().map(_distances, X, centroids=centroids, origin=origin, label="distances to centroids")


def assign_exactly(X: Rows, centroids: Doubles) -> Any:
    """Assign each point to its nearest centroid, as `assign_to_nearest` does.

    Parameters
    ----------
    X : ndarray or Pool of float64, float32 or uint8, shape (n, d)
    centroids : ndarray of float64, shape (k, d)

    Returns
    -------
    labels : ndarray or Pool of int32, shape (n,)
    distances : ndarray or Pool of float32, shape (n,)

    Raises
    ------
    ValueError
        As `exact_distances` does.

    Examples
    --------
    >>> assign_exactly(np.array([[0.0], [1e9]]), np.array([[1.0], [3.0], [1e9]]))
    (array([0, 2], dtype=int32), array([1., 0.], dtype=float32))
    """
    origin = _origin(X, centroids)
    return current().map(_nearest, X, outputs=2, centroids=centroids, origin=origin, label="nearest centroids")


def _origin(X: Rows, centroids: Doubles) -> Doubles:
    """Give the median centroid, which is no outlier."""
    origin: Doubles = np.median(centroids, axis=0)
    unit_of(spread_about(X, origin))
    return origin


def _distances(rows: slice, X: NDArray[Any], *, centroids: Doubles, origin: Doubles) -> Floats:
    distances: Floats = euclidean_distances(X - origin, centroids - origin).astype(np.float32)
    return distances


def _nearest(rows: slice, X: NDArray[Any], *, centroids: Doubles, origin: Doubles) -> tuple[NDArray[np.int32], Floats]:
    labels = pairwise_distances_argmin(X - origin, centroids - origin).astype(np.int32)
    return labels, np.linalg.norm(X - centroids[labels], axis=1).astype(np.float32)
