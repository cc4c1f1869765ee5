"""Principal components scaled by one number, so that the same kernel suits features of several kinds."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils.validation import check_is_fitted, validate_data

from fewlabels.arrays import CHUNK, ComputedRows, Floats
from fewlabels.estimators import over_pools
from fewlabels.parameters import WholeNumber
from fewlabels.points import DTYPES, center_and_spread, relative_to, unit_of
from fewlabels.pool import Pool
from fewlabels.principal_axes import principal_axes, seen_in_parts
from fewlabels.threads import for_each_chunk


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
    mean_ : ndarray of float64, shape (d,)
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

    _parameter_constraints: ClassVar = {"n_components": [WholeNumber(1)]}

    def __init__(self, n_components: int) -> None:
        self.n_components = n_components

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the principal components.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Centred in float64, then computed with in float32.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            If n_components is not a whole number above 0.
        ValueError
            If X holds NaN or infinity, or values are more than 1e30 or, all of them, less than 1e-30 from their mean.
        """
        return self._fit(validate_data(self, X, dtype=DTYPES))

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit_computed(self, X: ComputedRows, kept: bool) -> Self:
        """Find the principal components of points that are computed for it.

        Parameters
        ----------
        X : ComputedRows, shape (n, d)
        kept : bool
            True computes them once and keeps all in memory; False computes them twice, and keeps them only where
            `seen_in_parts` is False.

        Returns
        -------
        self
            As `fit` to the same points, to the last bit.

        Raises
        ------
        InvalidParameterError, ValueError
            As of `fit`.
        """
        self.n_features_in_ = X.shape[1]
        return self._fit(X.array() if kept or not seen_in_parts(*X.shape) else X, ours=True)

    def _fit(self, points: NDArray[Any] | ComputedRows, ours: bool = False) -> Self:
        """Fit to points, which may be overwritten if they are ours: each part is looked at for the last time then."""
        self.mean_, spread = center_and_spread(points)
        unit = unit_of(spread)

        def centred(rows: slice) -> Floats:
            part = points[rows]
            return relative_to(part, self.mean_, unit, out=part if ours else None)

        count = min(self.n_components, *points.shape)
        squares, axes = principal_axes(ComputedRows(centred, points.shape), count)
        mean_square = float(squares.sum(dtype=np.float64)) / len(points)
        scale = mean_square**0.5 if mean_square > 0 else 1.0  # points all alike
        self.components_ = np.ascontiguousarray(axes / (scale * unit), np.float32)
        self._n_features_out = self.components_.shape[1]
        return self

    @over_pools("components")
    def transform(self, X: ArrayLike | Pool) -> Floats | Pool:
        """Project points on the scaled components.

        Parameters
        ----------
        X : array-like or Pool, shape (n, d)

        Returns
        -------
        ndarray or Pool of float32, shape (n, n_components)

        Raises
        ------
        ValueError
            If X holds NaN or infinity, has another number of columns, or values so far from the mean that float32 has
            no number for their components.
        """
        check_is_fitted(self)
        points = validate_data(self, X, dtype=DTYPES, reset=False)
        reduced = np.empty((len(points), self._n_features_out), np.float32)

        def fill(rows: slice) -> None:
            with np.errstate(over="ignore", invalid="ignore"):
                np.matmul(relative_to(points[rows], self.mean_), self.components_, out=reduced[rows])

        for_each_chunk(fill, len(points), CHUNK)
        far = ~np.isfinite(reduced).all(axis=1)
        if far.any():
            raise ValueError(f"X: values too far from the mean for float32, as in row {int(far.argmax())}")
        return reduced

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
