"""Types of what is returned and kept, and budgets of one label."""

from functools import partial

import numpy as np

from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.rounds import round_sizes, simulate

FEATURES = np.arange(9, dtype=np.float32)[:, None]
TRUTH = np.arange(9, dtype=np.uint8) % 3


def test_rows_and_labels_have_the_types_of_a_label_set() -> None:
    rows, labels = simulate(partial(random, random_state=0), FEATURES, SimulatedAnnotator(TRUTH), 4, rounds=[1, 3])
    assert (rows.dtype, labels.dtype) == (np.int64, np.uint8)
    np.testing.assert_array_equal(labels, TRUTH[rows])


def test_one_label_is_a_budget() -> None:
    rows, labels = simulate(partial(random, random_state=0), FEATURES, SimulatedAnnotator(TRUTH), 1)
    assert len(rows) == 1
    assert labels.tolist() == TRUTH[rows].tolist()
    assert round_sizes(1, first_round=1, growth=1.0) == [1]
    assert round_sizes(4, first_round=1, growth=1.0) == [1, 1, 1, 1]


def test_the_log_has_rows_of_one_type_whoever_asks() -> None:
    annotator = SimulatedAnnotator(TRUTH)
    asked = np.array([4, 2], np.int32)
    np.testing.assert_array_equal(annotator(asked), TRUTH[[4, 2]], strict=True)
    asked[0] = 0
    [(rows, labels)] = annotator.log
    np.testing.assert_array_equal(rows, np.array([4, 2]), strict=True)
    np.testing.assert_array_equal(labels, TRUTH[[4, 2]], strict=True)
    assert len(annotator(np.empty(0, np.int64))) == 0
