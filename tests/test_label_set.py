"""Label sets: what they hold, and what they refuse."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from fewlabels.label_set import CannotTrainError, LabelSet


def label_set(rows: list[int], labels: list[int], bought: list[bool] | None = None) -> LabelSet:
    return LabelSet(
        rows=np.array(rows, np.int64),
        labels=np.array(labels, np.uint8),
        bought=np.ones(len(rows), bool) if bought is None else np.array(bought, bool),
    )


def test_arrays_give_the_same_label_set_back() -> None:
    one = label_set([1, 4, 9], [0, 2, 1])
    assert list(one.arrays()) == ["rows", "labels", "bought"]
    again = LabelSet(**one.arrays())
    assert len(again) == 3
    for name in ("rows", "labels", "bought"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name), strict=True)
    assert again.probabilities is None


def test_bought_labels_come_in_any_order() -> None:
    one = LabelSet.from_bought([9, 1, 4], [1, 0, 2])
    np.testing.assert_array_equal(one.rows, [1, 4, 9])
    np.testing.assert_array_equal(one.labels, np.array([0, 2, 1], np.uint8), strict=True)
    assert one.bought.all()
    assert len(LabelSet.from_bought([], [])) == 0


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
        ({"rows": np.array([-1, 4, 9])}, "rows: -1 is not 0 or more"),
        ({"probabilities": np.eye(3)}, r"probabilities is float64 \(3, 3\), not float32 \(3, n_classes\)"),
        ({"probabilities": np.ones(3, np.float32)}, r"probabilities is float32 \(3,\), not float32 \(3, n_classes\)"),
        ({"probabilities": np.eye(4, dtype=np.float32)}, r"probabilities is float32 \(4, 4\), not float32 \(3, n"),
        ({"probabilities": np.full((3, 3), 0.4, np.float32)}, "probabilities: a row is not 0 or more with a sum of 1"),
        ({"probabilities": np.float32([[2, -1, 0]] * 3)}, "probabilities: a row is not 0 or more with a sum of 1"),
        ({"probabilities": np.full((3, 3), np.nan, np.float32)}, "probabilities: a row is not 0 or more"),
        ({"probabilities": np.full((3, 2), 0.5, np.float32)}, "probabilities: 2 classes, and a label 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    arrays = label_set([1, 4, 9], [0, 2, 1]).arrays() | changes
    with pytest.raises(ValueError, match=message):
        LabelSet(**arrays)


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ([0, 1], np.array([3, 300]), "labels: 300 is not between 0 and 255"),
        ([0, 1], np.array([3, -1]), "labels: -1 is not between 0 and 255"),
        ([0, 1], [0.5, 1], "labels: float64 of shape .* is no list of whole numbers"),
        ([0, 1], [True, False], "labels: bool of shape"),
        ([0, 1], [[0], [1]], "labels: int64 of shape"),
        ([0, 1.5], [0, 1], "rows: float64 of shape .* is no list of whole numbers"),
        (np.array([0, 2**63], np.uint64), [0, 1], "rows: 9223372036854775808 is too large"),
        ([0, -1], [0, 1], "rows: -1 is not 0 or more"),
        ([4, 4], [0, 1], "rows are not distinct"),
        ([4], [0, 1], "1 rows with 2 labels"),
    ],
)
def test_nothing_wraps_or_is_cut_off(rows: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelSet.from_bought(rows, labels)


def test_the_largest_label_is_255() -> None:
    assert LabelSet.from_bought([0, 1], [255, 0]).labels.tolist() == [255, 0]


def test_too_few_classes_are_named() -> None:
    two = LabelSet.from_bought([0, 1], [1, 2])
    two.require_classes(2)
    LabelSet.from_bought([0], [1]).require_classes(1)
    for rows, labels, least, message in (
        ([], [], 1, "no labels"),
        ([], [], 2, "no labels"),
        ([4], [3], 2, "one class only: 1 image of class 3"),
        (range(1200), [0] * 1200, 2, "one class only: 1,200 images of class 0"),
    ):
        with pytest.raises(CannotTrainError, match=message):
            LabelSet.from_bought(rows, labels).require_classes(least)


def test_probabilities_may_be_off_by_rounding() -> None:
    """By less than a thousandth: float32 sums, and whoever rounds to four decimals."""
    row = np.array([0, 1], np.int64), np.array([1, 1], np.uint8), np.ones(2, bool)
    LabelSet(*row, np.array([[0.3333, 0.6663], [0, 1]], np.float32))
    with pytest.raises(ValueError, match=r"^probabilities: a row is not 0 or more with a sum of 1$"):
        LabelSet(*row, np.array([[0.33, 0.668], [0, 1]], np.float32))


def test_a_row_number_is_up_to_the_largest_integer() -> None:
    assert LabelSet.from_bought(np.array([2**63 - 1], np.uint64), [0]).rows.tolist() == [2**63 - 1]


def test_no_labels_are_said_in_two_words() -> None:
    with pytest.raises(CannotTrainError, match=r"^no labels$"):
        LabelSet.from_bought([], []).require_classes(1)


def test_inferred_labels_alone_are_refused_where_bought_ones_are_needed() -> None:
    rows, labels = np.arange(3), np.zeros(3, np.uint8)
    LabelSet(rows, labels, np.array([False, True, False])).require_bought()
    with pytest.raises(ValueError, match=r"^the label set has no bought labels$"):
        LabelSet(rows, labels, np.zeros(3, bool)).require_bought()
