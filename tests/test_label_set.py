"""Label sets: what they hold, and what they refuse."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from fewlabels.label_set import LabelSet


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
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    arrays = label_set([1, 4, 9], [0, 2, 1]).arrays() | changes
    with pytest.raises(ValueError, match=message):
        LabelSet(**arrays)
