"""k-means of points that memory holds, in a projection on few axes: seeds, then moves and swaps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Doubles, Floats, squared_norms
from fewlabels.clustering import loops
from fewlabels.clustering.assignment import CHUNK, MOST_AXES
from fewlabels.clustering.nonempty import assign_all
from fewlabels.clustering.partition import CANDIDATES, Partition
from fewlabels.points import center_of, relative_to, spread_about, unit_of
from fewlabels.principal_axes import main_axes
from fewlabels.threads import for_each_chunk

VARIANCE = 0.91
"""Share of the variance that the principal axes explain: few axes for images, most for isotropic data."""
FEW_COLUMNS = 64
"""Up to so many dimensions all axes are kept: they cost little, and no share of the variance is too small to matter."""
SAMPLE = 12_000
"""Points that the axes are found from, and that seeds are drawn from; at least 5 for each cluster."""
SMALL_SAMPLE = 1_500
"""Points that the axes are found from where there are more dimensions than this."""
SEEDING_DIMENSIONS, TRIALS = 48, 3
"""Axes that k-means++ uses, and candidate rows that it tries for each seed."""
UNTIL = 2e-5
"""Times the number of clusters: the share of points that a last pass of moves may move, 0.6 % at most."""
FEW_CLUSTERS = 128
"""Up to so many clusters, random swaps on the sample and last iterations in all dimensions are worth their time."""
RANDOM_SWAPS, SWAP_PASSES, LAST_PASSES = 30, 5, 2
"""Swaps tried, of a sample of full size; passes of moves after each; and Lloyd's iterations in all dimensions."""
LEAST_SWAPS = 5
"""Swaps tried of fewer points."""
ATTEMPTS, WORTHWHILE = 6, 5e-4
"""How often steps 3 to 5 are done at most; and by which share the last time must lower the inertia for another."""


def axes_sample_size(d: int) -> int:
    """Choose how many points the axes are found from.

    Parameters
    ----------
    d : int
        Dimensions of a point.

    Returns
    -------
    int

    Examples
    --------
    >>> axes_sample_size(784), axes_sample_size(27_648)
    (12000, 1500)
    """
    return SAMPLE if d <= SMALL_SAMPLE else SMALL_SAMPLE


class Projection:
    """Principal axes that hold most of the variance, and a unit that suits float32.

    A sample gives the axes: a smaller one in many dimensions, so that its products are a matrix of 1,500 rows at most.

    Parameters
    ----------
    X : ndarray of float64, float32 or uint8, shape (n, d)
    random : RandomState
        Draws the sample.

    Attributes
    ----------
    origin : ndarray of float64, shape (d,)
    unit : float
    axes : ndarray of float32, shape (d, m)

    Examples
    --------
    >>> points = np.array([[1, 0], [3, 0], [5, 0]], np.float32)
    >>> np.abs(Projection(points, np.random.RandomState(0)).project(points))
    array([[1.],
           [0.],
           [1.]], dtype=float32)
    """

    def __init__(self, X: NDArray[Any], random: np.random.RandomState) -> None:
        sample = X[np.sort(random.permutation(len(X))[: axes_sample_size(X.shape[1])])]
        self.origin = center_of(sample)
        self.unit = unit_of(spread_about(X, self.origin))
        share = VARIANCE if X.shape[1] > FEW_COLUMNS else 1
        most = min(MOST_AXES, max(FEW_COLUMNS, len(sample) // 8))
        self.axes = main_axes(relative_to(sample, self.origin, self.unit), share, most)

    def project(self, X: NDArray[Any]) -> Floats:
        """Compute the coordinates of points on the axes.

        Parameters
        ----------
        X : ndarray of float64, float32 or uint8, shape (n, d)

        Returns
        -------
        ndarray of float32, shape (n, m)
        """
        Z = np.empty((len(X), self.axes.shape[1]), np.float32)

        def fill(chunk: slice) -> None:
            Z[chunk] = relative_to(X[chunk], self.origin, self.unit) @ self.axes

        for_each_chunk(fill, len(X), CHUNK)
        return Z


def form_clusters(Z: Floats, k: int, random: np.random.RandomState) -> tuple[NDArray[np.int32], Floats, int]:
    """Cluster projected points, and count the passes.

    Parameters
    ----------
    Z : ndarray of float32, shape (n, m)
    k : int
        How many clusters.
    random : RandomState
        Draws the seeds.

    Returns
    -------
    labels : ndarray of int32, shape (n,)
        No cluster is empty.
    C : ndarray of float32, shape (k, m)
        The centroids that the points were assigned to.
    passes : int

    Examples
    --------
    >>> points = np.array([[0], [1], [8], [9]], np.float32)
    >>> labels, centroids, _ = form_clusters(points, 2, np.random.RandomState(0))
    >>> centroids[labels].ravel()
    array([0.5, 0.5, 8.5, 8.5], dtype=float32)
    """
    labels, _, _ = assign_all(Z, _seeds(Z, k, random))
    order = np.argsort(labels, kind="stable")  # members side by side: their centroids stay in the CPU's cache
    clusters = Partition(np.ascontiguousarray(Z[order]), labels[order], k)
    scatter = float(np.sum(squared_norms(Z), dtype=np.float64))
    candidates, until = CANDIDATES, least_moved(k)
    for attempt in range(ATTEMPTS):
        clusters.improve_by_moves(candidates, until=until)
        if attempt == 0:
            clusters.improve_by_swaps(candidates)
        before = clusters.inertia(scatter)
        clusters.labels, _, _ = assign_all(clusters.Z, clusters.C)
        gain = 1 - clusters.inertia(scatter) / before if before > 0 else 0.0
        if gain < WORTHWHILE:
            break
        if gain > 10 * WORTHWHILE:  # many points had a nearer centroid than the candidates: compare with more
            candidates *= 2
    labels[order] = clusters.labels
    return labels, clusters.C, clusters.passes


def least_moved(k: int) -> float:
    """Choose the share of points that a last pass of moves may move.

    Parameters
    ----------
    k : int
        How many clusters.

    Returns
    -------
    float

    Examples
    --------
    >>> least_moved(100), least_moved(2000)
    (0.002, 0.006)
    """
    return min(0.006, UNTIL * k)


def means_of(X: NDArray[Any], labels: NDArray[np.int32], k: int) -> Doubles:
    """Compute the mean of each cluster in all dimensions and float64.

    Parameters
    ----------
    X : ndarray of float64, float32 or uint8, shape (n, d)
    labels : ndarray of int32, shape (n,)
    k : int
        How many clusters; none is empty.

    Returns
    -------
    ndarray of float64, shape (k, d)

    Examples
    --------
    >>> means_of(np.array([[0, 9], [1, 9], [5, 5]], np.uint8), np.array([1, 1, 0], np.int32), 2)
    array([[5. , 5. ],
           [0.5, 9. ]])
    """
    sums = np.zeros((k, X.shape[1]))
    origin = X[0].astype(np.float64)  # sums of the differences keep more digits
    for_each_chunk(lambda some: loops.add_to_sums(X, labels, origin, some.start, some.stop, sums), X.shape[1], 256)
    means: Doubles = origin + sums / np.bincount(labels, minlength=k)[:, None]
    return means


def _seeds(Z: Floats, k: int, random: np.random.RandomState) -> Floats:
    """k points of a sample, by greedy k-means++ in the first dimensions; few clusters are improved by random swaps.

    A swap puts a random centroid on a random point, and stays if some moves then end in a lower inertia: of ten
    clusters, one start in a dozen alone finds the best, thirty swaps nearly always.
    """
    sample = np.ascontiguousarray(Z[np.sort(random.permutation(len(Z))[: max(SAMPLE, 5 * k)])])
    dimensions = min(SEEDING_DIMENSIONS, Z.shape[1])
    chosen = loops.plusplus(sample, k, dimensions, random.uniform(size=(k, TRIALS)), random.randint(len(sample)))
    best: Floats = sample[chosen]
    if not 1 < k <= FEW_CLUSTERS:
        return best
    scatter, least = float(np.sum(squared_norms(sample), dtype=np.float64)), np.inf
    for swap in range(1 + max(LEAST_SWAPS, RANDOM_SWAPS * min(len(Z), SAMPLE) // SAMPLE)):
        centroids = best.copy()
        if swap > 0:
            centroids[random.randint(k)] = sample[random.randint(len(sample))]
        clusters = Partition(sample, assign_all(sample, centroids)[0], k)
        clusters.improve_by_moves(CANDIDATES, passes=SWAP_PASSES if swap > 0 else 100)
        inertia = clusters.inertia(scatter)
        if inertia < least:
            least, best = inertia, clusters.C
    return best
