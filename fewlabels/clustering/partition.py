"""A partition of points into clusters, and how single moves and swaps of centroids make it better."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats, squared_norms
from fewlabels.clustering import loops
from fewlabels.clustering.assignment import CHUNK
from fewlabels.threads import for_each_chunk

CANDIDATES = 32
"""Neighbouring clusters that a point is compared with for a move."""
FEW_DIMENSIONS = 32
"""Axes that are compared first: they rule out most candidates for a move, and the other axes are then not computed."""


class Partition:
    """A partition of points that is made better in place.

    Parameters
    ----------
    Z : ndarray of float32, shape (n, d)
    labels : ndarray of int32, shape (n,)
        The cluster of each point; no cluster is empty.
    k : int
        How many clusters.

    Attributes
    ----------
    Z, labels
    C : ndarray of float32, shape (k, d)
        The means of the clusters.
    sizes : ndarray of int64, shape (k,)
        How many points each has.
    passes : int
        How often all points proposed moves.

    Examples
    --------
    >>> points = np.array([[0], [1], [8], [9]], np.float32)
    >>> partition = Partition(points, np.array([0, 1, 1, 1], np.int32), 2)
    >>> partition.improve_by_moves(candidates=1)
    >>> partition.labels, partition.C.ravel()
    (array([0, 0, 1, 1], dtype=int32), array([0.5, 8.5], dtype=float32))
    """

    def __init__(self, Z: Floats, labels: NDArray[np.int32], k: int) -> None:
        self.Z, self.labels = Z, labels
        self.C = np.zeros((k, Z.shape[1]), np.float32)
        self.sizes = np.zeros(k, np.int64)
        self.passes = 0

    def inertia(self, scatter: float) -> float:
        """Compute the inertia by Huygens' theorem: the scatter of the points about 0 less that of the means."""
        loops.set_means(self.Z, self.labels, self.C, self.sizes)
        return scatter - float(np.sum(squared_norms(self.C) * self.sizes, dtype=np.float64))

    def improve_by_moves(self, candidates: int, passes: int = 100, until: float = 0.01) -> None:
        """Move single points by Hartigan's method, until a pass moves less than a share `until` of them.

        All points propose a move by the same centroids, on all cores; the moves are then made one by one, where they
        still lower the inertia. So the inertia never rises, and the result does not depend on the number of cores.
        """
        for number in range(passes):
            if number % 2 == 0:
                loops.set_means(self.Z, self.labels, self.C, self.sizes)  # rounding adds up in means that are moved
                near = neighbours_of(self.C, candidates)
            moved = loops.commit(self.Z, self.labels, self.C, self.sizes, self.proposals(near))
            self.passes += 1
            if moved <= until * len(self.Z):
                break

    def proposals(self, near: NDArray[np.int32]) -> NDArray[np.int32]:
        """Find the cluster that each point would move to, its own where no move lowers the inertia."""
        leave, join = factors_of(self.sizes)
        few = min(FEW_DIMENSIONS, self.Z.shape[1])
        to = np.empty(len(self.Z), np.int32)

        def propose(rows: slice) -> None:
            loops.propose(self.Z, self.labels, self.C, leave, join, near, few, rows.start, rows.stop, to)

        for_each_chunk(propose, len(self.Z), 4 * CHUNK)
        return to

    def improve_by_swaps(self, candidates: int, rounds: int = 3) -> None:
        """Move centroids from where their removal costs least to where a split gains most: single moves never do that.

        A swap locks the neighbours of both, because it changes their costs and gains.
        """
        k = len(self.C)
        for _ in range(rounds):
            loops.set_means(self.Z, self.labels, self.C, self.sizes)
            near = neighbours_of(self.C, 10)
            order = np.argsort(self.labels, kind="stable")
            starts = np.concatenate([[0], np.cumsum(self.sizes)])

            cost, second = self.removals(near, order, starts)
            gain, half = self.splits(order, starts)
            locked, swaps = np.zeros(k, bool), 0
            splittable = iter(np.argsort(-gain, kind="stable"))
            split = next(splittable, None)
            for removed in np.argsort(cost, kind="stable"):
                if locked[removed]:
                    continue
                around = near[removed]
                while split is not None and (locked[split] or split == removed or split in around):
                    split = next(splittable, None)
                if split is None or gain[split] <= cost[removed]:
                    break
                locked[[removed, split, *around, *near[split, :6]]] = True
                gone = order[starts[removed] : starts[removed + 1]]
                parted = order[starts[split] : starts[split + 1]]
                self.labels[gone] = second[gone]
                self.labels[parted[half[parted] == 1]] = removed
                swaps += 1
            self.improve_by_moves(candidates, passes=2)
            if swaps <= max(1, k // 500):
                break

    def removals(self, near: NDArray[np.int32], order: NDArray[Any], starts: NDArray[Any]) -> tuple[Any, Any]:
        """Compute the cost of removing each centroid (k,), and the cluster that each point would then join (n,)."""
        _, join = factors_of(self.sizes)
        cost, second = np.empty(len(self.C)), np.empty(len(self.Z), np.int32)
        for_each_chunk(
            lambda j: loops.removals(self.Z, self.C, join, near, order, starts, j.start, j.stop, cost, second),
            len(self.C),
            64,
        )
        return cost, second

    def splits(self, order: NDArray[Any], starts: NDArray[Any]) -> tuple[Any, Any]:
        """Compute what a split of each cluster gains (k,), and the half in which each point would then be (n,)."""
        gain, half = np.empty(len(self.C)), np.empty(len(self.Z), np.int8)
        for_each_chunk(
            lambda j: loops.splits(self.Z, self.C, order, starts, j.start, j.stop, gain, half), len(self.C), 64
        )
        return gain, half


def factors_of(sizes: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Compute the factors of squared distances in the inertia, for a point that leaves or joins each cluster.

    Parameters
    ----------
    sizes : ndarray of int64, shape (k,)
        How many points each cluster has.

    Returns
    -------
    leave, join : ndarray of float32, shape (k,)
        0 for a cluster that its only point would leave.

    Examples
    --------
    >>> factors_of(np.array([1, 4]))
    (array([0.       , 1.3333334], dtype=float32), array([0.5, 0.8], dtype=float32))
    """
    whole = sizes.astype(np.float32)
    leave: Floats = np.where(whole > 1, whole / np.maximum(whole - 1, 1), np.float32(0))
    join: Floats = whole / (whole + 1)
    return leave, join


def neighbours_of(C: Floats, count: int) -> NDArray[np.int32]:
    """Find the nearest other centroids of each centroid, nearest first.

    Parameters
    ----------
    C : ndarray of float32, shape (k, d)
    count : int

    Returns
    -------
    ndarray of int32, shape (k, min(count, k - 1))

    Examples
    --------
    >>> neighbours_of(np.array([[0], [1], [3]], np.float32), 1).ravel()
    array([1, 0, 1], dtype=int32)
    """
    k = len(C)
    columns = np.zeros((k, min(count, k - 1)), np.int32)
    norms = squared_norms(C)

    def fill(rows: slice) -> None:
        loops.smallest(norms - 2 * (C[rows] @ C.T), rows.start, columns[rows])

    if k > 1:
        for_each_chunk(fill, k, 256)
    return columns
