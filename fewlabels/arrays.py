"""Small computations on arrays that several methods share."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


def squared_norms(X: Floats) -> Floats:
    """Sum the squares of each row.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)

    Returns
    -------
    ndarray of float32, shape (n,)

    Examples
    --------
    >>> squared_norms(np.array([[3, 4], [0, 2]], np.float32))
    array([25.,  4.], dtype=float32)
    """
    norms: Floats = np.einsum("ij,ij->i", X, X)
    return norms


def principal_axes(scatter: Floats, variance: float) -> Floats:
    """Compute the principal axes that hold a share of the variance.

    Parameters
    ----------
    scatter : ndarray of float32, shape (d, d)
        The scatter matrix X.T @ X of the points.
    variance : float
        Between 0 and 1; the fewest axes that hold this share of the variance are kept.

    Returns
    -------
    ndarray of float32, shape (d, m)
        Orthonormal columns, the axis of the largest variance first.

    Examples
    --------
    >>> principal_axes(np.diag([1, 90, 9]).astype(np.float32), 0.95).shape
    (3, 2)
    """
    values, vectors = np.linalg.eigh(scatter)
    held = np.cumsum(values[::-1])
    dimensions = int(np.searchsorted(held, variance * held[-1])) + 1
    return np.ascontiguousarray(vectors[:, ::-1][:, :dimensions])


def evenly_spaced(n: int, count: int) -> NDArray[np.int64]:
    """Choose row numbers at even distances, from the first to the last.

    Parameters
    ----------
    n : int
        How many rows there are.
    count : int
        How many to choose at most.

    Returns
    -------
    ndarray of int64, shape (min(n, count),)
        Distinct and ascending.

    Examples
    --------
    >>> evenly_spaced(9, 3)
    array([0, 4, 8])
    """
    return np.linspace(0, n - 1, min(n, count)).astype(np.int64)


def first_occurrences(X: ArrayLike) -> NDArray[np.int64]:
    """Find, for each row, the first row with exactly the same values: itself unless it is a copy.

    Parameters
    ----------
    X : array-like of numbers, shape (n, d)

    Returns
    -------
    ndarray of int64, shape (n,)

    Examples
    --------
    >>> first_occurrences([[1, 2], [3, 4], [1, 2]])
    array([0, 1, 0])
    """
    values = np.ascontiguousarray(np.asarray(X) + 0)  # -0.0 becomes 0.0, which has other bytes and is no other number
    if len(values) == 0:
        return np.empty(0, np.int64)
    rows: NDArray[Any] = values.view(np.dtype((np.void, values.dtype.itemsize * values.shape[1]))).ravel()
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], np.int64)
