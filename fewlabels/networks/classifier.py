"""A trained Keras network as a scikit-learn classifier, so that evaluation and ensembles treat all models alike."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from fewlabels.arrays import Floats
from fewlabels.networks.batches import checked_pixels, predict_in_batches
from fewlabels.networks.quiet_keras import keras


class NetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """scikit-learn's interface around a Keras network that has been trained.

    `fewlabels.networks.training.train` and `fewlabels.networks.student.train_student` make it. joblib saves it with the
    network inside.

    Parameters
    ----------
    network : keras.Model
        Takes uint8 pixels of shape (n, pixels), gives a score of 0 or more for each class 0, 1, 2 …
    curves : sequence of dict, default=()
        How the training went, a row for each evaluation of it.
    collapsed_starts : int, default=0
        Initialisations that ended in a network with a constant prediction.
    collapsed : bool, default=False
        Whether `network` itself is such a network, because every start was.

    Attributes
    ----------
    classes_ : ndarray of int64, shape (n_classes,)
    n_features_in_ : int
        Pixels of an image.

    Examples
    --------
    >>> inputs = keras.Input((4,), dtype="uint8")
    >>> model = NetworkClassifier(keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs)))
    >>> model.predict([[1, 2, 9, 0], [8, 2, 0, 0]])
    array([2, 0])
    >>> model.predict_proba([[8, 2, 0, 0]])
    array([[0.8, 0.2, 0. , 0. ]], dtype=float32)
    """

    def __init__(
        self,
        network: keras.Model,
        curves: Sequence[dict[str, float]] = (),
        collapsed_starts: int = 0,
        collapsed: bool = False,
    ) -> None:
        self.network = network
        self.curves = curves
        self.collapsed_starts = collapsed_starts
        self.collapsed = collapsed

    @property
    def classes_(self) -> NDArray[np.int64]:
        """All classes, in the order of the columns of `predict_proba`."""
        return np.arange(self.network.output_shape[-1])

    @property
    def n_features_in_(self) -> int:
        """Pixels of an image."""
        return int(self.network.input_shape[-1])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Self:
        return copy(self)  # the network is what was learned: shared, as it does not change

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Do nothing, as `sklearn.frozen.FrozenEstimator` does: the network is trained already.

        Parameters
        ----------
        X, y : ignored

        Returns
        -------
        self
        """
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Compute the probability of each class.

        Parameters
        ----------
        X : array-like of uint8, shape (n, pixels)

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
            Each row sums to 1, also where the network's scores have no fixed sum. Of scores all 0, each class is as
            probable.
        """
        scores = predict_in_batches(self.network, checked_pixels(self, X))
        scores[~scores.any(axis=1)] = 1
        scores /= scores.sum(axis=1, keepdims=True)
        return scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the likeliest class.

        Parameters
        ----------
        X : array-like of uint8, shape (n, pixels)

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        predicted: NDArray[Any] = predict_in_batches(self.network, checked_pixels(self, X)).argmax(axis=1)
        return predicted
