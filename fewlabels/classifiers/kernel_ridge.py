"""Kernel ridge regression as a classifier: closed form, deterministic, and at its best where labels are few.

Regularised least-squares classification (R. Rifkin, G. Yeo and T. Poggio, 2003): the score of each class is a sum of
Gaussian functions centred at the labelled images. The scores that each labelled image would have if it were left out
follow in closed form (R. Rifkin and R. Lippert, "Notes on Regularized Least Squares", 2007); they calibrate the
probabilities without further labels.
"""

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, lapack
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fewlabels.arrays import Floats
from fewlabels.estimators import over_pools
from fewlabels.pool import Pool
from fewlabels.threads import for_each_chunk

CHUNK = 1024
"""Rows that are scored at a time, so that memory stays bounded."""
LOWEST = 0.5
"""The factor from scores to logits is searched from here on."""
PSEUDO_COUNT = 0.5
"""Labels of each class that count as seen beforehand, when the temperature is chosen."""
ROUNDING = 1e-9
"""A log loss smaller by less than this is no smaller."""
NEAR = 1e3
"""float32 is exact enough for the differences of points whose squared distance to their mean is below this."""
FAR = 1e6
"""Coordinates beyond this are cut to it where points fitted to are near: their kernel is 0 all the same."""


class KernelRidgeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Kernel ridge regression on one-hot labels, with a Gaussian kernel.

    Time grows with the cube of the labels, memory with their square: for thousands, not tens of thousands.

    Parameters
    ----------
    gamma : float, default=1
        The kernel is exp(-gamma * squared distance), gamma above 0.
    alpha : float, default=0.2
        Strength of the L2 penalty, 0 or more; 0 only where no two rows are alike.
    classes : array-like, optional
        All classes, so that one without a label yet has a score, too. Distinct. Those of `y` if not given.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    dual_coef_ : ndarray of float32, shape (n, n_classes)
        Weight of each labelled image in the score of each class.
    mean_ : ndarray of float64, shape (d,)
        Of the labelled images. It is subtracted before anything is squared, so that an offset changes nothing.
    X_fit_ : ndarray of float32 or float64, shape (n, d)
        The labelled images less their mean, times the square root of gamma; float64 where they are far apart.
    leave_one_out_ : ndarray of float64, shape (n, n_classes)
        Leave-one-out scores: those that each row fitted to would have if it were left out.
    temperature_ : float
        Probabilities are the softmax of this times the scores. Chosen on `leave_one_out_`, by log loss, as if half a
        label of each class had been seen beforehand: with few labels no class is nearly certain or impossible.
    n_features_in_ : int

    Examples
    --------
    >>> model = KernelRidgeClassifier().fit([[0.0], [0.1], [1.0], [1.1]], ["low", "low", "high", "high"])
    >>> model.predict([[0.2], [0.9]])
    array(['low', 'high'], dtype='<U4')
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "classes": ["array-like", None],
    }

    def __init__(self, gamma: float = 1.0, alpha: float = 0.2, classes: ArrayLike | None = None) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.classes = classes

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Solve for the weights.

        Parameters
        ----------
        X : array-like, shape (n, d)
        y : array-like, shape (n,)

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range, `classes` repeats one or is no list, a label is not among them, alpha
            is too small for rows that are alike, or squares of X overflow.
        """
        points, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_ = np.unique(labels) if self.classes is None else np.asarray(self.classes)
        if self.classes_.ndim != 1:
            raise ValueError(f"classes: {self.classes_.ndim} dimensions in place of 1")
        if len(np.unique(self.classes_)) < self.classes_.size:
            raise ValueError("classes: one of them is given twice")
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"label {unknown[0]} is none of the classes")
        # A mean of values, not of sums: sums may overflow where values do not.
        self.mean_ = (points / len(points)).sum(axis=0)
        scaled = self._scaled(points)
        near = np.einsum("ij,ij->i", scaled, scaled).max() < NEAR
        self.X_fit_ = scaled.astype(np.float32) if near else scaled
        targets = (labels[:, None] == self.classes_) - 1 / len(self.classes_)
        kernel = _kernel(scaled, scaled)
        kernel[np.diag_indices(len(points))] = 1 + self.alpha
        factor = _cholesky(kernel, self.alpha)
        weights = cho_solve((factor, True), targets, check_finite=False)
        self.dual_coef_ = weights.astype(np.float32)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        self.leave_one_out_ = targets - weights / inverse.diagonal()[:, None] + 1 / len(self.classes_)
        self.temperature_ = _temperature(self.leave_one_out_, targets > 0)
        return self

    @over_pools("scores")
    def decision_function(self, X: ArrayLike | Pool) -> Floats | Pool:
        """Score each class: about 1 for the right one, 0 for the others.

        Parameters
        ----------
        X : array-like or Pool, shape (n, d)

        Returns
        -------
        ndarray or Pool of float32, shape (n, n_classes), or (n,) for two classes
            Of two classes, as in scikit-learn, how much higher the second's score is. Far from all labelled images
            each class scores 1 / n_classes.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, has another number of columns, or squares of it overflow.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    @over_pools("probabilities")
    def predict_proba(self, X: ArrayLike | Pool) -> Floats | Pool:
        """Compute calibrated probabilities.

        Parameters
        ----------
        X : array-like or Pool, shape (n, d)

        Returns
        -------
        ndarray or Pool of float32, shape (n, n_classes)
            Far from all labelled images each class is as probable.

        Raises
        ------
        ValueError
            As of `decision_function`.
        """
        scores = self._scores(X)
        probabilities: Floats = softmax(np.float32(self.temperature_) * scores, axis=1)
        return probabilities

    def leave_one_out_proba(self) -> Floats:
        """Compute the probabilities that each row fitted to would have if it were left out.

        Only the temperature, one number, has been chosen with its label.

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
        """
        check_is_fitted(self)
        return np.asarray(softmax(self.temperature_ * self.leave_one_out_, axis=1), np.float32)

    @over_pools("predictions")
    def predict(self, X: ArrayLike | Pool) -> NDArray[Any] | Pool:
        """Predict the class of the highest score.

        Parameters
        ----------
        X : array-like or Pool, shape (n, d)

        Returns
        -------
        ndarray or Pool, shape (n,)

        Raises
        ------
        ValueError
            As of `decision_function`.
        """
        scores = self._scores(X)
        predicted: NDArray[Any] = self.classes_[scores.argmax(axis=1)]
        return predicted

    def _scores(self, X: ArrayLike | Pool) -> Floats:
        """Score each class; of two there are two columns, too."""
        check_is_fitted(self)
        points: NDArray[Any] = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        scores = np.empty((len(points), len(self.classes_)), np.float32)

        def fill(rows: slice) -> None:
            scaled: NDArray[Any] = self._scaled(points[rows], rows.start)
            if self.X_fit_.dtype == np.float32:
                scaled = np.clip(scaled, -FAR, FAR).astype(np.float32)
            scores[rows] = _kernel(scaled, self.X_fit_) @ self.dual_coef_

        for_each_chunk(fill, len(points), CHUNK)
        scores += np.float32(1 / len(self.classes_))
        return scores

    def _scaled(self, X: NDArray[Any], first: int = 0) -> NDArray[np.float64]:
        """Subtract the mean in float64, and scale so that the kernel is exp(-squared distance)."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled: NDArray[np.float64] = (X - self.mean_) * np.sqrt(self.gamma)
            # The squared distance of two points is at most four times the larger of those to the mean.
            far = ~np.isfinite(4 * np.einsum("ij,ij->i", scaled, scaled))
        if far.any():
            raise ValueError(
                f"X: the square of a distance to the mean overflows, as in row {first + int(far.argmax())}"
            )
        return scaled


def _kernel(A: NDArray[Any], B: NDArray[Any]) -> NDArray[Any]:
    kernel: NDArray[Any] = A @ B.T
    kernel *= -2
    kernel += np.einsum("ij,ij->i", A, A)[:, None]
    kernel += np.einsum("ij,ij->i", B, B)
    np.maximum(kernel, 0, out=kernel)
    np.negative(kernel, out=kernel)
    np.exp(kernel, out=kernel)
    return kernel


def _cholesky(matrix: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Factorise; a pivot that is nothing but rounding is no better than one below zero."""
    least = len(matrix) * np.finfo(np.float64).eps
    try:
        factor: NDArray[np.float64] = cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:
        factor = np.zeros_like(matrix)
    if np.square(factor.diagonal()).min() <= least * (1 + alpha):
        raise ValueError(f"alpha: {alpha:g} is too small for rows that are alike, or nearly so")
    return factor


def _temperature(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Find the temperature of the smallest log loss (C. Guo et al., ICML 2017), by smoothed targets.

    The targets are those of J. Platt, "Probabilistic outputs for support vector machines", 1999, for several classes,
    with the half counts of R. Krichevsky and V. Trofimov, 1981. By these, the odds of the only class seen so far
    against another are 2 n + 1 to 1 after n labels. Labels far from each other predict each other by tiny differences
    of scores, which no temperature may enlarge beyond that: a difference of a half has these odds at most. Where every
    temperature is as good, it is the lowest.
    """
    n, n_classes = right.shape
    targets = (n * right + PSEUDO_COUNT) / (n + PSEUDO_COUNT * n_classes)
    low, high = np.log(LOWEST), np.log(2 * np.log(n / PSEUDO_COUNT + 1))

    def loss(log: float) -> float:
        return float(-(targets * log_softmax(np.exp(log) * scores, axis=1)).sum(axis=1).mean())

    best = minimize_scalar(loss, bounds=(low, high), method="bounded").x
    return float(np.exp(best if loss(best) < loss(low) - ROUNDING else low))
