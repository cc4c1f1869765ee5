"""Where points lie from an origin, in a unit: so that float32 holds their differences wherever they are.

Float32 has 7 digits, and squares of its numbers overflow beyond 1e19. So points are seen from their mean, in float64,
and only then rounded; and in a unit in which none of them is above 1.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import CHUNK, ComputedRows, Doubles, Floats, evenly_spaced
from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import current
from fewlabels.threads import map_chunks

DTYPES = (np.float64, np.float32, np.uint8)
"""What is read without a conversion, by compiled loops, too; other numbers become the first."""
SMALLEST, LARGEST = 1e-30, 1e30
"""Distances that float32 holds in full precision, sums over thousands of dimensions included."""
AT_ONCE = 25_000
"""Numbers that are float64 at once, or one point: so few that they stay in the cache of a core."""
OUTLYING = 3000
"""Times the usual distance from the medians: beyond it a point is an outlier."""


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
        Without NaN.
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


def _spread(X: NDArray[Any], origin: Doubles) -> float:
    """Look at the least and the greatest number of each dimension: none is farther off."""
    with np.errstate(over="ignore"):
        apart = np.maximum(X.max(axis=0) - origin, origin - X.min(axis=0))
    return float(np.max(apart, initial=0.0, where=apart > 1e-15 * np.abs(origin)))


def center_and_spread(X: NDArray[Any] | ComputedRows) -> tuple[Doubles, float]:
    """Compute the mean of points and how far from it, in any one dimension, any point is, in one pass.

    Parameters
    ----------
    X : ndarray of float64, float32 or uint8, or ComputedRows, shape (n, d)

    Returns
    -------
    center : ndarray of float64, shape (d,)
        As of `center_of`; rows are added one after the other, so that how they are cut changes no bit.
    spread : float
        As of `spread_about` this center.

    Examples
    --------
    >>> center_and_spread(np.array([[0, 255], [1, 255]], np.uint8))
    (array([  0.5, 255. ]), 0.5)
    """
    total = np.zeros(X.shape[1])
    lowest, highest = np.full_like(total, np.inf), np.full_like(total, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for part in map_chunks(lambda rows: X[rows], len(X), CHUNK):
            for row in part:  # one after the other, as numpy adds them: the same sum whatever the chunks
                total += row
            lowest, highest = np.minimum(lowest, part.min(axis=0)), np.maximum(highest, part.max(axis=0))
        center = total / len(X)
    return center, spread_about(np.stack([lowest, highest]), center)


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
        Infinite where float32 has no number for it.

    Examples
    --------
    >>> relative_to(np.array([[1e8 + 1], [1e8 + 5]]), np.array([1e8]), unit=2)
    array([[0.5],
           [2.5]], dtype=float32)
    """
    if out is None or out.dtype != np.float32:
        out = np.empty(X.shape, np.float32)
    step = max(1, AT_ONCE // max(1, X.shape[1]))
    apart = np.empty((min(step, len(X)), X.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(X), step):
            rows = slice(start, start + step)
            part = np.subtract(X[rows], origin, out=apart[: len(out[rows])])
            np.multiply(part, 1 / unit, out=out[rows], casting="same_kind")
    return out
