"""Small computations on arrays that several methods share."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.pool import Rows, as_pool
from fewlabels.run import current
from fewlabels.threads import for_each_chunk

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

CHUNK = 1024
"""Rows that are computed at once."""


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
