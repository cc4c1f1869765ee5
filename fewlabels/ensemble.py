"""Several classifiers as one: their probabilities averaged. They err differently, so their mean errs less."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from fewlabels.batches import predict


class Ensemble(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The mean of what trained classifiers say. There is nothing to fit.

    Parameters
    ----------
    models : sequence of classifiers
        Trained on the same classes, 0, 1, 2 …: scikit-learn's, with `predict_proba`, and Keras models that give
        probabilities.
    """

    def __init__(self, models: Sequence[Any]) -> None:
        self.models = models

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Average the models' probabilities.

        Parameters
        ----------
        X : array-like of uint8, shape (n, pixels)

        Returns
        -------
        ndarray of float32, shape (n, classes)
        """
        each = [_probabilities(model, np.asarray(X)) for model in self.models]
        return np.asarray(np.mean(each, axis=0), np.float32)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Give the likeliest class.

        Parameters
        ----------
        X : array-like of uint8, shape (n, pixels)

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        return np.asarray(self.predict_proba(X).argmax(axis=1))

    @property
    def classes_(self) -> NDArray[np.int64]:
        """Of the first model that names them."""
        named = next(model for model in self.models if hasattr(model, "classes_"))
        return np.asarray(named.classes_)


def _probabilities(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(images), np.float32)
    return predict(model, images)
