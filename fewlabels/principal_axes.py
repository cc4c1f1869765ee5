"""Principal axes: the directions in which points spread furthest.

Features are reduced to the first of them; k-means rules out far centroids by their distance along a few.
"""

import operator
from functools import reduce

import numpy as np
from scipy.linalg import eigh
from sklearn.utils.extmath import randomized_svd

from fewlabels.arrays import ComputedRows, Floats, squared_norms
from fewlabels.threads import map_chunks, one_blas_thread

CHUNK = 1024
"""Rows, or columns, that are multiplied at once."""
EXACT_SIDE = 4096
"""Rows and columns of the largest matrix whose eigenvectors are computed exactly, in some seconds."""


def principal_axes(X: Floats | ComputedRows, count: int) -> tuple[Floats, Floats]:
    """Compute the directions in which points lie farthest from 0, by the smaller of the two matrices of their products.

    Parameters
    ----------
    X : ndarray of float32 or ComputedRows, shape (n, d)
        Centred, if the variance is what matters. See `seen_in_parts` for when all are in memory at once.
    count : int
        How many directions, at most min(n, d).

    Returns
    -------
    squares : ndarray of float32, shape (count,)
        The sums of the squared coordinates of the points on each axis, the largest first.
    axes : ndarray of float32, shape (d, count)
        Orthonormal columns; 0 in dimensions that the points do not have.

    References
    ----------
    N. Halko, P.-G. Martinsson and J. Tropp, "Finding structure with randomness", SIAM Review 2011, where n and d are
    both above 4,096: scikit-learn's `randomized_svd`.

    Examples
    --------
    >>> squares, axes = principal_axes(np.array([[0, 3, 0], [0, -3, 0], [1, 0, 0]], np.float32), 1)
    >>> squares, np.abs(axes.T)
    (array([18.], dtype=float32), array([[0., 1., 0.]], dtype=float32))
    """
    n, d = X.shape
    side = min(n, d)
    points = None if seen_in_parts(n, d) else X[:]
    if side > EXACT_SIDE:
        with one_blas_thread():
            _, lengths, directions = randomized_svd(points, count, n_iter=4, random_state=0)
        return np.square(lengths), np.ascontiguousarray(directions.T)
    if points is None:
        parts = map_chunks(lambda rows: _products(X[rows].T), n, CHUNK)
    else:
        parts = map_chunks(lambda columns: _products(points[:, columns]), d, CHUNK)
    products = reduce(operator.iadd, parts)
    with one_blas_thread():
        squares, vectors = eigh(products, subset_by_index=(side - count, side - 1), check_finite=False)
    squares, vectors = np.maximum(squares[::-1], 0), np.ascontiguousarray(vectors[:, ::-1])
    if points is not None:
        there = squares > 1e-6 * squares[0]  # less is rounding
        vectors = vectors * np.where(there, 1 / np.sqrt(np.where(there, squares, 1)), 0).astype(np.float32)
        vectors = np.concatenate(list(map_chunks(lambda columns: points[:, columns].T @ vectors, d, CHUNK)))
    return squares, vectors


def seen_in_parts(n: int, d: int) -> bool:
    """Tell whether the principal axes of n points in d dimensions come from some of the points at a time.

    Parameters
    ----------
    n, d : int

    Returns
    -------
    bool
        False where d > n, or both are above 4,096.

    Examples
    --------
    >>> seen_in_parts(10_000, 2_048), seen_in_parts(1_000, 2_048), seen_in_parts(10_000, 5_000)
    (True, False, False)
    """
    return d <= min(n, EXACT_SIDE)


def _products(X: Floats) -> Floats:
    return X @ X.T


def main_axes(X: Floats, variance: float, most: int) -> Floats:
    """Compute the fewest principal axes that hold a share of the variance.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        Centred.
    variance : float
        Between 0 and 1.
    most : int
        How many axes there are at most, whatever they hold.

    Returns
    -------
    ndarray of float32, shape (d, m)
        Orthonormal columns, the axis of the largest variance first.

    Examples
    --------
    >>> points = np.diag([1, 9, 4]).astype(np.float32)
    >>> main_axes(points, 0.95, most=3).shape, main_axes(points, 0.95, most=1).shape
    ((3, 2), (3, 1))
    """
    squares, axes = principal_axes(X, min(most, *X.shape))
    wanted = variance * np.sum(squared_norms(X), dtype=np.float64)
    return np.ascontiguousarray(axes[:, : int(np.searchsorted(np.cumsum(squares, dtype=np.float64), wanted)) + 1])
