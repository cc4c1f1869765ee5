"""Kernel ridge regression against scikit-learn's, and its shortcuts against doing the work."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.utils.estimator_checks import parametrize_with_checks

from fewlabels.classifiers import kernel_ridge
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier


def blobs(count: int, classes: int = 4, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points about a centre for each class, near enough to each other that some are taken for another."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, 6))
    labels = np.arange(count) % classes
    return ((centres[labels] + random.normal(size=(count, 6))) / 4).astype(np.float32), labels.astype(np.uint8)


@parametrize_with_checks([KernelRidgeClassifier(), KernelRidgeClassifier(gamma=0.1, alpha=1.0)])
def test_it_keeps_scikit_learns_contract(estimator: KernelRidgeClassifier, check: Callable[[object], None]) -> None:
    check(estimator)


@pytest.mark.parametrize(("gamma", "alpha"), [(1.0, 0.2), (0.3, 2.0)])
def test_scores_are_scikit_learns(gamma: float, alpha: float) -> None:
    (X, y), (unseen, _) = blobs(80), blobs(3000, seed=1)
    reference = KernelRidge(kernel="rbf", gamma=gamma, alpha=alpha).fit(X, (y[:, None] == np.arange(4)) - 0.25)
    model = KernelRidgeClassifier(gamma, alpha).fit(X, y)
    scores = model.decision_function(unseen)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores - 0.25, reference.predict(unseen), atol=1e-4)
    np.testing.assert_array_equal(model.predict(unseen), scores.argmax(axis=1))


def test_what_is_left_out_scores_as_if_it_had_been() -> None:
    X, y = blobs(40)
    model = KernelRidgeClassifier().fit(X, y)
    for row in (0, 7, 39):
        others = np.arange(40) != row
        without = clone(model).fit(X[others], y[others])
        np.testing.assert_allclose(model.leave_one_out_[row], without.decision_function(X[[row]])[0], atol=1e-5)


def test_probabilities_have_the_temperature_of_least_log_loss() -> None:
    """By the leave-one-out scores, and targets to which half a label of each class is added."""
    X, y = blobs(200)
    model = KernelRidgeClassifier().fit(X, y)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(X))
    targets = np.where(y[:, None] == np.arange(4), 200.5, 0.5) / 202

    def loss(temperature: float) -> float:
        return -(targets * log_softmax(temperature * model.leave_one_out_, axis=1)).sum(axis=1).mean()

    assert 1 < model.temperature_ < 40
    assert loss(model.temperature_) <= min(loss(0.97 * model.temperature_), loss(1.03 * model.temperature_))


@pytest.mark.parametrize("offset", [-100.0, 100.0, 1e6, 1e9])
@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_an_offset_changes_nothing(offset: float, spread: float) -> None:
    """Powers of two are added without rounding, so that the differences of the points are the same."""
    (X, y), (unseen, _) = blobs(60), blobs(200, seed=1)
    X, unseen = (np.round(1024 * spread * one.astype(np.float64)) / 1024 for one in (X, unseen))
    here = KernelRidgeClassifier(1 / spread**2).fit(X, y)
    there = KernelRidgeClassifier(1 / spread**2).fit(X + offset, y)
    np.testing.assert_allclose(there.predict_proba(unseen + offset), here.predict_proba(unseen), atol=2e-5)
    np.testing.assert_allclose(there.leave_one_out_, here.leave_one_out_, atol=2e-5)


def test_points_far_from_each_other_are_told_from_those_near() -> None:
    """Two groups at a distance of 100,000: in float32 the differences within a group drown in its square."""
    X, y = blobs(60)
    apart = np.append(X.astype(np.float64), X.astype(np.float64) + 1e5, axis=0)
    both = KernelRidgeClassifier().fit(apart, np.tile(y, 2))
    one = KernelRidgeClassifier().fit(X, y)
    np.testing.assert_allclose(both.decision_function(apart[:60]), one.decision_function(X), atol=1e-4)
    np.testing.assert_allclose(both.decision_function(X[:1] + 1e9), 0.25)  # no label says anything about it


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_the_scale_is_that_of_gamma(scale: float) -> None:
    X, y = blobs(60)
    model = KernelRidgeClassifier(gamma=1 / scale**2).fit(scale * X.astype(np.float64), y)
    wanted = KernelRidgeClassifier().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(scale * X.astype(np.float64)), wanted, atol=1e-5)


def test_squares_that_overflow_are_refused() -> None:
    X, y = blobs(8)
    with pytest.raises(ValueError, match="X: the square of a distance to the mean overflows"):
        KernelRidgeClassifier().fit(X.astype(np.float64) * 1e200, y)
    unseen = np.zeros((5, 6))
    unseen[3] = 1e200
    with pytest.raises(ValueError, match="overflows, as in row 3"):
        KernelRidgeClassifier().fit(X, y).predict(unseen)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("far", [1e3, 1e25, 1e38, 1e39, 1e100, 1e150])
def test_far_from_all_labels_each_class_is_as_probable(far: float) -> None:
    X, y = blobs(60)
    model = KernelRidgeClassifier().fit(X, y)
    unseen = np.random.default_rng(0).choice([-far, far], size=(50, 6))
    np.testing.assert_array_equal(model.decision_function(unseen), np.float32(0.25))
    np.testing.assert_allclose(model.predict_proba(unseen), 0.25, rtol=1e-6)
    unseen[:, 1:] = 0  # far in one dimension only
    np.testing.assert_allclose(model.predict_proba(unseen), 0.25, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_distances_between_points_overflow_no_more_than_those_to_their_mean() -> None:
    def fit(far: float) -> KernelRidgeClassifier:
        return KernelRidgeClassifier().fit([[-far], [far], [-far], [far]], [0, 1, 0, 1])

    for far in (1e100, 6e153):
        assert fit(far).predict([[far], [-far]]).tolist() == [1, 0]
    with pytest.raises(ValueError, match="overflows, as in row 0"):
        fit(1e154)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gamma": -1}, "'gamma' parameter"),
        ({"gamma": 0}, "'gamma' parameter"),
        ({"gamma": "x"}, "'gamma' parameter"),
        ({"gamma": np.nan}, "'gamma' parameter"),
        ({"gamma": np.inf}, "'gamma' parameter"),
        ({"alpha": -0.1}, "'alpha' parameter"),
        ({"alpha": "x"}, "'alpha' parameter"),
        ({"alpha": np.nan}, "'alpha' parameter"),
        ({"classes": 3}, "'classes' parameter"),
        ({"classes": [0, 1, 2, 3, 3]}, "classes: one of them is given twice"),
        ({"classes": [[0, 1, 2, 3]]}, "classes: 2 dimensions in place of 1"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KernelRidgeClassifier(**parameters).fit(*blobs(8))


@pytest.mark.parametrize("alpha", [0.0, 1e-20])
def test_without_a_penalty_no_two_rows_are_alike(alpha: float) -> None:
    X, y = blobs(8)
    interpolated = KernelRidgeClassifier(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(interpolated.decision_function(X), np.eye(4)[y], atol=1e-4)
    with pytest.raises(ValueError, match=r"alpha: .* is too small for rows that are alike"):
        KernelRidgeClassifier(alpha=alpha).fit(np.append(X, X, axis=0), np.append(y, y))


def test_two_classes_have_the_scores_that_scikit_learn_gives_them() -> None:
    (X, y), (unseen, _) = blobs(60, classes=2), blobs(200, classes=2, seed=1)
    reference = KernelRidge(kernel="rbf", gamma=1, alpha=0.2).fit(X, np.where(y == 1, 1.0, -1.0))
    model = KernelRidgeClassifier().fit(X, y)
    np.testing.assert_allclose(model.decision_function(unseen), reference.predict(unseen), atol=1e-5)
    np.testing.assert_array_equal(model.predict(unseen), model.decision_function(unseen) > 0)
    assert model.predict_proba(unseen).shape == (200, 2)


def test_labels_keep_their_names() -> None:
    X, y = blobs(40)
    names = np.array(["ant", "bee", "cat", "dog"])
    assert KernelRidgeClassifier().fit(X, names[y]).score(X, names[y]) > 0.7


@pytest.mark.parametrize("count", [3, 12, 300])
def test_a_class_never_seen_keeps_some_probability(count: int) -> None:
    """As many labels of one class, and half a label of each of three beforehand, are what a label left out is worth."""
    model = KernelRidgeClassifier(classes=range(3)).fit(np.zeros((count, 2)), np.full(count, 2))
    left_out = softmax(model.temperature_ * model.leave_one_out_, axis=1)
    wanted = np.array([0.5, 0.5, count + 0.5]) / (count + 1.5)
    np.testing.assert_allclose(left_out, np.tile(wanted, (count, 1)), rtol=1e-3)
    assert model.predict_proba(np.zeros((1, 2))).min() > wanted[0] / 3


def test_labels_that_do_not_predict_each_other_are_no_reason_to_be_sure() -> None:
    """One alone, or three of three classes: none is predicted by the others."""
    X, y = blobs(400, classes=3)
    for count in (1, 3):
        model = KernelRidgeClassifier(classes=range(10)).fit(X[:count], y[:count])
        assert model.temperature_ == pytest.approx(0.5, abs=1e-4)
        assert model.predict_proba(X).max() < 0.2


def test_labels_far_from_each_other_are_no_reason_to_be_sure() -> None:
    """Two of one class, each hardly a reason for the other: near them, the odds are 5 to 1 for half a score."""
    model = KernelRidgeClassifier(classes=range(3)).fit([[0.0], [2.0]], [2, 2])
    assert np.exp(model.temperature_ / 2) == pytest.approx(5, rel=1e-3)
    assert 0.8 < model.predict_proba([[0.0]])[0, 2] < 0.95


def test_hundreds_of_labels_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs(400)
    found = KernelRidgeClassifier().fit(X, y).temperature_
    monkeypatch.setattr(kernel_ridge, "PSEUDO_COUNT", 1e-9)
    assert found == pytest.approx(KernelRidgeClassifier().fit(X, y).temperature_, rel=0.1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_labels_than_classes_leave_no_gap(count: int) -> None:
    X, y = blobs(count)
    model = KernelRidgeClassifier(classes=range(10)).fit(X, y)
    assert np.isfinite(model.temperature_)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X), y)


def test_images_all_alike_have_finite_scores() -> None:
    model = KernelRidgeClassifier().fit(np.zeros((6, 3)), [0, 0, 0, 0, 1, 1])
    assert np.isfinite(model.leave_one_out_).all()
    assert (model.predict(np.zeros((2, 3))) == 0).all()


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="label 3 is none of the classes"):
        KernelRidgeClassifier(classes=range(3)).fit(*blobs(8))
