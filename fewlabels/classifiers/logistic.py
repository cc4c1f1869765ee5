"""Multinomial logistic regression from raw pixels, as one scikit-learn Pipeline: the study's classifier."""

from sklearn.base import TransformerMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

WHITENED_VARIANCE = 1 - 1e-5
"""Whitening keeps this share of the variance: beyond it, float32 holds nothing but rounding."""


def logistic_regression(features: TransformerMixin, *, C: float, max_iterations: int, whiten: bool = False) -> Pipeline:
    """Build logistic regression that has yet to be trained.

    Parameters
    ----------
    features : transformer
        Computes features from raw pixels; fitted, if it needs to be.
    C : float
        Inverse strength of the L2 penalty.
    max_iterations : int
        L-BFGS stops after so many.
    whiten : bool, default=False
        Whether to whiten the features. Distances to hundreds of centroids are nearly collinear: whitened, L-BFGS
        converges within a few dozen iterations.

    Returns
    -------
    Pipeline
        Fit and predict with uint8 pixels of shape (n, d). All computation is in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from fewlabels.features.pixels import scale_pixels
    >>> images = np.array([[0, 10], [250, 255]], np.uint8)
    >>> model = logistic_regression(FunctionTransformer(scale_pixels), C=1, max_iterations=100)
    >>> model.fit(images, [0, 1]).predict(images)
    array([0, 1])
    """
    centred = StandardScaler(with_std=False, copy=False)
    regression = LogisticRegression(C=C, max_iter=max_iterations)
    if not whiten:
        return make_pipeline(features, centred, regression)
    whitened = PCA(WHITENED_VARIANCE, whiten=True, svd_solver="covariance_eigh", copy=False)
    return make_pipeline(features, centred, whitened, regression)
