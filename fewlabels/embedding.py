"""What a trained network makes of an image just before it answers, as features for another classifier."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from fewlabels.batches import predict
from fewlabels.quiet_keras import keras

SAMPLE = 12_000
"""Images that the principal components are computed from."""


class Embedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The principal components of a network's last features.

    Scaled like `fewlabels.gradients.Gradients`, by one number such that the mean squared norm of the images fitted to
    is 1, so that the same kernel width suits both.

    Parameters
    ----------
    network : keras.Model
        Trained; its last layer is the one that answers.
    components : int, default=100
        Numbers kept for each image; fewer where the network or the images have fewer.

    Attributes
    ----------
    pca_ : sklearn.decomposition.PCA
    scale_ : float
    n_features_in_ : int
        Pixels of an image.
    """

    def __init__(self, network: Any, components: int = 100) -> None:
        self.network = network
        self.components = components

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the principal components.

        Parameters
        ----------
        X : array-like of uint8, shape (n, height * width)
        y : ignored

        Returns
        -------
        self
        """
        images = np.asarray(X)
        last = self.last(images[np.linspace(0, len(images) - 1, min(len(images), SAMPLE)).astype(np.int64)])
        count = min(self.components, *last.shape)
        self.pca_ = PCA(count, svd_solver="covariance_eigh").fit(last)
        self.scale_ = float(np.sqrt(max(self.pca_.explained_variance_.sum(), np.finfo(np.float32).tiny)))
        self.n_features_in_ = images.shape[1]
        self._n_features_out = count
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Describe images.

        Parameters
        ----------
        X : array-like of uint8, shape (n, height * width)

        Returns
        -------
        ndarray of float32, shape (n, components)
        """
        return self.reduced(self.last(X))

    def last(self, X: ArrayLike) -> NDArray[np.float32]:
        """Give the features that the network's last layer answers from.

        Parameters
        ----------
        X : array-like of uint8, shape (n, height * width)

        Returns
        -------
        ndarray of float32, shape (n, f)
        """
        return predict(keras.Model(self.network.inputs, self.network.layers[-1].input), X)

    def reduced(self, last: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reduce what `last` gave to what `transform` gives."""
        check_is_fitted(self)
        return np.asarray(self.pca_.transform(last) / self.scale_, np.float32)
