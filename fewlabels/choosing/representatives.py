"""Representatives: for each cluster of images, the one nearest its centroid."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.arrays import Floats
from fewlabels.choosing.pool import pool_of
from fewlabels.clustering.kmeans import KMeans


def representatives(
    features: Floats, rows: ArrayLike, labels: ArrayLike, n: int, *, exclude: Iterable[int] = (), random_state: int
) -> NDArray[np.int64]:
    """Choose the image nearest the centroid of each of n clusters of the pool.

    Labels are not used: the strategy suits a first round. Where m images are labelled already, it forms n + m clusters,
    and asks about the n largest that contain no labelled image.

    Parameters
    ----------
    features : ndarray of float32, shape (n_images, d)
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
    kmeans = KMeans(k, random_state=random_state).fit(features[members])
    sizes = np.bincount(kmeans.labels_, minlength=k)
    sizes[kmeans.labels_[len(pool) :]] = 0  # these have a label
    largest = np.argsort(-sizes, kind="stable")[:n] if len(labelled) else np.arange(n)
    return members[nearest_members(kmeans.labels_, kmeans.distances_, k)[largest]]


def nearest_members(assignments: NDArray[np.int32], distances: NDArray[np.float32], clusters: int) -> NDArray[np.int64]:
    """Find, for each cluster, the member nearest its centroid.

    Only members of the own cluster stand for it. The nearest of *all* images, as in A. Géron's "Hands-On Machine
    Learning" (chapter on unsupervised learning), can be the same for two centroids: part of the budget is then unspent.

    Parameters
    ----------
    assignments : ndarray of int32, shape (n,)
        The cluster of each image, 0 to clusters - 1.
    distances : ndarray of float32, shape (n,)
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
    order = np.lexsort((distances, assignments))
    sizes = np.bincount(assignments, minlength=clusters)
    if sizes.min() == 0:
        raise ValueError(f"cluster {int(sizes.argmin())} has no member")
    firsts: NDArray[np.int64] = order[np.concatenate([[0], np.cumsum(sizes)[:-1]])]
    return firsts


def nearest_of(
    candidates: NDArray[np.int64], assignments: NDArray[np.int32], distances: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Find, for each cluster that has any of these candidates, the one nearest its centroid.

    Parameters
    ----------
    candidates : ndarray of int64, shape (m,)
        Distinct rows, ascending.
    assignments : ndarray of int32, shape (n,)
        The cluster of each image.
    distances : ndarray of float32, shape (n,)
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
    if not len(candidates):
        return candidates
    there, place = np.unique(assignments[candidates], return_inverse=True)
    return candidates[nearest_members(place.astype(np.int32), distances[candidates], len(there))]
