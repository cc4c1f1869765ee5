"""Scores of label sets, classifiers and clusters by the true labels: purity, coverage, accuracy, calibration."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from fewlabels.label_set import UNKNOWN, LabelSet
from fewlabels.pool import Rows, as_pool
from fewlabels.run import current

CONFIDENCES = (0.5, 0.7, 0.9, 0.95, 0.99)
"""Confidences above which the purity and coverage of soft labels are computed."""
ROUNDING = 1e-5
"""By how much a probability may be above 1."""


def label_set_scores(label_set: LabelSet, true_labels: Rows) -> dict[str, Any]:
    """Compute the purity and coverage of a label set.

    Parameters
    ----------
    label_set : LabelSet
    true_labels : ndarray or Pool of uint8, shape (n,)
        The true label of every training image; UNKNOWN where nobody knows it.

    Returns
    -------
    dict
        `bought`: labels paid for; `rows`: training rows; `purity`: share of its labels that are right, where that is
        known; `coverage`: share of the training images that it gives a label. If it has probabilities:
        `calibration_error` of those, and for each confidence of CONFIDENCES `purity_above` it with the
        `coverage_above` it, bought labels left out. A purity or calibration error of no known labels is None.

    Raises
    ------
    ValueError
        If there are no training images, or fewer than the rows say.

    Examples
    --------
    >>> label_set_scores(LabelSet.from_bought([0, 2], [1, 1]), np.array([1, 0, 0, 0]))
    {'bought': 2, 'rows': 2, 'purity': 0.5, 'coverage': 0.5}
    """
    _check_some(true_labels)
    if len(label_set) and label_set.rows[-1] >= len(true_labels):
        raise ValueError(f"true_labels: {len(true_labels)}, and the label set has row {label_set.rows[-1]}")
    truth = as_pool(true_labels).take(label_set.rows)
    scores: dict[str, Any] = {
        "bought": int(label_set.bought.sum()),
        "rows": len(label_set),
        "purity": _mean((label_set.labels == truth)[truth != UNKNOWN]),
        "coverage": len(label_set) / len(true_labels),
    }
    if label_set.probabilities is None:
        return scores
    inferred = ~label_set.bought
    probabilities, truth = label_set.probabilities[inferred], truth[inferred]
    right, confidence = label_set.labels[inferred] == truth, probabilities.max(axis=1, initial=0)
    known = truth != UNKNOWN
    scores["calibration_error"] = calibration_error(truth[known], probabilities[known]) if known.any() else None
    above = {f"{least:g}": confidence >= least for least in CONFIDENCES}
    scores["purity_above"] = {least: _mean(right[sure & known]) for least, sure in above.items()}
    scores["coverage_above"] = {least: float(sure.sum() / len(true_labels)) for least, sure in above.items()}
    return scores


def confidence_scores(confidence: Rows) -> dict[str, Any]:
    """Compute what is known of a classifier without any label: how sure it is.

    Parameters
    ----------
    confidence : ndarray or Pool of float32, shape (n,)
        The probability of the likeliest class of each image.

    Returns
    -------
    dict
        `mean_confidence`, None of no images; `coverage_above`: for each confidence of CONFIDENCES the share of images
        that reach it.

    Examples
    --------
    >>> confidence_scores(np.array([0.5, 0.96], np.float32))["coverage_above"]
    {'0.5': 1.0, '0.7': 0.5, '0.9': 0.5, '0.95': 0.5, '0.99': 0.0}
    """
    if not len(confidence):
        return {"mean_confidence": None, "coverage_above": {}}
    total, *counts = current().map_reduce(_confidence_sums, np.add, confidence, label="confidence") / len(confidence)
    above = {f"{least:g}": float(count) for least, count in zip(CONFIDENCES, counts, strict=True)}
    return {"mean_confidence": float(total), "coverage_above": above}


def _confidence_sums(rows: slice, confidence: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum confidences, and count those that reach each of CONFIDENCES."""
    counts = [np.count_nonzero(confidence >= np.float32(least)) for least in CONFIDENCES]
    return np.array([confidence.sum(dtype=np.float64), *counts])


def accuracy_interval(right: int, judged: int) -> tuple[float, float]:
    """Compute the 95 % interval of an accuracy that was counted on images drawn at random.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927.

    Parameters
    ----------
    right : int
        Of the judged images, those that are predicted right.
    judged : int
        1 at least.

    Returns
    -------
    low, high : float
        Between 0 and 1.

    Examples
    --------
    >>> [round(end, 3) for end in accuracy_interval(80, 100)]
    [0.711, 0.867]
    """
    interval = binomtest(right, judged).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _check_some(true_labels: Rows) -> None:
    if not len(true_labels):
        raise ValueError("true_labels: there are none, and nothing to score")


def _check_probabilities(probabilities: NDArray[np.float32]) -> None:
    wrong = ~((probabilities >= 0) & (probabilities <= 1 + ROUNDING)).all(axis=1)
    if wrong.any():
        raise ValueError(f"probabilities: one of row {int(wrong.argmax())} is not between 0 and 1")


def _mean(right: NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None


def classifier_scores(
    true_labels: NDArray[np.uint8], probabilities: NDArray[np.float32], classes: list[str]
) -> dict[str, float | dict[str, float]]:
    """Compute the accuracy, macro F1, calibration error and recall of a classifier's predictions.

    A class without a test image has neither recall nor F1: it is left out of both. An image taken for one of that class
    counts as a mistake in its own.

    Parameters
    ----------
    true_labels : ndarray of uint8, shape (n,)
    probabilities : ndarray of float32, shape (n, n_classes)
        The highest in a row is the predicted class.
    classes : list of str
        What the labels 0, 1, 2 … stand for.

    Returns
    -------
    dict
        `accuracy`, `macro_f1`, `calibration_error`, and `recall` for each class with test images by name; all between 0
        and 1.

    Raises
    ------
    ValueError
        If there are no test images, a label is none of the classes, the shapes do not fit, or a probability is not
        between 0 and 1.

    Examples
    --------
    >>> scores = classifier_scores(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]), ["cat", "dog"])
    >>> scores["accuracy"], scores["recall"]
    (0.5, {'cat': 1.0, 'dog': 0.0})
    """
    _check_some(true_labels)
    if probabilities.shape != (len(true_labels), len(classes)):
        raise ValueError(f"probabilities: shape {probabilities.shape}, not ({len(true_labels)}, {len(classes)})")
    for unknown in np.setdiff1d(true_labels, np.arange(len(classes))):
        raise ValueError(f"true_labels: {unknown} is none of {len(classes)} classes")
    _check_probabilities(probabilities)
    labels = np.unique(true_labels)
    predicted = probabilities.argmax(axis=1)
    recalls = recall_score(true_labels, predicted, labels=labels, average=None)
    return {
        "accuracy": accuracy_score(true_labels, predicted),
        "macro_f1": f1_score(true_labels, predicted, labels=labels, average="macro", zero_division=0),
        "calibration_error": calibration_error(true_labels, probabilities),
        "recall": {classes[label]: recall for label, recall in zip(labels, recalls.tolist(), strict=True)},
    }


def calibration_error(true_labels: NDArray[np.uint8], probabilities: NDArray[np.float32], bins: int = 15) -> float:
    """Compute the expected calibration error: by how much confidence differs from accuracy.

    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Parameters
    ----------
    true_labels : ndarray of uint8, shape (n,)
    probabilities : ndarray of float32, shape (n, n_classes)
    bins : int, default=15
        Of equal width; the predictions in a bin are compared together.

    Returns
    -------
    float
        Between 0 and 1: the mean difference over all predictions.

    Raises
    ------
    ValueError
        If there are no predictions, or a probability is not between 0 and 1.

    Examples
    --------
    >>> round(calibration_error(np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]])), 3)
    0.4
    """
    _check_some(true_labels)
    _check_probabilities(probabilities)
    confidence = probabilities.max(axis=1).astype(np.float64)
    excess = confidence - (probabilities.argmax(axis=1) == true_labels)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(which, excess, bins)).sum() / len(confidence))


def cluster_purity(assignments: Rows, true_labels: Rows) -> float | None:
    """Compute the purity of clusters: the share of images whose label is the most frequent one of their cluster.

    It is an upper bound of the purity that one label for each cluster can reach. Manning, Raghavan and Schütze,
    "Introduction to Information Retrieval", 2008, section 16.3.

    Parameters
    ----------
    assignments : ndarray or Pool of int32, shape (n,)
    true_labels : ndarray or Pool of uint8, shape (n,)
        UNKNOWN where nobody knows it; such images do not count.

    Returns
    -------
    float or None
        None if no label is known.

    Raises
    ------
    ValueError
        If there are no images.

    Examples
    --------
    >>> cluster_purity(np.array([0, 0, 0, 1]), np.array([5, 5, 2, 2]))
    0.75
    """
    _check_some(true_labels)
    counts = current().map_reduce(_label_counts, _added, assignments, true_labels, label="labels of clusters")
    return float(counts.max(axis=1).sum() / counts.sum()) if counts.any() else None


def _label_counts(rows: slice, assignments: NDArray[np.int32], true_labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the images of each cluster with each known label."""
    n_clusters = int(assignments.max(initial=0)) + 1
    place = np.ravel_multi_index((assignments, true_labels), (n_clusters, UNKNOWN + 1))
    counts = np.bincount(place, minlength=n_clusters * (UNKNOWN + 1)).reshape(n_clusters, UNKNOWN + 1)
    return counts[:, :UNKNOWN]


def _added(earlier: NDArray[np.int64], later: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add counts; one chunk may have seen clusters that another has not."""
    counts = np.zeros(np.maximum(earlier.shape, later.shape), np.int64)
    for one in (earlier, later):
        counts[: len(one)] += one
    return counts
