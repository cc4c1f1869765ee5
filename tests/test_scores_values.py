"""The ends of what scores take."""

import numpy as np
import pytest

from fewlabels.label_set import LabelSet
from fewlabels.scores import classifier_scores, label_set_scores


def test_the_first_row_too_many_is_refused() -> None:
    truth = np.zeros(3, np.uint8)
    assert label_set_scores(LabelSet.from_bought([2], [0]), truth)["purity"] == 1
    with pytest.raises(ValueError, match="true_labels: 3, and the label set has row 3"):
        label_set_scores(LabelSet.from_bought([3], [0]), truth)


def test_the_largest_label_is_the_one_that_is_named() -> None:
    certain = np.eye(3, dtype=np.float32)
    assert classifier_scores(np.array([0, 1, 2]), certain, ["cat", "dog", "eel"])["accuracy"] == 1
    with pytest.raises(ValueError, match=r"^true_labels: 9 is none of 3 classes$"):
        classifier_scores(np.array([0, 1, 9]), certain, ["cat", "dog", "eel"])
