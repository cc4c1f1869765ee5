"""The ends of what scores take."""

import numpy as np
import pytest

from fewlabels.label_set import LabelSet
from fewlabels.scores import calibration_error, classifier_scores, label_set_scores


def test_the_first_row_too_many_is_refused() -> None:
    truth = np.zeros(3, np.uint8)
    assert label_set_scores(LabelSet.from_bought([2], [0]), truth)["purity"] == 1
    with pytest.raises(ValueError, match="true_labels: 3, and the label set has row 3"):
        label_set_scores(LabelSet.from_bought([3], [0]), truth)


@pytest.mark.parametrize("label", [-1, 3, 255, 0.5, np.nan])
def test_a_label_that_is_no_class_is_refused(label: float) -> None:
    with pytest.raises(ValueError, match=rf"^true_labels: {label} is none of 3 classes$"):
        classifier_scores(np.array([0, label, 2]), np.eye(3, dtype=np.float32), ["cat", "dog", "eel"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
def test_what_is_no_probability_is_refused(value: float) -> None:
    probabilities = np.eye(3, dtype=np.float32)
    probabilities[1, 2] = value
    truth = np.array([0, 1, 2], np.uint8)
    for score in (
        lambda: classifier_scores(truth, probabilities, ["cat", "dog", "eel"]),
        lambda: calibration_error(truth, probabilities),
    ):
        with pytest.raises(ValueError, match=r"^probabilities: one of row 1 is not between 0 and 1$"):
            score()
    assert calibration_error(truth, np.eye(3, dtype=np.float32) * np.float32(1 + 1e-6)) < 1e-5


def test_the_largest_label_is_the_one_that_is_named() -> None:
    certain = np.eye(3, dtype=np.float32)
    assert classifier_scores(np.array([0, 1, 2]), certain, ["cat", "dog", "eel"])["accuracy"] == 1
    with pytest.raises(ValueError, match=r"^true_labels: 9 is none of 3 classes$"):
        classifier_scores(np.array([0, 1, 9]), certain, ["cat", "dog", "eel"])
