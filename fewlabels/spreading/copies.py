"""Exact copies of an image have its label, which is paid for once, and the very same features."""

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats, concatenated
from fewlabels.label_set import LabelSet
from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import current


def label_copies(label_set: LabelSet, first_occurrences: Rows) -> LabelSet:
    """Give exact copies of labelled images their labels.

    Parameters
    ----------
    label_set : LabelSet
        Without probabilities.
    first_occurrences : ndarray or Pool of int64, shape (n,)
        For each image the first one that equals it, as from `fewlabels.arrays.first_occurrences`.

    Returns
    -------
    LabelSet
        The same rows and those of their copies, whose labels are inferred, not bought. Where copies were labelled
        differently, further copies take the label of the lowest row.

    Raises
    ------
    ValueError
        If the label set has probabilities.

    Examples
    --------
    >>> both = label_copies(LabelSet.from_bought([1], [5]), np.array([0, 1, 1]))
    >>> both.rows, both.labels, both.bought
    (array([1, 2]), array([5, 5], dtype=uint8), array([ True, False]))
    """
    if label_set.probabilities is not None:
        raise ValueError("the label set has probabilities, which copies do not take")
    originals, place = np.unique(as_pool(first_occurrences).take(label_set.rows), return_index=True)
    alike, first = current().map_reduce(_alike, concatenated, first_occurrences, originals=originals)
    others = ~np.isin(alike, label_set.rows)
    copies, labels = alike[others], label_set.labels[place[np.searchsorted(originals, first[others])]]
    rows = np.append(label_set.rows, copies)
    order = np.argsort(rows)
    return LabelSet(
        rows[order],
        np.append(label_set.labels, labels)[order],
        np.append(label_set.bought, np.zeros(len(copies), bool))[order],
    )


def _alike(
    rows: slice, first: NDArray[np.int64], *, originals: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the rows that equal one of the originals, and which one."""
    there = np.flatnonzero(np.isin(first, originals))
    return rows.start + there, first[there]


def features_of_originals(features: Rows, first_occurrences: NDArray[np.int64]) -> Rows:
    """Give copies the very features of their original: rounding could tell them apart.

    Parameters
    ----------
    features : ndarray or Pool of float32, shape (n, d)
    first_occurrences : ndarray of int64, shape (n,)
        For each image the first one that equals it.

    Returns
    -------
    ndarray or Pool of float32, shape (n, d)
        What was given, if there are no copies.

    Examples
    --------
    >>> features_of_originals(np.array([[1.0], [2.0], [1.1]], np.float32), np.array([0, 1, 0]))
    array([[1.],
           [2.],
           [1.]], dtype=float32)
    """
    if np.array_equal(first_occurrences, np.arange(len(features))):
        return features
    copied: Rows = current().map(
        _copied, features, first_occurrences, every=as_pool(features), label="features of copies"
    )
    return copied


def _copied(rows: slice, features: Floats, first_occurrences: NDArray[np.int64], *, every: Pool) -> Floats:
    copies = np.flatnonzero(first_occurrences != np.arange(rows.start, rows.stop))
    features = np.array(features)
    features[copies] = every.take(first_occurrences[copies])
    return features
