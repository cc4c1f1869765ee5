"""The features that predict left-out labels best are those in which classes lie apart."""

import numpy as np
import pytest

from fewlabels.choosing.which_features import choose_features, left_out_log_losses
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier

LABELS = (np.arange(60) % 3).astype(np.uint8)
RIDGE = KernelRidgeClassifier(classes=range(3))


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_lower_the_farther_the_classes_are_apart(seed: int) -> None:
    noise = 0.3 * np.random.default_rng(seed).normal(size=(60, 5))
    features = [(noise + apart * np.eye(3, 5)[LABELS]).astype(np.float32) for apart in (0, 0.4, 0.8, 1.6)]
    losses = [left_out_log_losses(RIDGE, one, LABELS).mean() for one in features]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > np.log(3) * 0.95, "noise tells nothing"


def test_it_is_the_log_loss_of_the_probabilities_left_out() -> None:
    features = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    probabilities = RIDGE.fit(features, LABELS).leave_one_out_proba()
    wanted = -np.log(probabilities[np.arange(60), LABELS])
    np.testing.assert_allclose(left_out_log_losses(RIDGE, features, LABELS), wanted, rtol=1e-5)


def test_a_class_that_no_label_has_counts_as_possible() -> None:
    losses = left_out_log_losses(RIDGE, np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1], np.uint8))
    assert losses.shape == (4,)
    assert (losses > 0).all()


def test_others_are_taken_only_if_they_are_better_by_more_than_a_standard_error() -> None:
    """Differences 0.5 with a standard deviation of 1: a standard error is 1 / sqrt(m)."""
    spread = np.array([1.5, -0.5])
    for repeats, chosen in ((1, "first"), (2, "first"), (3, "other"), (50, "other")):
        gains = np.tile(spread, repeats)
        assert choose_features({"first": 2 + gains, "other": np.full(len(gains), 2.0)}) == chosen
    assert choose_features({"first": np.ones(9), "other": np.ones(9)}) == "first"
    assert choose_features({"first": np.full(9, 2.0), "other": np.ones(9), "third": np.full(9, 0.5)}) == "third"
