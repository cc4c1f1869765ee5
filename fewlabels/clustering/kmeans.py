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

Steps 1 to 5 look at 120,000 points at most: the clusters of a sample are then refined on all points, see `refinement`.
"""

import math
import operator
import warnings
from contextlib import nullcontext
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
from sklearn.cluster import KMeans as Lloyd
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fewlabels.arrays import Doubles, Floats
from fewlabels.clustering.assignment import CHUNK, assign_to_nearest, distances_to_centroids
from fewlabels.clustering.formation import FEW_CLUSTERS, LAST_PASSES, Projection, form_clusters, means_of
from fewlabels.clustering.in_float64 import assign_exactly, exact_distances
from fewlabels.clustering.nonempty import assign_all
from fewlabels.clustering.refinement import refine_clusters, sample_size, sampled_rows
from fewlabels.parameters import WholeNumber
from fewlabels.points import DTYPES, center_of, check_points, has_outliers, spread_about, unit_of
from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import Local, current

NUMBERS = 2**27
"""Coordinates in all, up to which all points are computed with at once: half a GiB of float32."""


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """k-means clustering with scikit-learn's interface.

    Where some points are outliers, so far off that float32 cannot tell the others apart, it is scikit-learn's own,
    which computes in float64.

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
    labels_ : ndarray of int32, or Pool where the training points are one, shape (n_samples,)
        The nearest centroid of each training point. Where there are fewer distinct points than clusters, copies of one
        point are dealt out so that every cluster has a member.
    distances_ : ndarray of float32, or Pool where the training points are one, shape (n_samples,)
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
    def fit(self, X: ArrayLike | Pool, y: object = None) -> Self:
        """Find the centroids.

        Parameters
        ----------
        X : array-like or Pool, shape (n_samples, n_features)
            A pool of float64, float32 or uint8. Centred in float64, then computed with in float32.
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
        few = _are_few(points, self.n_clusters)
        with Local() if few else nullcontext():  # few points are computed with here, also where there is a cluster
            labels, distances, distinct = self._fit(as_pool(points).array() if few else points)
        self.inertia_ = _inertia(distances, sample_size(self.n_clusters))
        if few and isinstance(points, Pool):
            labels, distances = Pool(labels, points.chunk), Pool(distances, points.chunk)
        self.labels_, self.distances_ = labels, distances
        self._n_features_out = self.n_clusters
        if distinct < self.n_clusters:
            warnings.warn(
                f"n_clusters: {self.n_clusters} is more than the number of distinct points, {distinct}",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _fit(self, points: Rows) -> tuple[Any, Any, int]:
        """Find the centroids; then labels and distances, and count the distinct clusters."""
        k, random = self.n_clusters, check_random_state(self.random_state)
        self._outliers = has_outliers(points)
        if self._outliers:
            few = _few_of(points, k, random)
            unit_of(spread_about(points, center_of(few)))
            lloyd = Lloyd(k, n_init=1, random_state=self.random_state).fit(few.astype(np.float64))
            self.cluster_centers_, self.n_iter_ = lloyd.cluster_centers_, lloyd.n_iter_
        elif _are_few(points, k):
            self.cluster_centers_, self.n_iter_ = _clustered(as_pool(points).array(), k, random)
        else:
            self.cluster_centers_, self.n_iter_ = refine_clusters(points, k, random)
        nearest = assign_exactly if self._outliers else assign_to_nearest
        return assign_all(points, self.cluster_centers_, nearest)

    def predict(self, X: ArrayLike | Pool) -> Any:
        """Find the nearest centroid of each point.

        Parameters
        ----------
        X : array-like or Pool, shape (n_samples, n_features)

        Returns
        -------
        ndarray or Pool of int32, shape (n_samples,)
        """
        return self._nearest(X)[0]

    def transform(self, X: ArrayLike | Pool) -> Any:
        """Compute the distances to the centroids.

        Parameters
        ----------
        X : array-like or Pool, shape (n_samples, n_features)

        Returns
        -------
        ndarray or Pool of float32, shape (n_samples, n_clusters)
        """
        check_is_fitted(self)
        distances = exact_distances if self._outliers else distances_to_centroids
        return distances(self._validated(X, reset=False), self.cluster_centers_)

    def score(self, X: ArrayLike | Pool, y: object = None) -> float:
        """Compute the negative of the inertia that the points have with these centroids.

        Parameters
        ----------
        X : array-like or Pool, shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            Higher is better.
        """
        return -_inertia(self._nearest(X)[1], sample_size(self.n_clusters))

    def _nearest(self, X: ArrayLike | Pool) -> Any:
        check_is_fitted(self)
        nearest = assign_exactly if self._outliers else assign_to_nearest
        return nearest(self._validated(X, reset=False), self.cluster_centers_)

    def _validated(self, X: ArrayLike | Pool, reset: bool) -> Rows:
        if isinstance(X, Pool):
            check_points(X)
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        points: NDArray[Any] = validate_data(self, X, dtype=DTYPES, order="C", reset=reset)
        return points

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _are_few(points: Rows, k: int) -> bool:
    """Tell whether all points are computed with at once, in memory."""
    return len(points) <= sample_size(k) and len(points) * points.shape[1] <= NUMBERS


def _few_of(points: Rows, k: int, random: np.random.RandomState) -> NDArray[Any]:
    """Give all points, or a sample of them that memory holds: k at least, however many dimensions they have."""
    size = min(sample_size(k), max(k, NUMBERS // points.shape[1]))
    if len(points) <= size:
        return as_pool(points).array()
    return as_pool(points).take(sampled_rows(len(points), size, random))


def _inertia(distances: Rows, few: int) -> float:
    if len(distances) <= few:
        return float(np.sum(np.square(as_pool(distances).array(), dtype=np.float64)))
    return math.fsum(current().map_reduce(_sums_of_squares, operator.add, distances))


def _sums_of_squares(rows: slice, distances: Floats) -> list[float]:
    """Sum the squares of a block of rows each: with `fsum`, the inertia does not depend on how long a chunk is."""
    squares = np.square(distances, dtype=np.float64)
    blocks: list[float] = np.add.reduceat(squares, range(0, len(squares), CHUNK)).tolist() if len(squares) else []
    return blocks


def _clustered(X: NDArray[Any], k: int, random: np.random.RandomState) -> tuple[Doubles, int]:
    """Compute the centroids in all dimensions, from clusters formed in few; and count the passes."""
    labels, _, passes = form_clusters(Projection(X, random).project(X), k, random)
    for _ in range(LAST_PASSES if k <= FEW_CLUSTERS else 0):
        labels, _, _ = assign_all(X, means_of(X, labels, k))
        passes += 1
    return means_of(X, labels, k), passes
