"""Representatives: for each cluster of images, the one nearest its centroid."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.arrays import concatenated
from fewlabels.choosing.pool import pool_of
from fewlabels.clustering.kmeans import KMeans
from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import current

IN_MEMORY = 120_000
"""Up to so many images, the features of those that are clustered are read into memory."""


def representatives(
    features: Rows, rows: ArrayLike, labels: ArrayLike, n: int, *, exclude: Iterable[int] = (), random_state: int
) -> NDArray[np.int64]:
    """Choose the image nearest the centroid of each of n clusters of the pool.

    Labels are not used: the strategy suits a first round. Where m images are labelled already, it forms n + m clusters,
    and asks about the n largest that contain no labelled image.

    Parameters
    ----------
    features : ndarray or Pool of float32, shape (n_images, d)
    rows : array-like of int, shape (m,)
        The images labelled so far.
    labels : array-like, shape (m,)
        Their labels.
    n : int
        How many images to ask about next, 1 at least.
    exclude : iterable of int, default=()
        Images that must not be asked about.
    random_state : int
        Seeds k-means.

    Returns
    -------
    ndarray of int64, shape (n,)
        Distinct rows of the pool, or all of them where fewer than n remain.

    Raises
    ------
    ValueError
        As `pool_of` does.

    References
    ----------
    A. Géron, "Hands-On Machine Learning", chapter on unsupervised learning. With labels, as in G. Hacohen et al.,
    "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets", ICML 2022.

    Examples
    --------
    >>> features = np.array([[0], [1], [2], [10], [11], [12]], np.float32)
    >>> np.sort(representatives(features, [], [], 2, random_state=0))
    array([1, 4])
    >>> representatives(features, [1], [0], 1, random_state=0)
    array([4])
    """
    pool = pool_of(features, rows, labels, n, exclude)
    if len(pool) <= n:
        return pool
    labelled = np.asarray(rows, np.int64)
    members = np.append(pool, labelled)
    k = min(n + len(labelled), len(members))
    kmeans = KMeans(k, random_state=random_state).fit(_features_of(members, features))
    sizes = current().map_reduce(_sizes, np.add, kmeans.labels_, clusters=k)
    sizes[as_pool(kmeans.labels_).take(np.arange(len(pool), len(members)))] = 0  # these have a label
    largest = np.argsort(-sizes, kind="stable")[:n] if len(labelled) else np.arange(n)
    return members[nearest_members(kmeans.labels_, kmeans.distances_, k)[largest]]


def _features_of(members: NDArray[np.int64], features: Rows) -> Rows:
    """Give the features of some images: in memory, or as a pool, where they are more than memory may hold."""
    if not isinstance(features, Pool) or len(members) <= IN_MEMORY:
        return as_pool(features).take(members)
    if len(members) == len(features) and (np.diff(members) == 1).all():
        return features
    kept: Pool = current().map(_taken, Pool(members, features.chunk), features=features, label="features that are left")
    return kept


def _taken(rows: slice, members: NDArray[np.int64], *, features: Pool) -> NDArray[np.float32]:
    return features.take(members)


def _sizes(rows: slice, assignments: NDArray[np.int32], *, clusters: int) -> NDArray[np.int64]:
    return np.bincount(assignments, minlength=clusters)


def nearest_members(assignments: Rows, distances: Rows, clusters: int) -> NDArray[np.int64]:
    """Find, for each cluster, the member nearest its centroid.

    Only members of the own cluster stand for it. The nearest of *all* images, as in A. Géron's "Hands-On Machine
    Learning" (chapter on unsupervised learning), can be the same for two centroids: part of the budget is then unspent.

    Parameters
    ----------
    assignments : ndarray or Pool of int32, shape (n,)
        The cluster of each image, 0 to clusters - 1.
    distances : ndarray or Pool of float32, shape (n,)
        The distance of each image to the centroid of its cluster.
    clusters : int
        How many clusters there are.

    Returns
    -------
    ndarray of int64, shape (clusters,)
        Row of the representative of each cluster: distinct, the lowest row where two are equally near.

    Raises
    ------
    ValueError
        If a cluster has no member.

    Examples
    --------
    >>> nearest_members(np.array([0, 1, 0], np.int32), np.array([0.5, 1, 0.2], np.float32), clusters=2)
    array([2, 1])
    """
    found, _, rows = current().map_reduce(_nearest, _nearer, assignments, distances)
    if len(found) < clusters:
        raise ValueError(f"cluster {np.setdiff1d(np.arange(clusters), found)[0]} has no member")
    return rows


def nearest_of(candidates: NDArray[np.int64], assignments: Rows, distances: Rows) -> NDArray[np.int64]:
    """Find, for each cluster that has any of these candidates, the one nearest its centroid.

    Parameters
    ----------
    candidates : ndarray of int64, shape (m,)
        Distinct rows, ascending.
    assignments : ndarray or Pool of int32, shape (n,)
        The cluster of each image.
    distances : ndarray or Pool of float32, shape (n,)
        The distance of each image to the centroid of its cluster.

    Returns
    -------
    ndarray of int64
        Distinct candidates, in the order of their clusters.

    Examples
    --------
    >>> assignments, distances = np.array([0, 1, 0, 2], np.int32), np.array([0.5, 1, 0.2, 0], np.float32)
    >>> nearest_of(np.array([0, 1, 2]), assignments, distances)
    array([2, 1])
    """
    chosen = np.zeros(len(assignments), bool)
    chosen[candidates] = True
    _, _, rows = current().map_reduce(_nearest, _nearer, assignments, distances, chosen)
    return rows


Nearest = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]
"""Clusters, ascending, and for each the distance and the row of its nearest member."""


def _nearest(
    rows: slice,
    assignments: NDArray[np.int32],
    distances: NDArray[np.float32],
    chosen: NDArray[np.bool_] | None = None,
) -> Nearest:
    if chosen is None:
        return _first_of_each(assignments, distances, np.arange(rows.start, rows.stop))
    members = np.flatnonzero(chosen)
    return _first_of_each(assignments[members], distances[members], rows.start + members)


def _nearer(a: Nearest, b: Nearest) -> Nearest:
    assignments, distances, rows = concatenated(a, b)
    return _first_of_each(assignments, distances, rows)


def _first_of_each(assignments: NDArray[np.int32], distances: NDArray[np.float32], rows: NDArray[np.int64]) -> Nearest:
    """Keep one member of each cluster, the first of those that are equally near."""
    order = np.lexsort((distances, assignments))
    first = order[np.flatnonzero(np.diff(assignments[order], prepend=-1))]
    return assignments[first], distances[first], rows[first]
