"""Small computations on arrays that several methods share."""

import sys
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.utils.extmath import randomized_svd

from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import current
from fewlabels.threads import compiled, map_chunks, one_blas_thread

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

DTYPES = (np.float64, np.float32, np.uint8)
"""What the compiled loops take without a conversion; other numbers become the first."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Distances that float32 holds in full precision, sums over thousands of dimensions included."""
OUTLYING = 3000
"""Times the usual distance from the medians: beyond it a point is an outlier."""
CHUNK = 1024
"""Rows, or columns, that are multiplied at once."""
EXACT_SIDE = 4096
"""Rows and columns of the largest matrix whose eigenvectors are computed exactly, in some seconds."""


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


def center_of(X: NDArray[Any]) -> Doubles:
    """Compute the mean of points, in float64.

    Parameters
    ----------
    X : ndarray of float64, float32 or uint8, shape (n, d)

    Returns
    -------
    ndarray of float64, shape (d,)
        Infinite where the sum overflows: `spread_about` and `unit_of` then refuse the points.

    Examples
    --------
    >>> center_of(np.array([[0, 255], [1, 255]], np.uint8))
    array([  0.5, 255. ])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        center: Doubles = X.mean(axis=0, dtype=np.float64)
    return center


def spread_about(X: Rows, origin: Doubles) -> float:
    """Find how far, in any one dimension, any point is from an origin near the points.

    Parameters
    ----------
    X : ndarray or Pool of float64, float32 or uint8, shape (n, d)
    origin : ndarray of float64, shape (d,)

    Returns
    -------
    float
        0 where points differ from the origin by no more than its rounding, infinity where the origin has no number.

    Examples
    --------
    >>> spread_about(np.array([[1e8], [1e8 + 3]]), np.array([1e8 + 1]))
    2.0
    """
    if not np.isfinite(origin).all():
        return np.inf
    if isinstance(X, Pool):
        return current().map_reduce(_spread_of_chunk, max, X, origin=origin)
    return max(map_chunks(lambda rows: _spread(X[rows], origin), len(X), CHUNK), default=0.0)


def _spread_of_chunk(rows: slice, X: NDArray[Any], *, origin: Doubles) -> float:
    return spread_about(X, origin)


def check_points(X: Pool) -> None:
    """Refuse a pool that points cannot be read from, as scikit-learn's checks do with an array.

    Parameters
    ----------
    X : Pool

    Raises
    ------
    ValueError
        If it is not of float64, float32 or uint8 and two dimensions, has no rows or columns, or holds NaN or infinity.

    Examples
    --------
    >>> check_points(Pool([[0.0], [np.nan]]))
    Traceback (most recent call last):
    ValueError: X: row 1 contains NaN
    """
    if len(X.shape) != 2 or 0 in X.shape:
        raise ValueError(f"X: a pool of shape {X.shape}, not (n_samples, n_features) with one of each at least")
    if X.dtype not in DTYPES:
        raise ValueError(f"X: a pool of {X.dtype}, not of float64, float32 or uint8")
    if X.dtype == np.uint8:
        return
    row = current().map_reduce(_first_not_finite, min, X, label="checking numbers")
    if row < len(X):
        raise ValueError(f"X: row {row} contains {'NaN' if np.isnan(X.take([row])).any() else 'infinity'}")


def _first_not_finite(rows: slice, X: NDArray[Any]) -> int:
    """Find the first row with NaN or infinity; what is larger than any row where there is none."""
    finite = np.isfinite(X).all(axis=1)
    return sys.maxsize if finite.all() else rows.start + int(finite.argmin())


def has_outliers(X: Rows) -> bool:
    """Tell whether some points are so far off that float32, which has to hold these, cannot tell the others apart.

    Parameters
    ----------
    X : ndarray or Pool of float64, float32 or uint8, shape (n, d)

    Returns
    -------
    bool
        True if a point is more than OUTLYING times as far from the medians as nine of ten are; never for whole numbers.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [2.0]] * 10)
    >>> has_outliers(points), has_outliers(np.append(points, [[1e6]], axis=0))
    (False, True)
    """
    if X.dtype == np.uint8:
        return False
    sample = as_pool(X).take(evenly_spaced(len(X), 1_000)).astype(np.float64)
    medians = np.median(sample, axis=0)
    usual = float(np.quantile(np.abs(sample - medians).max(axis=1), 0.9))
    return usual > 0 and spread_about(X, medians) > OUTLYING * usual


def unit_of(spread: float) -> float:
    """Choose a unit, a power of two, in which no coordinate is above 1: so that squares neither overflow nor underflow.

    Parameters
    ----------
    spread : float
        How far points are from their origin, as from `spread_about`.

    Raises
    ------
    ValueError
        If it is above 1e30, or below 1e-30 and not 0: sums of distances then have no float32.

    Examples
    --------
    >>> unit_of(3.0), unit_of(1.0), unit_of(0.0)
    (4.0, 1.0, 1.0)
    """
    if spread == 0:
        return 1.0
    if not SMALLEST <= spread <= LARGEST:
        raise ValueError(f"X: values {spread:.3g} from their mean; {SMALLEST:g} is the least and {LARGEST:g} the most")
    return float(2.0 ** np.ceil(np.log2(spread)))


def relative_to(X: NDArray[Any], origin: Doubles, unit: float = 1.0, out: NDArray[Any] | None = None) -> Floats:
    """Compute where points lie from an origin, in a unit: in float64, and only then rounded to float32.

    Rounded first, points far from zero would lose their differences: float32 has 7 digits.

    Parameters
    ----------
    X : ndarray of float64, float32 or uint8, shape (n, d)
    origin : ndarray of float64, shape (d,)
    unit : float, default=1
    out : ndarray, shape (n, d), optional
        Overwritten with the result, if it is float32, such as X itself; otherwise a new array is made.

    Returns
    -------
    ndarray of float32, shape (n, d)

    Examples
    --------
    >>> relative_to(np.array([[1e8 + 1], [1e8 + 5]]), np.array([1e8]), unit=2)
    array([[0.5],
           [2.5]], dtype=float32)
    """
    if out is None or out.dtype != np.float32:
        out = np.empty(X.shape, np.float32)
    _relative(X, origin, 1 / unit, out)
    return out


@compiled
def _relative(X: Any, origin: Any, factor: float, out: Any) -> None:
    for i in range(X.shape[0]):
        for t in range(X.shape[1]):
            out[i, t] = (X[i, t] - origin[t]) * factor


@compiled
def _spread(X: Any, origin: Any) -> float:
    most = 0.0
    for i in range(X.shape[0]):
        for t in range(X.shape[1]):
            apart = abs(X[i, t] - origin[t])
            most = max(most, apart if apart > 1e-15 * abs(origin[t]) else 0.0)
    return most


def principal_axes(X: Floats, count: int) -> tuple[Floats, Floats]:
    """Compute the directions in which points lie farthest from 0, by the smaller of the two matrices of their products.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        Centred, if the variance is what matters.
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
    if side > EXACT_SIDE:
        with one_blas_thread():
            _, lengths, directions = randomized_svd(X, count, n_iter=4, random_state=0)
        return np.square(lengths), np.ascontiguousarray(directions.T)
    if d <= n:
        products = sum(map_chunks(lambda rows: X[rows].T @ X[rows], n, CHUNK))
    else:
        products = sum(map_chunks(lambda columns: X[:, columns] @ X[:, columns].T, d, CHUNK))
    with one_blas_thread():
        squares, vectors = eigh(products, subset_by_index=(side - count, side - 1), check_finite=False)
    squares, vectors = np.maximum(squares[::-1], 0), np.ascontiguousarray(vectors[:, ::-1])
    if d > n:
        there = squares > 1e-6 * squares[0]  # less is rounding
        vectors = vectors * np.where(there, 1 / np.sqrt(np.where(there, squares, 1)), 0).astype(np.float32)
        vectors = np.concatenate(list(map_chunks(lambda columns: X[:, columns].T @ vectors, d, CHUNK)))
    return squares, vectors


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
