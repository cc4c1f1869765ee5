"""Label propagation within clusters: their members take the label of the representative."""

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet


def propagate(
    representatives: LabelSet, assignments: NDArray[np.int32], kept: NDArray[np.bool_] | None = None
) -> LabelSet:
    """Give each image the label of its cluster's representative.

    Parameters
    ----------
    representatives : LabelSet
        At most one bought label for each cluster; labels that it does not mark as bought are not used.
    assignments : ndarray of int32, shape (n,)
        The cluster of each image.
    kept : ndarray of bool, shape (n,), optional
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
    labelled = np.bincount(assignments[paid], minlength=assignments.max(initial=-1) + 1)
    for wrong in np.flatnonzero(labelled > 1)[:1]:
        raise ValueError(f"cluster {wrong} has {labelled[wrong]} bought labels, not 1")
    label_of = np.zeros(len(labelled), np.uint8)
    label_of[assignments[paid]] = representatives.labels[representatives.bought]
    bought = np.zeros(len(assignments), bool)
    bought[paid] = True
    given = labelled[assignments] > 0
    rows = np.flatnonzero(given if kept is None else given & kept | bought)
    return LabelSet(rows=rows, labels=label_of[assignments[rows]], bought=bought[rows])


def within_percentile(
    assignments: NDArray[np.int32], distances: NDArray[np.float32], percentile: float
) -> NDArray[np.bool_]:
    """Select the images within a percentile of the distances in their own cluster.

    Parameters
    ----------
    assignments : ndarray of int32, shape (n,)
        The cluster of each image.
    distances : ndarray of float32, shape (n,)
        The distance of each image to the centroid of its cluster.
    percentile : float
        Between 0 (only the nearest) and 100 (all).

    Returns
    -------
    ndarray of bool, shape (n,)
        True where the distance is at most the percentile of the distances in its cluster, as `numpy.percentile`
        computes it.

    Examples
    --------
    >>> within_percentile(np.array([0, 0, 0], np.int32), np.array([1, 2, 9], np.float32), 50)
    array([ True,  True, False])
    """
    near = np.zeros(len(assignments), bool)
    order = np.argsort(assignments, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(assignments[order])) + 1) if len(order) else []:
        near[members] = distances[members] <= np.percentile(distances[members], percentile)
    return near
