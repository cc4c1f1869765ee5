"""The pool: which images a query strategy may ask about, copies of labelled ones last."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.arrays import first_occurrences
from fewlabels.pool import Rows, as_pool


def pool_of(
    features: Rows, rows: ArrayLike, labels: ArrayLike, n: int, exclude: Iterable[int] = ()
) -> NDArray[np.int64]:
    """Find the rows among which a query strategy chooses.

    The pool leaves out rows that are labelled or excluded, exact copies of them, and of rows that are copies of each
    other all but the lowest: a copy would cost a label and add nothing. Where fewer than n rows are left, copies fill
    the pool up to n. A strategy that finds at most n rows in its pool must return all of them.

    Parameters
    ----------
    features : ndarray or Pool of float32, shape (n_images, d)
    rows : array-like of int, shape (m,)
        The images labelled so far.
    labels : array-like, shape (m,)
        Their labels.
    n : int
        How many images the strategy is to choose.
    exclude : iterable of int, default=()
        Images that must not be asked about, such as those that an annotator could not name.

    Returns
    -------
    ndarray of int64
        Distinct and ascending.

    Raises
    ------
    ValueError
        If n is no whole number or below 1, features is not two-dimensional, rows and labels differ in length, or rows
        (distinct) or exclude are no valid row numbers.

    Examples
    --------
    >>> features = np.array([[0], [1], [1], [2], [0]], np.float32)
    >>> pool_of(features, rows=[0], labels=[7], n=1)
    array([1, 3])
    >>> pool_of(features, rows=[0], labels=[7], n=3, exclude=[3])
    array([1, 2, 4])
    """
    if len(as_pool(features).shape) != 2:
        raise ValueError(f"features: {len(as_pool(features).shape)} dimensions in place of 2, images and features")
    if not isinstance(exclude, Iterable) or isinstance(exclude, str):
        raise ValueError(f"exclude: {exclude!r} is no list of row numbers")
    excluded = row_numbers("exclude", exclude if isinstance(exclude, np.ndarray) else list(exclude), len(features))
    labelled = row_numbers("rows", rows, len(features))
    check_count("n", n)
    if np.ndim(labels) != 1:
        raise ValueError(f"labels: {np.ndim(labels)} dimensions in place of 1")
    if len(labelled) != len(np.asarray(labels)):
        raise ValueError(f"{len(labelled)} rows with {len(np.asarray(labels))} labels")
    if len(np.unique(labelled)) < len(labelled):
        raise ValueError("rows: one of them is labelled twice")
    free = np.ones(len(features), bool)
    free[labelled] = free[excluded] = False
    first = first_occurrences(as_pool(features)).array()
    known = np.zeros(len(features), bool)
    known[first[~free]] = True
    pool = np.flatnonzero(~known & (first == np.arange(len(features))))
    if len(pool) < n:
        free[pool] = False
        pool = np.sort(np.append(pool, np.flatnonzero(free)[: n - len(pool)]))
    return pool


def check_count(name: str, value: Any) -> None:
    """Refuse what is no whole number of 1 or more.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    value : object

    Raises
    ------
    ValueError
        With the name and the value.

    Examples
    --------
    >>> check_count("n", 2.5)
    Traceback (most recent call last):
    ValueError: n: 2.5 is no whole number
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name}: {value!r} is no whole number")
    if value < 1:
        raise ValueError(f"{name}: {value} is not 1 or more")


def row_numbers(name: str, rows: ArrayLike, count: int) -> NDArray[Any]:
    """Check row numbers.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    rows : array-like of int, shape (m,)
    count : int
        How many rows there are.

    Returns
    -------
    ndarray of int, shape (m,)

    Raises
    ------
    ValueError
        If they are no list of whole numbers, or one is not between 0 and count - 1.

    Examples
    --------
    >>> row_numbers("rows", [2, 0], count=3)
    array([2, 0])
    """
    chosen = np.asarray(rows)
    if chosen.shape == (0,):
        return np.empty(0, np.int64)
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
        raise ValueError(f"{name}: {chosen.dtype} of shape {chosen.shape} is no list of row numbers")
    if chosen.min() < 0 or chosen.max() >= count:
        raise ValueError(f"{name}: one of them is not between 0 and {count - 1}")
    return chosen
