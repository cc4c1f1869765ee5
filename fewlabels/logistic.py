"""Multinomial logistic regression, from raw pixels or from distances to centroids, as one scikit-learn Pipeline."""

from sklearn.base import TransformerMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fewlabels.distances import distances_to
from fewlabels.label_set import LabelSet
from fewlabels.pixels import scaled

WHITENED = 1 - 1e-5
"""Share of the variance of the distances that is kept: beyond it, float32 holds nothing but rounding."""


def logistic_regression(
    label_set: LabelSet,
    *,
    C: float,
    max_iterations: int,
    pixel_power: float,
    features: TransformerMixin | None = None,
) -> Pipeline:
    """Build an untrained classifier that takes what the label set's images come as: raw pixels.

    Parameters
    ----------
    label_set : LabelSet
        If it has `centroids`, the features are the distances to them. Distances to hundreds of
        centroids are nearly collinear, so they are whitened: L-BFGS then converges, in a few dozen iterations.
    C : float
        Inverse strength of the L2 penalty.
    max_iterations : int
        L-BFGS stops after so many.
    pixel_power : float
        Pixels, scaled to 0..1, are raised to this power. 0.5 makes more of the faint parts of an image; 1 leaves them.
        Centroids live among unchanged pixels, so distances are not touched by it.
    features : fitted transformer, optional
        Gives other features from raw pixels, those that the centroids live among; `pixel_power` then has no say.

    Returns
    -------
    Pipeline
        Fit and predict with uint8 pixels of shape (n, d). All computation is in float32.
    """
    centred = StandardScaler(with_std=False, copy=False)
    if label_set.centroids is None:
        described = features or FunctionTransformer(scaled, kw_args={"power": pixel_power})
        steps = [described, centred]
    else:
        steps = [
            features or FunctionTransformer(scaled),
            FunctionTransformer(distances_to, kw_args={"centroids": label_set.centroids}),
            centred,
            PCA(WHITENED, whiten=True, svd_solver="covariance_eigh", copy=False),
        ]
    return make_pipeline(*steps, LogisticRegression(C=C, max_iter=max_iterations))
