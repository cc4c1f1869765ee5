"""scikit-learn's own checks of the estimators around a network, with what a trained network cannot do, and why."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fewlabels.networks.architectures import compact
from fewlabels.networks.classifier import NetworkClassifier
from fewlabels.networks.embedding import Embedding
from fewlabels.networks.quiet_keras import keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras 3.15, with numpy 2
NETWORK = compact((8, 8), n_classes=3)
OTHER_IMAGES = "the network takes images of 64 pixels; the check fits and predicts points of another size"
TRAINED = "the network is trained already: fit does nothing, as that of sklearn.frozen.FrozenEstimator"
EXPECTED: dict[str, dict[str, str]] = {
    "NetworkClassifier": dict.fromkeys(
        (
            "check_classifier_data_not_an_array",
            "check_classifiers_classes",
            "check_classifiers_one_label",
            "check_dict_unchanged",
            "check_dtype_object",
            "check_estimators_dtypes",
            "check_estimators_pickle",
            "check_f_contiguous_array_estimator",
            "check_fit_idempotent",
            "check_fit_score_takes_y",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_pipeline_consistency",
            "check_supervised_y_2d",
        ),
        OTHER_IMAGES,
    )
    | dict.fromkeys(
        (
            "check_classifiers_regression_target",
            "check_classifiers_train",
            "check_complex_data",
            "check_estimator_sparse_tag",
            "check_estimators_empty_data_messages",
            "check_estimators_nan_inf",
            "check_estimators_unfitted",
            "check_fit1d",
            "check_fit_check_is_fitted",
            "check_n_features_in",
            "check_n_features_in_after_fitting",
            "check_supervised_y_no_nan",
        ),
        TRAINED,
    )
    | {"check_estimators_overwrite_params": "joblib's hash of a network changes with the clock: Keras saves the time"},
    "Embedding": dict.fromkeys(
        (
            "check_dict_unchanged",
            "check_dont_overwrite_parameters",
            "check_dtype_object",
            "check_estimators_dtypes",
            "check_estimators_fit_returns_self",
            "check_estimators_nan_inf",
            "check_estimators_overwrite_params",
            "check_estimators_pickle",
            "check_f_contiguous_array_estimator",
            "check_fit2d_1feature",
            "check_fit2d_1sample",
            "check_fit2d_predict1d",
            "check_fit_check_is_fitted",
            "check_fit_idempotent",
            "check_fit_score_takes_y",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_n_features_in",
            "check_n_features_in_after_fitting",
            "check_pipeline_consistency",
            "check_positive_only_tag_during_fit",
            "check_readonly_memmap_input",
            "check_transformer_data_not_an_array",
            "check_transformer_general",
            "check_transformer_preserve_dtypes",
        ),
        OTHER_IMAGES,
    ),
}


@parametrize_with_checks([NetworkClassifier(NETWORK), Embedding(NETWORK)])
def test_they_keep_scikit_learns_contract(estimator: BaseEstimator, check: Any) -> None:
    reason = EXPECTED[type(estimator).__name__].get(check.func.__name__)
    if reason is None:
        check(estimator)
        return
    with pytest.raises((AssertionError, ValueError)) as failure:
        check(estimator)
    if reason == OTHER_IMAGES:
        assert "is expecting 64 features" in f"{failure.value} {failure.value.__cause__}"
    else:
        assert "is expecting 64 features" not in str(failure.value)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 63), np.uint8), "X has 63 features, but .* is expecting 64"),
        (np.zeros(64, np.uint8), "Expected 2D array, got 1D"),
        (np.full((2, 64), 256), "X: 256 is no pixel"),
        (np.full((2, 64), -1), "X: -1 is no pixel"),
        (np.full((2, 64), 0.5), "X: 0.5 is no pixel"),
        (np.full((2, 64), np.nan), "X contains NaN"),
    ],
)
def test_what_is_no_image_is_refused(X: np.ndarray, message: str) -> None:
    fitted = Embedding(NETWORK, n_components=2).fit(np.arange(640).reshape(10, 64) % 256)
    for method in (NetworkClassifier(NETWORK).predict, NetworkClassifier(NETWORK).predict_proba, fitted.transform):
        with pytest.raises(ValueError, match=message):
            method(X)
    with pytest.raises(ValueError, match=message):
        Embedding(NETWORK).fit(X)


def test_an_embedding_checks_its_parameters_and_is_fitted_before_it_transforms() -> None:
    images = np.zeros((3, 64), np.uint8)
    with pytest.raises(ValueError, match="'network' parameter"):
        Embedding("x").fit(images)
    for n_components in (0, True, 2.0, "3", None):
        with pytest.raises(ValueError, match="'n_components' parameter of Embedding must be an int"):
            Embedding(NETWORK, n_components).fit(images)
    with pytest.raises(NotFittedError):
        Embedding(NETWORK).transform(images)


def test_pixels_of_another_type_are_the_same_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 64))
    model = NetworkClassifier(NETWORK)
    for dtype in (np.float64, np.int64, np.float32):
        np.testing.assert_array_equal(model.predict_proba(images.astype(dtype)), model.predict_proba(images))


def test_a_clone_has_parameters_of_its_own_and_the_same_network() -> None:
    model = NetworkClassifier(NETWORK, curves=[{"loss": 1.0}])
    other = clone(model).set_params(collapsed=True, collapsed_starts=2)
    assert (model.collapsed, model.collapsed_starts) == (False, 0)
    assert (other.collapsed, other.collapsed_starts) == (True, 2)
    assert other.network is model.network
    other.set_params(network=None)
    images = np.random.default_rng(0).integers(0, 256, (5, 64))
    np.testing.assert_array_equal(clone(model).predict(images), model.predict(images))


def test_scores_of_any_size_become_probabilities() -> None:
    inputs = keras.Input((4,), dtype="uint8")
    images = [[8, 2, 0, 0], [0, 0, 0, 0], [0, 0, 255, 0]]
    for factor in (1.0, 1e-36, 1e35):
        model = NetworkClassifier(keras.Model(inputs, keras.layers.Rescaling(factor)(inputs)))
        wanted = [[0.8, 0.2, 0, 0], [0.25] * 4, [0, 0, 1, 0]]
        np.testing.assert_allclose(model.predict_proba(images), wanted, rtol=1e-5)
