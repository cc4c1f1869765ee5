"""Small computations on arrays that several methods share."""

import operator
from collections.abc import Callable
from functools import reduce
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.utils.extmath import randomized_svd

from fewlabels.pool import Rows, as_pool
from fewlabels.run import current
from fewlabels.threads import for_each_chunk, map_chunks, one_blas_thread

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

CHUNK = 1024
"""Rows, or columns, that are multiplied at once."""
EXACT_SIDE = 4096
"""Rows and columns of the largest matrix whose eigenvectors are computed exactly, in some seconds."""


class ComputedRows:
    """Rows that are computed each time they are looked at, where all of them at once would take too much memory.

    Parameters
    ----------
    compute : callable
        Takes a slice of rows and returns these, a new ndarray of float32, shape (m, d): the same each time.
    shape : (int, int)
        Of all rows together, (n, d).

    Examples
    --------
    >>> rows = ComputedRows(lambda rows: np.arange(6, dtype=np.float32).reshape(3, 2)[rows], (3, 2))
    >>> len(rows), rows[1:]
    (3, array([[2., 3.],
           [4., 5.]], dtype=float32))
    """

    def __init__(self, compute: Callable[[slice], Floats], shape: tuple[int, int]) -> None:
        self.compute = compute
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Floats:
        return self.compute(slice(*rows.indices(len(self))))

    def array(self) -> Floats:
        """Compute all rows, on all cores.

        Returns
        -------
        ndarray of float32, shape (n, d)
        """
        out = np.empty(self.shape, np.float32)

        def fill(rows: slice) -> None:
            out[rows] = self.compute(rows)

        for_each_chunk(fill, len(self), CHUNK)
        return out


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


def first_occurrences(X: Rows) -> Any:
    """Find, for each row, the first row with exactly the same values: itself unless it is a copy.

    Rows are compared by digests of 128 bits. The run computes them; of these, a half, 8 bytes a row, is sorted in the
    memory of this process, twice that while it is sorted.

    Parameters
    ----------
    X : ndarray or Pool of numbers, shape (n, d)

    Returns
    -------
    ndarray or Pool of int64, shape (n,)

    Examples
    --------
    >>> first_occurrences(np.array([[1, 2], [3, 4], [1, 2]]))
    array([0, 1, 0])
    """
    one_half, other_half = current().map(_digests, X, outputs=2, label="digests")
    ordered = np.sort(as_pool(one_half).array())
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    rows, *halves = current().map_reduce(_among, concatenated, one_half, other_half, repeated=repeated)
    originals = _lowest_of_equal(rows, halves)
    copies = originals != rows
    return current().map(_first, one_half, copies=rows[copies], originals=originals[copies], label="copies")


def _digests(rows: slice, values: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    digests = np.empty((2, len(values)), np.uint64)
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK] + 0  # -0.0 becomes 0.0, which has other bytes and is no other number
        joined = b"".join(blake2b(row.tobytes(), digest_size=16).digest() for row in chunk)
        digests[:, start : start + CHUNK] = np.frombuffer(joined, np.uint64).reshape(-1, 2).T
    return digests[0], digests[1]


def _among(
    rows: slice, one_half: NDArray[np.uint64], other_half: NDArray[np.uint64], *, repeated: NDArray[np.uint64]
) -> tuple[NDArray[Any], ...]:
    """Give the rows one half of whose digest is repeated, and both halves."""
    there = np.flatnonzero(np.isin(one_half, repeated))
    return rows.start + there, one_half[there], other_half[there]


def _lowest_of_equal(rows: NDArray[np.int64], halves: list[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """Find, for each of some ascending rows, the lowest one with its digest."""
    order = np.lexsort(halves)  # stable: among rows with the same digest, the lowest comes first
    starts = np.ones(len(rows), bool)
    starts[1:] = np.any([half[order][1:] != half[order][:-1] for half in halves], axis=0)
    lowest = np.empty_like(rows)
    lowest[order] = rows[order][starts][np.cumsum(starts) - 1]
    return lowest


def _first(
    rows: slice, digests: NDArray[np.uint64], *, copies: NDArray[np.int64], originals: NDArray[np.int64]
) -> NDArray[np.int64]:
    first = np.arange(rows.start, rows.stop)
    within = slice(*np.searchsorted(copies, [rows.start, rows.stop]))
    first[copies[within] - rows.start] = originals[within]
    return first


def concatenated(a: tuple[NDArray[Any], ...], b: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
    """Join what was found in earlier rows and in later ones: a way to combine for `map_reduce`.

    Parameters
    ----------
    a, b : tuple of ndarray
        As many in both.

    Returns
    -------
    tuple of ndarray

    Examples
    --------
    >>> concatenated((np.array([1]), np.array([5])), (np.array([2]), np.array([7])))
    (array([1, 2]), array([5, 7]))
    """
    return tuple(np.concatenate(pair) for pair in zip(a, b, strict=True))
