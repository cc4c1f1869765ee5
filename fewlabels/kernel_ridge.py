"""Kernel ridge regression as a classifier: closed form, deterministic, and at its best where labels are few.

Regularised least-squares classification (R. Rifkin, G. Yeo and T. Poggio, 2003): a score for each class is a sum of
Gaussian bumps at the labelled images. What each labelled image would have scored without itself comes for free
(R. Rifkin and R. Lippert, "Notes on Regularized Least Squares", 2007), and tells how far scores can be trusted as
probabilities.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, cholesky, lapack
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fewlabels.distances import squared_norms
from fewlabels.threads import each

CHUNK = 1024
"""Rows that are scored at a time, so that memory stays bounded."""
TEMPERATURES = (0.5, 50.0)
"""Between these the factor from scores to logits is looked for."""

Floats = NDArray[np.float32]


class KernelRidgeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Least squares on the one-hot labels, with a Gaussian kernel.

    Time grows with the cube of the labels, memory with their square: for thousands, not tens of thousands.

    Parameters
    ----------
    gamma : float, default=1
        The kernel is exp(-gamma * squared distance).
    alpha : float, default=0.2
        Strength of the L2 penalty.
    classes : array-like, optional
        All classes, so that one of which there is no label yet has a score, too. Those of `y` if not given.

    Attributes
    ----------
    classes_ : ndarray, shape (classes,)
    dual_coef_ : ndarray of float32, shape (n, classes)
        Weight of each bump.
    X_fit_ : ndarray of float32, shape (n, d)
    leave_one_out_ : ndarray of float64, shape (n, classes)
        What each row fitted to would score if it had been left out.
    temperature_ : float
        Probabilities are the softmax of this times the scores. Chosen on `leave_one_out_`, by log loss.
    n_features_in_ : int
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
        ndarray of float32, shape (n, classes)
            Two classes have two columns, too.
        """
        check_is_fitted(self)
        points: Floats = validate_data(self, X, dtype=np.float32, reset=False)
        scores = np.empty((len(points), len(self.classes_)), np.float32)

        def fill(rows: slice) -> None:
            scores[rows] = _kernel(points[rows], self.X_fit_, self.gamma) @ self.dual_coef_

        each(fill, len(points), CHUNK)
        scores += np.float32(1 / len(self.classes_))
        return scores

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Give calibrated probabilities.

        Parameters
        ----------
        X : array-like, shape (n, d)

        Returns
        -------
        ndarray of float32, shape (n, classes)
        """
        probabilities: Floats = softmax(np.float32(self.temperature_) * self.decision_function(X), axis=1)
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Give the class of the highest score.

        Parameters
        ----------
        X : array-like, shape (n, d)

        Returns
        -------
        ndarray, shape (n,)
        """
        answers: NDArray[Any] = self.classes_[self.decision_function(X).argmax(axis=1)]
        return answers


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
    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(
        lambda log: -log_softmax(np.exp(log) * scores, axis=1)[right].mean(), bounds=(low, high), method="bounded"
    )
    return float(np.exp(found.x))
