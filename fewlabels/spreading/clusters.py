"""Label propagation within clusters: their members take the label of the representative."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Doubles, Floats, concatenated
from fewlabels.label_set import LabelSet
from fewlabels.pool import Kind, Rows, as_pool
from fewlabels.run import current

SHIFTS = (21, 10, 0)
"""Of the 32 bits of a distance, those that are left after the first 11, after the next 11, and after the last 10."""
NO_LABEL = -1
"""In place of the label of a cluster that has none."""
INFINITY = int(np.float32(np.inf).view(np.uint32))
"""The bits of infinity: of 0 and more, none has higher ones; of negative numbers and of NaN all have."""


def propagate(representatives: LabelSet, assignments: Rows, kept: Rows | None = None) -> LabelSet:
    """Give each image the label of its cluster's representative.

    Parameters
    ----------
    representatives : LabelSet
        At most one bought label for each cluster; labels that it does not mark as bought are not used.
    assignments : ndarray or Pool of int32, shape (n,)
        The cluster of each image.
    kept : ndarray or Pool of bool, shape (n,), optional
        Which images to give a label at all; the representatives always keep theirs.

    Returns
    -------
    LabelSet
        Every kept image with its inferred label and every representative with its bought one. Images of a cluster
        without a bought label have none.

    Raises
    ------
    ValueError
        If a bought row is none of the images, or a cluster has more than one bought label.

    Examples
    --------
    >>> spread = propagate(LabelSet.from_bought([0, 2], [7, 3]), np.array([0, 0, 1], np.int32))
    >>> spread.labels, spread.bought
    (array([7, 7, 3], dtype=uint8), array([ True, False,  True]))
    """
    paid = representatives.rows[representatives.bought]
    if len(paid) and paid[-1] >= len(assignments):
        raise ValueError(f"representatives: row {paid[-1]} of {len(assignments)} images")
    own = as_pool(assignments).take(paid)
    labelled = np.bincount(own)
    for wrong in np.flatnonzero(labelled > 1)[:1]:
        raise ValueError(f"cluster {wrong} has {labelled[wrong]} bought labels, not 1")
    label_of = np.full(len(labelled) + 1, NO_LABEL, np.int16)
    label_of[own] = representatives.labels[representatives.bought]
    sources = [assignments] if kept is None else [assignments, kept]
    rows, labels, bought = current().map_reduce(_spread, concatenated, *sources, label_of=label_of, paid=paid)
    return LabelSet(rows, labels, bought)


def _spread(
    rows: slice,
    assignments: NDArray[np.int32],
    kept: NDArray[np.bool_] | None = None,
    *,
    label_of: NDArray[np.int16],
    paid: NDArray[np.int64],
) -> tuple[NDArray[Any], ...]:
    """Give rows, labels and whether they were bought, as in a label set; the last of `label_of` is no label."""
    bought = np.zeros(len(assignments), bool)
    bought[paid[slice(*np.searchsorted(paid, [rows.start, rows.stop]))] - rows.start] = True
    labels = label_of[np.minimum(assignments, len(label_of) - 1)]
    given = labels != NO_LABEL
    there = np.flatnonzero(given if kept is None else given & kept | bought)
    return rows.start + there, labels[there].astype(np.uint8), bought[there]


def within_percentile(assignments: Kind, distances: Kind, percentile: float) -> Kind:
    """Select the images within a percentile of the distances in their own cluster.

    The percentiles are exact, however many images there are: by radix selection. A pass counts the images of each
    cluster, and each of three more those that have further bits of their distance in common with what is looked for.
    So what a pass counts is at most some thousand numbers a cluster.

    Parameters
    ----------
    assignments : ndarray or Pool of int32, shape (n,)
        The cluster of each image.
    distances : ndarray or Pool of float32, shape (n,)
        The distance of each image to the centroid of its cluster.
    percentile : float
        Between 0 (only the nearest) and 100 (all).

    Returns
    -------
    ndarray or Pool of bool, shape (n,)
        True where the distance is at most the percentile of the distances in its cluster, as `numpy.percentile`
        computes it.

    Raises
    ------
    ValueError
        If the percentile is not between 0 and 100, or distances are not float32, or one of them is negative or NaN.

    References
    ----------
    D. Knuth, "The Art of Computer Programming", volume 3, section 5.2.5: sorting by the digits of a number.

    Examples
    --------
    >>> within_percentile(np.array([0, 0, 0], np.int32), np.array([1, 2, 9], np.float32), 50)
    array([ True,  True, False])
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile: {percentile} is not between 0 and 100")
    if distances.dtype != np.float32:
        raise ValueError(f"distances: {distances.dtype} in place of float32")
    limits = _limits(assignments, distances, float(percentile))
    near: Kind = current().map(_within, assignments, distances, limits=limits, label="distances within the percentile")
    return near


def _limits(assignments: Rows, distances: Rows, percentile: float) -> Floats:
    """Compute the percentile of each cluster, by the number of the cluster; NaN where it has no members."""
    clusters, sizes = _counted(assignments, distances, before=32, shift=32)
    # As numpy.percentile has it: a position between two ranks, and the values there.
    position = (sizes - 1) * (percentile / 100)
    below = np.floor(position).astype(np.int64)
    ranks, prefixes, before = np.append(below, np.minimum(below + 1, sizes - 1)), np.append(clusters, clusters), 32
    for shift in SHIFTS:
        longer, counts = _counted(assignments, distances, before, shift, wanted=np.unique(prefixes))
        ends = np.cumsum(counts)
        ranks += (ends - counts)[np.searchsorted(longer >> (before - shift), prefixes)]
        place = np.searchsorted(ends, ranks, side="right")
        ranks, prefixes, before = ranks - (ends - counts)[place], longer[place], shift
    low, high = np.split((prefixes & 0xFFFFFFFF).astype(np.uint32).view(np.float32), 2)
    limits = np.full(int(clusters.max(initial=0)) + 1, np.nan, np.float32)
    limits[clusters.astype(np.int64)] = _between(low, high, np.asarray(position - below, np.float64))
    return limits


def _between(low: Floats, high: Floats, share: Doubles) -> Floats:
    """Interpolate in float32, from the nearer end, as numpy does."""
    apart = high - low
    from_low, from_high = low + apart * share.astype(np.float32), high - apart * (1 - share).astype(np.float32)
    return np.where(share < 0.5, from_low, from_high)


def _counted(
    assignments: Rows, distances: Rows, before: int, shift: int, wanted: NDArray[np.uint64] | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Count images by their cluster and the first bits of their distance, all but `shift` of them.

    Only those are counted whose cluster and first bits, all but `before` of them, are among the wanted ones.
    """
    return current().map_reduce(
        _count, _sum_of_counts, assignments, distances, before=before, shift=shift, wanted=wanted
    )


def _count(
    rows: slice,
    assignments: NDArray[np.int32],
    distances: Floats,
    *,
    before: int,
    shift: int,
    wanted: NDArray[np.uint64] | None,
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    bits = (distances + np.float32(0)).view(np.uint32)  # ordered as the distances are, once -0.0 is 0.0
    wrong = bits > INFINITY
    if wrong.any():
        raise ValueError(f"distances: row {rows.start + int(wrong.argmax())} is not 0 or more")
    keys = assignments.astype(np.uint64) << 32 | bits
    if wanted is not None:
        keys = keys[np.isin(keys >> before, wanted)]
    prefixes, counts = np.unique(keys >> shift, return_counts=True)
    return prefixes, counts


def _sum_of_counts(
    a: tuple[NDArray[np.uint64], NDArray[np.int64]], b: tuple[NDArray[np.uint64], NDArray[np.int64]]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    every, counts = concatenated(a, b)
    prefixes, place = np.unique(every, return_inverse=True)
    sums = np.zeros(len(prefixes), np.int64)
    np.add.at(sums, place, counts)
    return prefixes, sums


def _within(rows: slice, assignments: NDArray[np.int32], distances: Floats, *, limits: Floats) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = distances <= limits[assignments]
    return near
