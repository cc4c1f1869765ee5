"""k-means for many clusters of many images, in bounded memory.

Most of the time of k-means at thousands of clusters goes into k-means++ and the first iterations, and images live near
a space of far fewer dimensions than they have pixels. So seeding and most iterations run there, and only the last few
in the full space.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.cluster import KMeans as Lloyd
from sklearn.cluster import kmeans_plusplus
from sklearn.decomposition import PCA
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fewlabels.distances import distances_to, nearest


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """k-means clustering with scikit-learn's interface.

    Parameters
    ----------
    n_clusters : int, default=8
        How many clusters to form. None is ever empty.
    random_state : int, RandomState instance or None, default=None
        The same integer gives the same clusters.

    Attributes
    ----------
    cluster_centers_ : ndarray of float32, shape (n_clusters, n_features)
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
    S. Lloyd, "Least squares quantization in PCM", 1982. D. Arthur and S. Vassilvitskii, "k-means++: The advantages of
    careful seeding", 2007.
    """

    def __init__(self, n_clusters: int = 8, *, random_state: int | np.random.RandomState | None = None) -> None:
        self.n_clusters = n_clusters
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the centroids.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Computed with in float32.
        y : ignored

        Raises
        ------
        ValueError
            If X holds NaN or infinity, or n_clusters is not between 1 and n_samples.
        """
        points: NDArray[np.float32] = validate_data(self, X, dtype=np.float32, order="C")
        if not 1 <= self.n_clusters <= len(points):
            raise ValueError(f"n_clusters: {self.n_clusters} is not between 1 and the number of samples, {len(points)}")
        self.cluster_centers_, self.n_iter_ = _lloyd(points, self.n_clusters, check_random_state(self.random_state))
        self.labels_, self.distances_ = _assign_all(points, self.cluster_centers_)
        self.inertia_ = float(np.sum(self.distances_**2, dtype=np.float64))
        self._n_features_out = self.n_clusters
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
        check_is_fitted(self)
        points: NDArray[np.float32] = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        return nearest(points, self.cluster_centers_)[0]

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the distances to the centroids.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of float32, shape (n_samples, n_clusters)
        """
        check_is_fitted(self)
        points: NDArray[np.float32] = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        return distances_to(points, centroids=self.cluster_centers_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _lloyd(
    X: NDArray[np.float32], k: int, random: np.random.RandomState, dimensions: int = 64, sample: int = 20_000
) -> tuple[NDArray[np.float32], int]:
    """Centroids after k-means++ on a sample and Lloyd's iterations, first in few dimensions, then in all."""
    seed = random.randint(2**31 - 1)
    dimensions = min(dimensions, *X.shape)
    Z = PCA(dimensions, svd_solver="covariance_eigh", copy=True).fit_transform(X) if len(X) > 1 else X
    rows = np.sort(random.permutation(len(X))[: max(sample, 5 * k)])
    seeds, _ = kmeans_plusplus(Z[rows], k, random_state=seed)
    few = Lloyd(k, init=seeds, n_init=1, max_iter=50, random_state=seed).fit(Z)
    sums = np.zeros((k, X.shape[1]), np.float32)
    np.add.at(sums, few.labels_, X)
    means = sums / np.maximum(np.bincount(few.labels_, minlength=k), 1)[:, None].astype(np.float32)
    full = Lloyd(k, init=means, n_init=1, max_iter=10, random_state=seed).fit(X)
    return full.cluster_centers_, few.n_iter_ + full.n_iter_


def _assign_all(
    X: NDArray[np.float32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Assign each point to its nearest centroid; a centroid left without any takes the point farthest from its own."""
    total = np.inf
    while True:
        labels, distances = nearest(X, centroids)
        before, total = total, distances.sum(dtype=np.float64)
        sizes = np.bincount(labels, minlength=len(centroids))
        if sizes.all():
            return labels, distances
        farthest = np.argsort(-distances, kind="stable")
        movable = iter(farthest)
        for empty in np.flatnonzero(sizes == 0):
            row = next(row for row in movable if sizes[labels[row]] > 1)
            sizes[labels[row]] -= 1
            sizes[empty] += 1
            centroids[empty], labels[row], distances[row] = X[row], empty, 0
        if total >= before or total == 0:  # only copies of centroids are left to deal out
            return labels, distances
