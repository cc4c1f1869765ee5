"""Principal components scaled by one number, so that the same kernel suits features of several kinds."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fewlabels.arrays import Floats


class ScaledPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Principal component analysis, scaled to a mean squared norm of 1.

    Not whitened: a direction of large variance keeps its weight. One number divides all components, such that the mean
    squared norm of the points fitted to is 1, and the same gamma of a Gaussian kernel suits features of several kinds.

    Parameters
    ----------
    n_components : int
        Numbers kept for each point; fewer where there are fewer points or dimensions.

    Attributes
    ----------
    mean_ : ndarray of float32, shape (d,)
    components_ : ndarray of float32, shape (d, n_components)
        The principal directions, divided by the scale; that of the largest variance first.
    n_features_in_ : int

    Examples
    --------
    >>> points = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    >>> reduced = ScaledPCA(3).fit_transform(points)
    >>> reduced.shape, float(np.square(reduced).sum(axis=1).mean().round(3))
    ((100, 3), 1.0)
    """

    def __init__(self, n_components: int) -> None:
        self.n_components = n_components

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the principal components.

        Parameters
        ----------
        X : array-like of float32, shape (n, d)
        y : ignored

        Returns
        -------
        self
        """
        points = np.asarray(X, np.float32)
        n, d = points.shape
        self.mean_ = points.mean(axis=0)
        centred = points - self.mean_
        count = min(self.n_components, n, d)
        variances, directions = eigh(centred.T @ centred / n, subset_by_index=(d - count, d - 1))
        scale = np.sqrt(max(variances.sum(), np.finfo(np.float32).tiny))
        self.components_ = np.ascontiguousarray(directions[:, ::-1] / scale, np.float32)
        self.n_features_in_ = d
        self._n_features_out = count
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Project points on the scaled components.

        Parameters
        ----------
        X : array-like of float32, shape (n, d)

        Returns
        -------
        ndarray of float32, shape (n, n_components)
        """
        check_is_fitted(self)
        reduced: Floats = np.matmul(np.asarray(X, np.float32) - self.mean_, self.components_)
        return reduced
