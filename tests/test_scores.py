"""Scores of label sets, classifiers and clusters, on cases small enough to count by hand."""

from pathlib import Path

import numpy as np
import pytest
from shards import shards

from fewlabels.label_set import UNKNOWN, LabelSet
from fewlabels.run import Local
from fewlabels.scores import (
    calibration_error,
    classifier_scores,
    cluster_purity,
    confidence_scores,
    label_set_scores,
)


def label_set(rows: list[int], labels: list[int], bought: list[bool] | None = None) -> LabelSet:
    return LabelSet(
        rows=np.array(rows, np.int64),
        labels=np.array(labels, np.uint8),
        bought=np.ones(len(rows), bool) if bought is None else np.array(bought, bool),
    )


def test_scores_of_a_label_set() -> None:
    truth = np.array([0, 1, 2, 0, 1, 2, 0, 1], np.uint8)
    spread = label_set([1, 2, 3, 5], [1, 0, 0, 2], bought=[True, False, False, True])
    assert label_set_scores(spread, truth) == {"bought": 2, "rows": 4, "purity": 0.75, "coverage": 0.5}


def test_soft_labels_are_judged_by_their_confidence() -> None:
    """Five inferred labels: of three at 0.8 or more, two are right; one at 0.96 is wrong; the bought one is out."""
    right = np.array([1.0, 0.8, 0.8, 0.6, 0.6, 0.04], np.float32)
    probabilities = np.stack([right, 1 - right], axis=1)
    soft = LabelSet(
        np.arange(6), probabilities.argmax(axis=1).astype(np.uint8), np.arange(6) == 0, probabilities=probabilities
    )
    scores = label_set_scores(soft, np.zeros(8, np.uint8))
    assert scores["purity"] == pytest.approx(5 / 6)
    assert scores["purity_above"] == pytest.approx({"0.5": 4 / 5, "0.7": 2 / 3, "0.9": 0, "0.95": 0, "0.99": None})
    assert scores["coverage_above"] == pytest.approx(
        {"0.5": 5 / 8, "0.7": 3 / 8, "0.9": 1 / 8, "0.95": 1 / 8, "0.99": 0}
    )
    assert scores["calibration_error"] == pytest.approx((2 * 0.2 + 2 * 0.4 + 0.96) / 5)


def test_scores_of_a_classifier() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 2], np.uint8)
    predicted = np.array([0, 0, 0, 1, 1, 0, 2, 2], np.uint8)
    scores = classifier_scores(truth, np.eye(3, dtype=np.float32)[predicted], ["cat", "dog", "eel"])
    assert scores["calibration_error"] == pytest.approx(2 / 8), "always certain, right in 6 of 8"
    assert scores["accuracy"] == pytest.approx(6 / 8)
    assert scores["recall"] == {"cat": 0.75, "dog": 0.5, "eel": 1.0}
    # Precision and recall: 3/4 and 3/4, 1/2 and 1/2, 1 and 1.
    assert scores["macro_f1"] == pytest.approx((0.75 + 0.5 + 1) / 3)


def test_a_class_that_is_never_answered_counts() -> None:
    truth, always_cat = np.array([0, 0, 1, 2], np.uint8), np.tile(np.float32([0.5, 0.3, 0.2]), (4, 1))
    scores = classifier_scores(truth, always_cat, ["cat", "dog", "eel"])
    assert scores["accuracy"] == 0.5
    assert scores["recall"] == {"cat": 1.0, "dog": 0.0, "eel": 0.0}
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0 + 0) / 3)


def test_a_class_without_test_images_is_left_out() -> None:
    """All right is 1, whichever class is missing; one taken for the missing class is a mistake in its own."""
    names = ["cat", "dog", "eel"]
    for present in ([0, 1], [0, 2], [1, 2]):
        truth = np.repeat(present, 2).astype(np.uint8)
        scores = classifier_scores(truth, np.eye(3, dtype=np.float32)[truth], names)
        assert scores["macro_f1"] == 1
        assert scores["recall"] == {names[label]: 1.0 for label in present}
    scores = classifier_scores(np.array([0, 0, 1, 1]), np.eye(3, dtype=np.float32)[[0, 2, 1, 1]], names)
    assert scores["recall"] == {"cat": 0.5, "dog": 1.0}
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)


def test_nothing_to_score_is_said() -> None:
    none, no_probabilities = np.empty(0, np.uint8), np.empty((0, 2), np.float32)
    for score in (
        lambda: classifier_scores(none, no_probabilities, ["cat", "dog"]),
        lambda: calibration_error(none, no_probabilities),
        lambda: cluster_purity(np.empty(0, np.int32), none),
        lambda: label_set_scores(LabelSet.from_bought([], []), none),
    ):
        with pytest.raises(ValueError, match="true_labels: there are none"):
            score()


def test_soft_labels_that_were_all_bought_have_no_calibration() -> None:
    soft = LabelSet(np.array([1]), np.array([0], np.uint8), np.array([True]), np.array([[1, 0]], np.float32))
    scores = label_set_scores(soft, np.zeros(4, np.uint8))
    assert scores["calibration_error"] is None
    assert scores["purity_above"] == dict.fromkeys(scores["purity_above"])
    assert label_set_scores(LabelSet.from_bought([], []), np.zeros(4, np.uint8))["purity"] is None


def test_what_does_not_fit_together_is_refused() -> None:
    two = np.eye(2, dtype=np.float32)
    with pytest.raises(ValueError, match="true_labels: 2 is none of 2 classes"):
        classifier_scores(np.array([0, 2]), two, ["cat", "dog"])
    with pytest.raises(ValueError, match=r"probabilities: shape \(2, 2\), not \(2, 3\)"):
        classifier_scores(np.array([0, 1]), two, ["cat", "dog", "eel"])
    with pytest.raises(ValueError, match="true_labels: 3, and the label set has row 7"):
        label_set_scores(LabelSet.from_bought([7], [0]), np.zeros(3, np.uint8))


def test_purity_of_clusters() -> None:
    assignments = np.array([0, 0, 0, 1, 1, 3, 3, 3, 3, 3], np.int32)
    truth = np.array([5, 5, 2, 1, 0, 2, 2, 9, 9, 9], np.uint8)
    assert cluster_purity(assignments, truth) == pytest.approx((2 + 1 + 3) / 10)


def test_calibration_is_judged_within_each_range_of_confidence() -> None:
    """Of four answers at 0.9, three are right; of two at 0.5, one: off by 0.15 and by nothing."""
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.5, 0.5]] * 2, np.float32)
    truth = np.array([0, 0, 0, 1, 0, 1], np.uint8)
    assert calibration_error(truth, probabilities) == pytest.approx(0.15 * 4 / 6, abs=1e-6)
    assert calibration_error(truth, np.eye(2, dtype=np.float32)[truth]) == 0


def test_scores_of_pools_are_those_of_arrays(tmp_path: Path) -> None:
    """The last cluster is in the first chunk alone, and some labels are not known."""
    random = np.random.default_rng(0)
    truth = random.choice(np.array([0, 1, 2, UNKNOWN], np.uint8), 500)
    assignments = random.integers(0, 6, 500).astype(np.int32)
    assignments[3] = 6
    confidence = random.uniform(0.3, 1, 500).astype(np.float32)
    some = label_set([1, 100, 400], [1, 0, 2])
    labels, clusters, sure = (
        shards(tmp_path / str(values.dtype), values, 70) for values in (truth, assignments, confidence)
    )
    known = truth != UNKNOWN
    most = sum(np.bincount(truth[known & (assignments == cluster)], minlength=1).max() for cluster in range(7))
    with Local(tmp_path / "scratch"):
        assert cluster_purity(clusters, labels) == cluster_purity(assignments, truth) == most / known.sum()
        assert confidence_scores(sure) == confidence_scores(confidence)
        assert label_set_scores(some, labels) == label_set_scores(some, truth)
    assert confidence_scores(confidence)["mean_confidence"] == confidence.mean(dtype=np.float64)
    assert confidence_scores(confidence)["coverage_above"]["0.7"] == np.mean(confidence >= np.float32(0.7))
    assert cluster_purity(assignments, np.full(500, UNKNOWN, np.uint8)) is None
