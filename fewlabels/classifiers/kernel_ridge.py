"""Kernel ridge regression as a classifier: closed form, deterministic, and at its best where labels are few.

Regularised least-squares classification (R. Rifkin, G. Yeo and T. Poggio, 2003): the score of each class is a sum of
Gaussian functions centred at the labelled images. The scores that each labelled image would have if it were left out
follow in closed form (R. Rifkin and R. Lippert, "Notes on Regularized Least Squares", 2007); they calibrate the
probabilities without further labels.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, cholesky, lapack
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fewlabels.arrays import Floats, squared_norms
from fewlabels.threads import for_each_chunk

CHUNK = 1024
"""Rows that are scored at a time, so that memory stays bounded."""
TEMPERATURES = (0.5, 50.0)
"""The factor from scores to logits is searched between these."""


class KernelRidgeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Kernel ridge regression on one-hot labels, with a Gaussian kernel.

    Time grows with the cube of the labels, memory with their square: for thousands, not tens of thousands.

    Parameters
    ----------
    gamma : float, default=1
        The kernel is exp(-gamma * squared distance).
    alpha : float, default=0.2
        Strength of the L2 penalty.
    classes : array-like, optional
        All classes, so that one without a label yet has a score, too. Those of `y` if not given.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    dual_coef_ : ndarray of float32, shape (n, n_classes)
        Weight of each labelled image in the score of each class.
    X_fit_ : ndarray of float32, shape (n, d)
    leave_one_out_ : ndarray of float64, shape (n, n_classes)
        Leave-one-out scores: those that each row fitted to would have if it were left out.
    temperature_ : float
        Probabilities are the softmax of this times the scores. Chosen on `leave_one_out_`, by log loss.
    n_features_in_ : int

    Examples
    --------
    >>> model = KernelRidgeClassifier().fit([[0.0], [0.1], [1.0], [1.1]], ["low", "low", "high", "high"])
    >>> model.predict([[0.2], [0.9]])
    array(['low', 'high'], dtype='<U4')
    """

    def __init__(self, gamma: float = 1.0, alpha: float = 0.2, classes: ArrayLike | None = None) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.classes = classes

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
            If a label is not among `classes`.
        """
        points, labels = validate_data(self, X, y, dtype=np.float32)
        self.classes_ = np.unique(labels) if self.classes is None else np.asarray(self.classes)
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"label {unknown[0]} is none of the classes")
        self.X_fit_ = points
        targets = (labels[:, None] == self.classes_) - 1 / len(self.classes_)
        kernel = _kernel(points, points, self.gamma).astype(np.float64)
        kernel[np.diag_indices(len(points))] += self.alpha
        factor = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
        weights = cho_solve((factor, True), targets, check_finite=False)
        self.dual_coef_ = weights.astype(np.float32)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        self.leave_one_out_ = targets - weights / inverse.diagonal()[:, None] + 1 / len(self.classes_)
        self.temperature_ = _temperature(self.leave_one_out_, targets > 0)
        return self

    def decision_function(self, X: ArrayLike) -> Floats:
        """Score each class: about 1 for the right one, 0 for the others.

        Parameters
        ----------
        X : array-like, shape (n, d)

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
            Two classes have two columns, too.
        """
        check_is_fitted(self)
        points: Floats = validate_data(self, X, dtype=np.float32, reset=False)
        scores = np.empty((len(points), len(self.classes_)), np.float32)

        def fill(rows: slice) -> None:
            scores[rows] = _kernel(points[rows], self.X_fit_, self.gamma) @ self.dual_coef_

        for_each_chunk(fill, len(points), CHUNK)
        scores += np.float32(1 / len(self.classes_))
        return scores

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Compute calibrated probabilities.

        Parameters
        ----------
        X : array-like, shape (n, d)

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
        """
        probabilities: Floats = softmax(np.float32(self.temperature_) * self.decision_function(X), axis=1)
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the class of the highest score.

        Parameters
        ----------
        X : array-like, shape (n, d)

        Returns
        -------
        ndarray, shape (n,)
        """
        predicted: NDArray[Any] = self.classes_[self.decision_function(X).argmax(axis=1)]
        return predicted


def _kernel(A: Floats, B: Floats, gamma: float) -> Floats:
    kernel: Floats = A @ B.T
    kernel *= -2
    kernel += squared_norms(A)[:, None]
    kernel += squared_norms(B)
    np.maximum(kernel, 0, out=kernel)
    kernel *= np.float32(-gamma)
    np.exp(kernel, out=kernel)
    return kernel


def _temperature(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Find the temperature of the smallest log loss (C. Guo et al., ICML 2017)."""
    low, high = np.log(TEMPERATURES)
    best = minimize_scalar(
        lambda log: -log_softmax(np.exp(log) * scores, axis=1)[right].mean(), bounds=(low, high), method="bounded"
    )
    return float(np.exp(best.x))
