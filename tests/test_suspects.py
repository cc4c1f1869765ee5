"""Bought labels that look wrong, found by what is predicted when they are left out."""

import numpy as np

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.suspects import suspects


def test_only_contradicted_labels_are_suspects_and_the_most_contradicted_comes_first() -> None:
    left_out = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1], [0.3, 0.7], [0.99, 0.01]], np.float32)
    assert suspects(np.array([0, 1, 1, 1, 1], np.uint8), left_out).tolist() == [4, 2, 0]


def test_a_doubt_that_is_usual_for_the_other_class_is_no_suspicion() -> None:
    """Class 0 is 0.7 on average where it is given; the last label's 0.65 is less than that."""
    left_out = np.array([[0.7, 0.3], [0.7, 0.3], [0.1, 0.9], [0.65, 0.35]], np.float32)
    assert suspects(np.array([0, 0, 1, 1], np.uint8), left_out).tolist() == []
    left_out[3] = 0.75, 0.25
    assert suspects(np.array([0, 0, 1, 1], np.uint8), left_out).tolist() == [3]


def test_there_are_none_among_no_labels() -> None:
    assert suspects(np.empty(0, np.uint8), np.empty((0, 3), np.float32)).tolist() == []


def test_flipped_labels_are_found() -> None:
    """Three groups well apart, 90 labels, five of them flipped: these are the suspects, and nobody else."""
    random = np.random.default_rng(0)
    truth = (np.arange(90) % 3).astype(np.uint8)
    points = 3 * np.eye(3)[truth] + 0.2 * random.normal(size=(90, 3))
    labels = truth.copy()
    flipped = random.choice(90, 5, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 3
    left_out = KernelRidgeClassifier(classes=range(3)).fit(points, labels).leave_one_out_proba()
    assert sorted(suspects(labels, left_out)) == sorted(flipped)
