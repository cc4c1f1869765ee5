"""Logistic regression against scikit-learn's on features made by hand."""

from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from synthetic import striped

from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.clustering.assignment import distances_to_centroids
from fewlabels.features.pixels import scale_pixels

CENTROIDS = np.random.default_rng(0).random((15, 96), np.float32)
DISTANCES = make_pipeline(
    FunctionTransformer(scale_pixels), FunctionTransformer(distances_to_centroids, kw_args={"centroids": CENTROIDS})
)


def pixels(C: float, power: float = 0.5) -> Pipeline:
    features = FunctionTransformer(scale_pixels, kw_args={"power": power})
    return logistic_regression(features, C=C, max_iterations=300).fit(*striped(60))


def on_distances(C: float) -> Pipeline:
    return logistic_regression(DISTANCES, C=C, max_iterations=300, whiten=True).fit(*striped(60))


@pytest.mark.parametrize("C", [0.001, 0.1])
@pytest.mark.parametrize("power", [0.5, 1])
def test_regression_on_pixels_is_scikit_learns(C: float, power: float) -> None:
    (train, labels), (test, _) = striped(60), striped(30, seed=1)
    reference = LogisticRegression(C=C, max_iter=300).fit((train / 255) ** power, labels)
    model = pixels(C, power)
    wanted = reference.predict_proba((test / 255) ** power)
    np.testing.assert_allclose(model.predict_proba(test), wanted, atol=2e-3)
    np.testing.assert_array_equal(model.predict(test), reference.predict((test / 255) ** power))


def test_regression_on_distances_is_scikit_learns_on_whitened_ones() -> None:
    train, test = (euclidean_distances(striped(n, seed)[0] / 255, CENTROIDS) for n, seed in ((60, 0), (30, 1)))
    scaler = PCA(1 - 1e-5, whiten=True).fit(train)
    reference = LogisticRegression(C=0.1, max_iter=300).fit(scaler.transform(train), striped(60)[1])
    wanted = reference.predict_proba(scaler.transform(test))
    np.testing.assert_allclose(on_distances(0.1).predict_proba(striped(30, seed=1)[0]), wanted, atol=2e-3)


@pytest.mark.parametrize("model", [partial(pixels, 10), partial(on_distances, 10)], ids=["pixels", "distances"])
def test_regression_learns_from_bytes_and_survives_joblib(model: partial[Pipeline], tmp_path: Path) -> None:
    trained = model()
    test, truth = striped(90, seed=1)
    test.flags.writeable = False
    assert trained.predict(test).dtype == np.uint8
    assert trained.score(test, truth) > 0.9
    joblib.dump(trained, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(test), trained.predict_proba(test))


def test_regression_needs_two_classes() -> None:
    model = logistic_regression(FunctionTransformer(scale_pixels), C=1, max_iterations=10)
    with pytest.raises(ValueError, match="only one class"):
        model.fit(striped(60)[0], np.full(60, 2, np.uint8))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("whiten", [False, True])
def test_the_iterations_end_where_they_are_told(whiten: bool) -> None:
    images, labels = striped(60)
    for most in (2, 3):
        model = logistic_regression(FunctionTransformer(scale_pixels), C=10, max_iterations=most, whiten=whiten)
        assert model.fit(images, labels)[-1].n_iter_.tolist() == [most]


def test_directions_without_variance_are_not_whitened() -> None:
    """The same number twice: what is left of their difference is rounding, and would be blown up to a variance of 1."""
    images, labels = striped(60)
    once = FunctionTransformer(lambda X: scale_pixels(X)[:, ::12])
    twice = FunctionTransformer(lambda X: np.tile(scale_pixels(X)[:, ::12] * np.float32(0.7), 2))
    one, other = (logistic_regression(make, C=1, max_iterations=300, whiten=True) for make in (once, twice))
    wanted = one.fit(images, labels).predict_proba(striped(30, seed=1)[0])
    assert other.fit(images, labels)[-1].coef_.shape == (3, 8)
    np.testing.assert_allclose(other.predict_proba(striped(30, seed=1)[0]), wanted, atol=2e-3)


def test_whitened_features_are_centred_at_the_images_of_training() -> None:
    """So that L-BFGS starts near its end: in far fewer iterations than pixels in 0..1 need."""
    images, labels = striped(60)
    model = logistic_regression(FunctionTransformer(scale_pixels), C=1, max_iterations=300).fit(images, labels)
    centred = model[:-1].transform(images)
    np.testing.assert_allclose(centred.mean(axis=0), 0, atol=1e-6)
    assert centred.dtype == np.float32
    whitened = logistic_regression(FunctionTransformer(scale_pixels), C=1, max_iterations=300, whiten=True)
    points = whitened.fit(images, labels)[:-1].transform(images)
    np.testing.assert_allclose(np.cov(points.T), np.eye(points.shape[1]), atol=0.02)
