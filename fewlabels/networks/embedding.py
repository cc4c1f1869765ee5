"""The last features of a trained network, as features for another classifier."""

from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils.validation import check_is_fitted

from fewlabels.arrays import Floats, evenly_spaced
from fewlabels.features.scaled_pca import ScaledPCA
from fewlabels.networks.batches import checked_pixels, predict_in_batches
from fewlabels.networks.quiet_keras import keras
from fewlabels.parameters import WholeNumber

SAMPLE = 12_000
"""Images at most that the principal components are computed from."""


class Embedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The input of a network's last layer, reduced to its principal components.

    Scaled by `ScaledPCA`, as HOG features are, so that the same kernel width suits both.

    Parameters
    ----------
    network : keras.Model
        Trained; its last layer computes the classes' scores.
    n_components : int, default=100
        Numbers kept for each image; fewer where the network or the images have fewer.

    Attributes
    ----------
    pca_ : ScaledPCA
        Fitted to the last features of at most 12,000 of the images, evenly spaced.
    n_features_in_ : int
        Pixels of an image.

    Examples
    --------
    >>> import numpy as np
    >>> from fewlabels.networks.architectures import compact
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 64), dtype=np.uint8)
    >>> Embedding(compact((8, 8), n_classes=3), n_components=5).fit_transform(images).shape
    (20, 5)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "network": [keras.Model],
        "n_components": [WholeNumber(1)],
    }

    def __init__(self, network: keras.Model, n_components: int = 100) -> None:
        self.network = network
        self.n_components = n_components

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the principal components.

        Parameters
        ----------
        X : array-like of uint8, shape (n, pixels)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range, or X is not images that the network takes.
        """
        images = checked_pixels(self, X)
        self.pca_ = ScaledPCA(self.n_components).fit(self.last_features(images[evenly_spaced(len(images), SAMPLE)]))
        self.n_features_in_ = images.shape[1]
        self._n_features_out = self.pca_.components_.shape[1]
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Compute the features of images.

        Parameters
        ----------
        X : array-like of uint8, shape (n, pixels)

        Returns
        -------
        ndarray of float32, shape (n, n_components)
        """
        check_is_fitted(self)
        reduced: Floats = self.pca_.transform(self.last_features(X))
        return reduced

    def last_features(self, X: ArrayLike) -> Floats:
        """Compute the input of the network's last layer.

        Parameters
        ----------
        X : array-like of uint8, shape (n, pixels)

        Returns
        -------
        ndarray of float32, shape (n, f)
        """
        return predict_in_batches(without_last_layer(self.network), checked_pixels(self, X))


def without_last_layer(network: keras.Model) -> keras.Model:
    """Give a network whose output is the last features of another.

    Parameters
    ----------
    network : keras.Model

    Returns
    -------
    keras.Model

    Examples
    --------
    >>> from fewlabels.networks.architectures import compact
    >>> network = compact((8, 8), n_classes=3)
    >>> without_last_layer(network).output_shape == network.layers[-1].input.shape
    True
    """
    return keras.Model(network.inputs, network.layers[-1].input)
