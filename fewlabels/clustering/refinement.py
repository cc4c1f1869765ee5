"""k-means of more points than are worth computing with at once: fitted on a sample, then refined on all of them.

1. All points are projected on axes that hold most of the variance. A sample of them is clustered as few points are.
2. In rounds, blocks of points make the moves of Hartigan's method by the same centroids, each block on a copy of its
   own. Then the means of all points are taken.
3. The means are computed in all dimensions.

Sums are of whole numbers, which float64 adds without rounding: in any order, and in chunks of any size, the centroids
are the same.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Doubles, Floats
from fewlabels.clustering import loops
from fewlabels.clustering.assignment import CHUNK, assign_to_nearest
from fewlabels.clustering.formation import (
    FEW_CLUSTERS,
    LAST_PASSES,
    Projection,
    axes_sample_size,
    form_clusters,
    least_moved,
)
from fewlabels.clustering.nonempty import assign_all
from fewlabels.clustering.partition import CANDIDATES, FEW_DIMENSIONS, factors_of, neighbours_of
from fewlabels.pool import Rows, as_pool
from fewlabels.run import Local, current
from fewlabels.threads import for_each_chunk

SAMPLE_ROWS, ROWS_PER_CLUSTER = 120_000, 60
"""Points up to which all are computed with at once, and of which the sample is; at least so many for each cluster."""
ROUNDS, SETTLED = 24, 0.002
"""Rounds of moves at most; and the share of points that the last one may move, fewer for few clusters."""
GRID = 2.0**30
"""Parts of the unit of coordinates that sums are exact to."""


def sample_size(k: int) -> int:
    """Choose how many points the sample has, for k clusters; no more points than these are all computed with at once.

    Parameters
    ----------
    k : int

    Returns
    -------
    int

    Examples
    --------
    >>> sample_size(500), sample_size(5000)
    (120000, 300000)
    """
    return max(SAMPLE_ROWS, ROWS_PER_CLUSTER * k)


def sampled_rows(n: int, count: int, random: np.random.RandomState) -> NDArray[np.int64]:
    """Draw rows, one of each of as many stretches of equal length: no array of all rows is needed.

    Parameters
    ----------
    n : int
        How many rows there are.
    count : int
        How many to draw, at most n.
    random : RandomState

    Returns
    -------
    ndarray of int64, shape (count,)
        Distinct and ascending.

    Examples
    --------
    >>> sampled_rows(10, 5, np.random.RandomState(0)) // 2
    array([0, 1, 2, 3, 4])
    """
    edges = np.linspace(0, n, count + 1).astype(np.int64)
    return edges[:-1] + (random.uniform(size=count) * np.diff(edges)).astype(np.int64)


def refine_clusters(X: Rows, k: int, random: np.random.RandomState) -> tuple[Doubles, int]:
    """Find the centroids of many points, and count the passes over them or the sample.

    Parameters
    ----------
    X : ndarray or Pool of float64, float32 or uint8, shape (n, d)
        At least k points.
    k : int
        How many clusters.
    random : RandomState

    Returns
    -------
    centroids : ndarray of float64, shape (k, d)
    passes : int

    References
    ----------
    J. Hartigan, "Clustering Algorithms", 1975. P. Bradley and U. Fayyad, "Refining initial points for k-means
    clustering", ICML 1998.

    Examples
    --------
    >>> points = np.repeat(np.array([[0, 0], [0, 2], [9, 9]], np.float32), 50_000, axis=0)
    >>> np.sort(refine_clusters(points, 2, np.random.RandomState(0))[0], axis=0).round(6)
    array([[0., 1.],
           [9., 9.]])
    """
    axes_rows = sampled_rows(len(X), min(len(X), axes_sample_size(X.shape[1])), random)
    projection = Projection(as_pool(X).take(axes_rows), random)
    Z = current().map(_projected, X, projection=projection, label="k-means: projecting")
    C, passes = _of_sample(Z, k, random)
    labels, _, _ = assign_all(Z, C)
    nowhere = np.zeros(C.shape[1])
    means, sizes, _ = _means(Z, labels, labels, C, nowhere, 1.0)
    for _ in range(ROUNDS):
        C, passes, before = means.astype(np.float32), passes + 1, labels
        near = neighbours_of(C, CANDIDATES)
        labels = current().map(_moved, Z, before, C=C, sizes=sizes, near=near, label="k-means: moving points")
        means, sizes, moved = _means(Z, labels, before, C, nowhere, 1.0)
        if moved <= min(SETTLED, least_moved(k)) * len(X):
            break
    centroids = projection.origin + projection.unit * (means @ projection.axes.T)
    centroids, _, _ = _means(X, labels, labels, centroids, projection.origin, projection.unit)
    for _ in range(LAST_PASSES if k <= FEW_CLUSTERS else 0):
        labels, _ = assign_to_nearest(X, centroids)
        centroids, _, _ = _means(X, labels, labels, centroids, projection.origin, projection.unit)
        passes += 1
    return centroids, passes


def _of_sample(Z: Rows, k: int, random: np.random.RandomState) -> tuple[Floats, int]:
    """Cluster the sample, here: how many workers there are does not matter."""
    sample = as_pool(Z).take(sampled_rows(len(Z), min(len(Z), sample_size(k)), random))
    with Local():
        _, C, passes = form_clusters(sample, k, random)
    return C, passes


def _projected(rows: slice, X: NDArray[Any], *, projection: Projection) -> Floats:
    return projection.project(X)


def _moved(
    rows: slice, Z: Floats, labels: NDArray[np.int32], *, C: Floats, sizes: NDArray[np.int64], near: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Make the moves that lower the inertia, of a block of points as if all others stayed."""
    leave, join = factors_of(sizes)
    few = min(FEW_DIMENSIONS, Z.shape[1])
    to, after = np.empty_like(labels), labels.copy()

    def move(block: slice) -> None:
        loops.propose(Z, labels, C, leave, join, near, few, block.start, block.stop, to)
        loops.commit(Z[block], after[block], C.copy(), sizes.copy(), to[block])

    for_each_chunk(move, len(Z), CHUNK)
    return after


def _means(
    X: Rows, labels: Rows, before: Rows, otherwise: NDArray[Any], origin: Doubles, unit: float
) -> tuple[Doubles, NDArray[np.int64], int]:
    """Compute means and sizes of clusters, an empty one's mean being given; and count the points that changed theirs.

    `origin` and `unit` are such that the coordinates of most points are no larger than 1.
    """
    origin = np.round(origin * (256 / unit)) * (unit / 256)  # copies of a point then have the point itself as mean
    sums, sizes, changed = current().map_reduce(
        _sums, _added, X, labels, before, k=len(otherwise), origin=origin, unit=unit, label="k-means: means"
    )
    means = origin + sums * (unit / GRID) / np.maximum(sizes, 1)[:, None]
    return np.where(sizes[:, None] > 0, means, otherwise), sizes, changed


Sums = tuple[Doubles, NDArray[np.int64], int]


def _sums(
    rows: slice,
    X: NDArray[Any],
    labels: NDArray[np.int32],
    before: NDArray[np.int32],
    *,
    k: int,
    origin: Doubles,
    unit: float,
) -> Sums:
    sums = np.zeros((k, X.shape[1]))
    for_each_chunk(
        lambda some: loops.add_whole_numbers(X, labels, origin, GRID / unit, some.start, some.stop, sums),
        X.shape[1],
        256,
    )
    return sums, np.bincount(labels, minlength=k), int(np.count_nonzero(labels != before))


def _added(a: Sums, b: Sums) -> Sums:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
