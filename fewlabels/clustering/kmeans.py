"""k-means for thousands of clusters of many images, in seconds.

k-means++ and each of dozens of Lloyd's iterations compute n x k distances in all dimensions, and often end in a worse
local optimum. Here:

1. Points are projected on the principal axes that hold most of the variance: a hundred or so for images of clothes.
2. Greedy k-means++ seeds on a sample; the triangle inequality saves most of its distances. Few clusters
   are improved by random swaps there.
3. Hartigan's method moves single points between neighbouring clusters. It accounts for how both means change, so it
   still improves where Lloyd's iterations have stopped, and it compares a point with a few clusters near it only.
4. Swaps take centroids whose removal costs least to clusters that gain most by a split.
5. Every point is compared with all centroids; while that lowers the inertia, steps 3 to 5 repeat.
6. Means and nearest centroids are computed in all dimensions; of few clusters, Lloyd's iterations do so twice.
"""

import warnings
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fewlabels.arrays import (
    DTYPES,
    Doubles,
    Floats,
    center_of,
    main_axes,
    relative_to,
    spread_about,
    squared_norms,
    unit_of,
)
from fewlabels.clustering import loops
from fewlabels.clustering.assignment import CHUNK, MOST_AXES, assign_to_nearest, distances_to_centroids
from fewlabels.parameters import WholeNumber
from fewlabels.threads import for_each_chunk

VARIANCE = 0.91
"""Share of the variance that the principal axes explain: few axes for images, most for isotropic data."""
SAMPLE = 12_000
"""Points that the axes are found from, and that seeds are drawn from; at least 5 for each cluster."""
SMALL_SAMPLE = 1_500
"""Points that the axes are found from where there are more dimensions than this."""
SEEDING_DIMENSIONS, TRIALS = 48, 3
"""Axes that k-means++ uses, and candidate rows that it tries for each seed."""
CANDIDATES = 32
"""Neighbouring clusters that a point is compared with for a move."""
FEW_DIMENSIONS = 32
"""Axes that are compared first: they rule out most candidates for a move, and the other axes are then not computed."""
UNTIL = 2e-5
"""Times the number of clusters: the share of points that a last pass of moves may move, 0.6 % at most."""
FEW_CLUSTERS = 128
"""Up to so many clusters, random swaps on the sample and last iterations in all dimensions are worth their time."""
RANDOM_SWAPS, SWAP_PASSES, LAST_PASSES = 30, 5, 2
"""Swaps tried, of a sample of full size; passes of moves after each; and Lloyd's iterations in all dimensions."""
ATTEMPTS, WORTHWHILE = 6, 5e-4
"""How often steps 3 to 5 are done at most; and by which share the last time must lower the inertia for another."""


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """k-means clustering with scikit-learn's interface.

    There are no sample weights: moves, swaps and splits count points, and no cluster is left empty. A point that
    counts twice can be given twice.

    Parameters
    ----------
    n_clusters : int, default=8
        How many clusters to form. None is ever empty.
    random_state : int, RandomState instance or None, default=None
        The same integer gives the same clusters.

    Attributes
    ----------
    cluster_centers_ : ndarray of float64, shape (n_clusters, n_features)
        Far from zero, float32 would round them by more than the distances between them.
    labels_ : ndarray of int32, shape (n_samples,)
        The nearest centroid of each training point. Where there are fewer distinct points than clusters, copies of one
        point are dealt out so that every cluster has a member.
    distances_ : ndarray of float32, shape (n_samples,)
        The distance of each training point to its centroid.
    inertia_ : float
        Sum of the squared distances of the training points to their centroids.
    n_iter_ : int
        Passes over the data.

    References
    ----------
    J. Hartigan, "Clustering Algorithms", 1975. M. Telgarsky and A. Vattani, "Hartigan's method: k-means clustering
    without Voronoi", 2010. D. Arthur and S. Vassilvitskii, "k-means++: The advantages of careful seeding", 2007.
    P. Fränti, "Efficiency of random swap clustering", 2018.

    Examples
    --------
    >>> points = np.array([[0, 0], [0, 1], [9, 9], [9, 8]], np.float32)
    >>> kmeans = KMeans(2, random_state=0).fit(points)
    >>> kmeans.inertia_, kmeans.labels_[0] == kmeans.labels_[1]
    (1.0, np.True_)
    """

    _parameter_constraints: ClassVar = {"n_clusters": [WholeNumber(1)], "random_state": ["random_state"]}

    def __init__(self, n_clusters: int = 8, *, random_state: int | np.random.RandomState | None = None) -> None:
        self.n_clusters = n_clusters
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the centroids.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Centred in float64, then computed with in float32.
        y : ignored

        Raises
        ------
        InvalidParameterError
            If n_clusters or random_state is of a wrong type or out of range.
        ValueError
            If X holds NaN or infinity, n_clusters is above n_samples, or values are more than 1e30 or, all of them,
            less than 1e-30 from their mean.

        Warns
        -----
        ConvergenceWarning
            If there are fewer distinct points than clusters.
        """
        points = self._validated(X, reset=True)
        if self.n_clusters > len(points):
            raise ValueError(f"n_clusters: {self.n_clusters} is more than the number of samples, {len(points)}")
        self.cluster_centers_, self.n_iter_ = _clustered(points, self.n_clusters, check_random_state(self.random_state))
        self.labels_, self.distances_, distinct = _assigned(points, self.cluster_centers_)
        self.inertia_ = _inertia(self.distances_)
        self._n_features_out = self.n_clusters
        if distinct < self.n_clusters:
            warnings.warn(
                f"n_clusters: {self.n_clusters} is more than the number of distinct points, {distinct}",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """Find the nearest centroid of each point.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of int32, shape (n_samples,)
        """
        return self._nearest(X)[0]

    def transform(self, X: ArrayLike) -> Floats:
        """Compute the distances to the centroids.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of float32, shape (n_samples, n_clusters)
        """
        check_is_fitted(self)
        return distances_to_centroids(self._validated(X, reset=False), self.cluster_centers_)

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Compute the negative of the inertia that the points have with these centroids.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            Higher is better.
        """
        return -_inertia(self._nearest(X)[1])

    def _nearest(self, X: ArrayLike) -> tuple[NDArray[np.int32], Floats]:
        check_is_fitted(self)
        return assign_to_nearest(self._validated(X, reset=False), self.cluster_centers_)

    def _validated(self, X: ArrayLike, reset: bool) -> NDArray[Any]:
        points: NDArray[Any] = validate_data(self, X, dtype=DTYPES, order="C", reset=reset)
        return points

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _inertia(distances: Floats) -> float:
    return float(np.sum(np.square(distances, dtype=np.float64)))


def _clustered(X: NDArray[Any], k: int, random: np.random.RandomState) -> tuple[Doubles, int]:
    """Compute the centroids in all dimensions, from clusters formed in few; and count the passes."""
    Z = _projected(X, random)
    labels, _, _ = _assigned(Z, _seeds(Z, k, random))
    order = np.argsort(labels, kind="stable")  # members side by side: their centroids stay in the CPU's cache
    clusters = _Clusters(np.ascontiguousarray(Z[order]), labels[order], k)
    scatter = float(np.sum(squared_norms(Z), dtype=np.float64))
    candidates, until = CANDIDATES, min(0.006, UNTIL * k)
    for attempt in range(ATTEMPTS):
        clusters.improve_by_moves(candidates, until=until)
        if attempt == 0:
            clusters.improve_by_swaps(candidates)
        before = clusters.inertia(scatter)
        clusters.labels, _, _ = _assigned(clusters.Z, clusters.C)
        gain = 1 - clusters.inertia(scatter) / before if before > 0 else 0.0
        if gain < WORTHWHILE:
            break
        if gain > 10 * WORTHWHILE:  # many points had a nearer centroid than the candidates: compare with more
            candidates *= 2
    labels[order] = clusters.labels
    for _ in range(LAST_PASSES if k <= FEW_CLUSTERS else 0):
        labels, _, _ = _assigned(X, _means(X, labels, k))
        clusters.passes += 1
    return _means(X, labels, k), clusters.passes


def _means(X: NDArray[Any], labels: NDArray[np.int32], k: int) -> Doubles:
    """Compute the mean of each cluster in all dimensions and float64."""
    sums = np.zeros((k, X.shape[1]))
    origin = X[0].astype(np.float64)  # sums of the differences keep more digits
    for_each_chunk(lambda some: loops.add_to_sums(X, labels, origin, some.start, some.stop, sums), X.shape[1], 256)
    means: Doubles = origin + sums / np.bincount(labels, minlength=k)[:, None]
    return means


class _Clusters:
    """A partition of points Z that is made better in place."""

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
                near = self.neighbours(candidates)
            moved = loops.commit(self.Z, self.labels, self.C, self.sizes, self.proposals(near))
            self.passes += 1
            if moved <= until * len(self.Z):
                break

    def proposals(self, near: NDArray[np.int32]) -> NDArray[np.int32]:
        """Find the cluster that each point would move to, its own where no move lowers the inertia."""
        leave, join = self.factors()
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
            near = self.neighbours(10)
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
        _, join = self.factors()
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

    def factors(self) -> tuple[Floats, Floats]:
        """Compute the factors of squared distances in the inertia, for a point that leaves or joins each cluster."""
        sizes = self.sizes.astype(np.float32)
        leave: Floats = np.where(sizes > 1, sizes / np.maximum(sizes - 1, 1), np.float32(0))
        join: Floats = sizes / (sizes + 1)
        return leave, join

    def neighbours(self, count: int) -> NDArray[np.int32]:
        """Find the nearest other centroids of each centroid, nearest first: shape (k, at most count)."""
        k = len(self.C)
        columns = np.zeros((k, min(count, k - 1)), np.int32)
        norms = squared_norms(self.C)

        def fill(rows: slice) -> None:
            loops.smallest(norms - 2 * (self.C[rows] @ self.C.T), rows.start, columns[rows])

        if k > 1:
            for_each_chunk(fill, k, 256)
        return columns


def _projected(X: NDArray[Any], random: np.random.RandomState) -> Floats:
    """Project on as many principal axes as hold most of the variance, in a unit that suits float32.

    A sample gives the axes: a smaller one in many dimensions, so that its products are a matrix of 1,500 rows at most.
    """
    rows = SAMPLE if X.shape[1] <= SMALL_SAMPLE else SMALL_SAMPLE
    sample = X[np.sort(random.permutation(len(X))[:rows])]
    origin = center_of(sample)
    unit = unit_of(spread_about(X, origin))
    axes = main_axes(relative_to(sample, origin, unit), VARIANCE, min(MOST_AXES, max(32, len(sample) // 8)))
    Z = np.empty((len(X), axes.shape[1]), np.float32)

    def fill(chunk: slice) -> None:
        Z[chunk] = relative_to(X[chunk], origin, unit) @ axes

    for_each_chunk(fill, len(X), CHUNK)
    return Z


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
    for swap in range(1 + RANDOM_SWAPS * min(len(Z), SAMPLE) // SAMPLE):
        centroids = best.copy()
        if swap > 0:
            centroids[random.randint(k)] = sample[random.randint(len(sample))]
        clusters = _Clusters(sample, _assigned(sample, centroids)[0], k)
        clusters.improve_by_moves(CANDIDATES, passes=SWAP_PASSES if swap > 0 else 100)
        inertia = clusters.inertia(scatter)
        if inertia < least:
            least, best = inertia, clusters.C
    return best


def _assigned(X: NDArray[Any], centroids: NDArray[Any]) -> tuple[NDArray[np.int32], Floats, int]:
    """Assign each point to its nearest centroid; a centroid left without any takes the point farthest from its own.

    Also count the distinct clusters: fewer than centroids where copies of points had to be dealt out.
    """
    total = np.inf
    while True:
        labels, distances = assign_to_nearest(X, centroids)
        before, total = total, distances.sum(dtype=np.float64)
        sizes = np.bincount(labels, minlength=len(centroids))
        distinct = int(np.count_nonzero(sizes))
        if distinct == len(centroids):
            return labels, distances, distinct
        farthest = np.argsort(-distances, kind="stable")
        movable = iter(farthest)
        for empty in np.flatnonzero(sizes == 0):
            row = next(row for row in movable if sizes[labels[row]] > 1)
            sizes[labels[row]] -= 1
            sizes[empty] += 1
            centroids[empty], labels[row], distances[row] = X[row], empty, 0
        if total >= before or total == 0:  # only copies of centroids are left to deal out
            return labels, distances, distinct
