"""Labels of copies: inferred from the one that was paid for, and no other image changes."""

from pathlib import Path

import numpy as np
import pytest
from shards import shards

from fewlabels.arrays import first_occurrences
from fewlabels.label_set import LabelSet
from fewlabels.spreading.copies import label_copies

IMAGES = np.array([[5], [7], [5], [9], [7], [5]], np.uint8)


def test_copies_take_the_label_whichever_of_them_was_bought() -> None:
    both = label_copies(LabelSet.from_bought([2, 3], [1, 0]), first_occurrences(IMAGES))
    assert both.rows.tolist() == [0, 2, 3, 5]
    assert both.labels.tolist() == [1, 1, 0, 1]
    assert both.bought.tolist() == [False, True, True, False]


def test_of_copies_labelled_differently_each_keeps_its_label() -> None:
    both = label_copies(LabelSet.from_bought([5, 0], [2, 1]), first_occurrences(IMAGES))
    assert both.rows.tolist() == [0, 2, 5]
    assert both.labels.tolist() == [1, 1, 2]
    assert both.bought.tolist() == [True, False, True]


def test_no_labels_and_no_copies_change_nothing() -> None:
    assert len(label_copies(LabelSet.from_bought([], []), first_occurrences(IMAGES))) == 0
    distinct = LabelSet.from_bought([1, 2], [0, 1])
    assert label_copies(distinct, np.arange(6)).arrays().keys() == distinct.arrays().keys()
    np.testing.assert_array_equal(label_copies(distinct, np.arange(6)).rows, distinct.rows)


def test_probabilities_are_not_dropped_in_silence() -> None:
    soft = LabelSet(np.array([1]), np.array([0], np.uint8), np.array([True]), np.array([[0.9, 0.1]], np.float32))
    with pytest.raises(ValueError, match="has probabilities"):
        label_copies(soft, first_occurrences(IMAGES))


def test_first_occurrences_may_be_a_pool(tmp_path: Path) -> None:
    labelled = LabelSet.from_bought([3, 4, 5], [0, 2, 1])
    for first in (first_occurrences(IMAGES), first_occurrences(np.repeat(IMAGES, 9, axis=0))):
        wanted = label_copies(labelled, first)
        for name, values in label_copies(labelled, shards(tmp_path / str(len(first)), first, 4)).arrays().items():
            np.testing.assert_array_equal(values, wanted.arrays()[name], strict=True)
