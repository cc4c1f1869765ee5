"""Label sets: how they are bought, spread and judged, against plain loops and cases small enough to count by hand."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from fewlabels.propagation import propagate, within_percentile
from fewlabels.representatives import nearest_members
from fewlabels.scores import calibration_error, classifier_scores, cluster_purity, distinct_nearest, label_set_scores


def label_set(rows: list[int], labels: list[int], bought: list[bool] | None = None) -> LabelSet:
    return LabelSet(
        rows=np.array(rows, np.int64),
        labels=np.array(labels, np.uint8),
        bought=np.ones(len(rows), bool) if bought is None else np.array(bought, bool),
    )


def clustering(n: int, k: int, seed: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """n points in k clusters, none empty, at distances among which many are equal."""
    random = np.random.default_rng(seed)
    assignments = np.concatenate([np.arange(k), random.integers(0, k, n - k)]).astype(np.int32)
    random.shuffle(assignments)
    return assignments, random.integers(0, 8, n).astype(np.float32) / 3


# ---- the label set itself


def test_arrays_give_the_same_label_set_back() -> None:
    one = label_set([1, 4, 9], [0, 2, 1])
    assert list(one.arrays()) == ["rows", "labels", "bought"]
    again = LabelSet(**one.arrays())
    assert len(again) == 3
    for name in ("rows", "labels", "bought"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name), strict=True)
    assert again.centroids is None


def test_centroids_are_kept() -> None:
    centroids = np.eye(3, dtype=np.float32)
    one = LabelSet(**label_set([1, 4, 9], [0, 2, 1]).arrays(), centroids=centroids)
    np.testing.assert_array_equal(one.arrays()["centroids"], centroids)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        label_set([1], [0]).rows = np.array([2])  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": np.array([1, 4, 9], np.int32)}, r"rows is int32 \(3,\), not int64 \(3,\)"),
        ({"labels": np.array([0, 2, 1])}, r"labels is int64 \(3,\), not uint8 \(3,\)"),
        ({"bought": np.ones(3, np.uint8)}, r"bought is uint8 \(3,\), not bool \(3,\)"),
        ({"labels": np.zeros(2, np.uint8)}, r"labels is uint8 \(2,\), not uint8 \(3,\)"),
        ({"labels": np.zeros((3, 1), np.uint8)}, r"labels is uint8 \(3, 1\), not uint8 \(3,\)"),
        ({"bought": np.ones(4, bool)}, r"bought is bool \(4,\), not bool \(3,\)"),
        ({"rows": np.array([1, 9, 4])}, "rows are not distinct and ascending"),
        ({"rows": np.array([1, 4, 4])}, "rows are not distinct and ascending"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    arrays = label_set([1, 4, 9], [0, 2, 1]).arrays() | changes
    with pytest.raises(ValueError, match=message):
        LabelSet(**arrays)


# ---- which images to label


@pytest.mark.parametrize("seed", range(5))
def test_representatives_against_a_loop(seed: int) -> None:
    assignments, distances = clustering(200, 30, seed)
    wanted = []
    for cluster in range(30):
        members = np.flatnonzero(assignments == cluster)
        wanted.append(min(members, key=lambda row: (distances[row], row)))
    rows = nearest_members(assignments, distances, 30)
    assert rows.dtype == np.int64
    assert rows.tolist() == wanted
    assert len(set(rows)) == 30


def test_the_lowest_row_stands_for_equally_near_ones() -> None:
    assignments = np.array([1, 0, 0, 1, 0], np.int32)
    distances = np.array([2, 3, 1, 2, 1], np.float32)
    assert nearest_members(assignments, distances, 2).tolist() == [2, 0]


@pytest.mark.parametrize(("assignments", "empty"), [([0, 2, 2], 1), ([1, 1, 2], 0), ([0, 1, 1], 2)])
def test_a_cluster_without_members_is_named(assignments: list[int], empty: int) -> None:
    with pytest.raises(ValueError, match=f"cluster {empty} has no member"):
        nearest_members(np.array(assignments, np.int32), np.zeros(3, np.float32), 3)


# ---- spreading labels


@pytest.mark.parametrize("percentile", [0, 12.5, 30, 50, 99, 100])
@pytest.mark.parametrize("seed", range(3))
def test_nearness_against_a_loop(percentile: float, seed: int) -> None:
    assignments, distances = clustering(150, 20, seed)
    near = within_percentile(assignments, distances, percentile)
    assert near.dtype == bool
    for row in range(150):
        limit = np.percentile(distances[assignments == assignments[row]], percentile)
        assert near[row] == (distances[row] <= limit)


def test_nearness_goes_by_the_own_cluster() -> None:
    assignments = np.array([0, 1, 0, 1, 0, 1, 5], np.int32)
    distances = np.array([3, 100, 1, 300, 2, 200, 9], np.float32)
    near = [False, True, True, False, True, True, True]  # up to 2 of 1, 2, 3; up to 200 of 100, 200, 300; the only one
    assert within_percentile(assignments, distances, 50).tolist() == near


@pytest.mark.parametrize("seed", range(3))
def test_propagation_against_a_loop(seed: int) -> None:
    assignments, distances = clustering(150, 20, seed)
    rows = nearest_members(assignments, distances, 20)
    label_of_cluster = np.random.default_rng(seed).integers(0, 10, 20)
    kept = np.random.default_rng(seed).random(150) < 0.3
    order = np.argsort(rows)
    bought = label_set(rows[order].tolist(), label_of_cluster[order].tolist())

    for spread, wanted in (
        (propagate(bought, assignments), range(150)),
        (propagate(bought, assignments, kept), [row for row in range(150) if kept[row] or row in rows]),
    ):
        assert spread.rows.tolist() == list(wanted)
        assert spread.labels.tolist() == [label_of_cluster[assignments[row]] for row in wanted]
        assert spread.bought.tolist() == [row in rows for row in wanted]


def test_a_representative_is_kept_however_far_it_is() -> None:
    assignments = np.array([0, 0, 0, 1, 1], np.int32)
    distances = np.array([1, 2, 3, 1, 2], np.float32)
    near = within_percentile(assignments, distances, 0)
    spread = propagate(label_set([2, 3], [7, 4]), assignments, near)
    assert spread.rows.tolist() == [0, 2, 3]
    assert spread.labels.tolist() == [7, 7, 4]
    assert spread.bought.tolist() == [False, True, True]


def test_percentile_0_keeps_the_nearest_and_100_keeps_all() -> None:
    assignments, distances = clustering(200, 30, seed=0)
    rows = nearest_members(assignments, distances, 30)
    nearest = within_percentile(assignments, distances, 0)
    assert nearest[rows].all()
    own_least = distances[rows][assignments]
    np.testing.assert_array_equal(nearest, distances == own_least)
    assert within_percentile(assignments, distances, 100).all()


# ---- what they are worth


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
    assert scores["purity_above"] == pytest.approx({"0.5": 4 / 5, "0.7": 2 / 3, "0.9": 0, "0.95": 0, "0.99": 1})
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
    truth, always_cat = np.array([0, 0, 1, 1], np.uint8), np.tile(np.float32([0.5, 0.3, 0.2]), (4, 1))
    scores = classifier_scores(truth, always_cat, ["cat", "dog", "eel"])
    assert scores["accuracy"] == 0.5
    assert scores["recall"] == {"cat": 1.0, "dog": 0.0, "eel": 0.0}
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0 + 0) / 3)


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


def test_an_image_nearest_to_two_centroids_counts_once() -> None:
    images = np.array([[0, 0], [10, 0], [20, 0]], np.float32)
    assert distinct_nearest(images, np.array([[1, 0], [-1, 0], [11, 0]], np.float32)) == 2
    assert distinct_nearest(images, images) == 3
