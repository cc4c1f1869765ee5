"""Scaled principal components against scikit-learn's, and scikit-learn's names for what comes out."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from fewlabels.features.hog import HOG
from fewlabels.features.scaled_pca import ScaledPCA

POINTS = np.random.default_rng(0).normal(2, 1, (80, 5)) @ np.diag([5, 4, 3, 2, 1])


@pytest.mark.parametrize("kept", [1, 3, 5, 9])
def test_components_are_scikit_learns_over_one_number(kept: int) -> None:
    """The same number for all, such that the mean squared norm of what is kept is 1."""
    count = min(kept, 5)
    reference = PCA(count, svd_solver="full").fit(POINTS)
    wanted = reference.transform(POINTS)
    scale = np.sqrt(np.square(wanted).sum(axis=1).mean())
    reduced = ScaledPCA(kept).fit(POINTS)
    np.testing.assert_allclose(np.abs(reduced.transform(POINTS)), np.abs(wanted) / scale, atol=1e-3)
    np.testing.assert_allclose(reduced.mean_, POINTS.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.abs(reduced.components_.T), np.abs(reference.components_) / scale, atol=1e-4)


def test_float64_and_lists_become_float32_about_an_exact_mean() -> None:
    reduced = ScaledPCA(2).fit(POINTS.tolist())
    assert reduced.mean_.dtype == np.float64
    assert reduced.components_.dtype == reduced.transform(POINTS).dtype == np.float32
    assert reduced.n_features_in_ == 5
    assert reduced.get_feature_names_out().tolist() == ["scaledpca0", "scaledpca1"]


def test_fewer_points_than_components() -> None:
    assert ScaledPCA(4).fit_transform(POINTS[:3]).shape == (3, 3)


def test_points_all_alike_are_at_zero() -> None:
    np.testing.assert_array_equal(ScaledPCA(2).fit_transform(np.ones((6, 3))), np.zeros((6, 2)))


def test_what_is_not_fitted_transforms_nothing() -> None:
    for transformer, X in ((ScaledPCA(2), POINTS), (HOG((8, 8)), np.zeros((2, 64), np.uint8))):
        with pytest.raises(NotFittedError):
            transformer.transform(X)


def test_hog_names_its_features() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 72)).astype(np.uint8)
    hog = HOG((9, 8), n_components=3).fit(images)
    assert hog.n_features_in_ == 72
    assert hog.get_feature_names_out().tolist() == ["hog0", "hog1", "hog2"]
