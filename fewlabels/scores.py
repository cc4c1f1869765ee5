"""What a label set or a classifier is worth, once the true labels may be looked at."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, pairwise_distances_argmin, recall_score

from fewlabels.label_set import LabelSet

CONFIDENCES = (0.5, 0.7, 0.9, 0.95, 0.99)
"""Where to look at how the purity of soft labels rises and their coverage falls."""


def label_set_scores(label_set: LabelSet, true_labels: NDArray[np.uint8]) -> dict[str, Any]:
    """Judge a label set.

    Parameters
    ----------
    label_set : LabelSet
    true_labels : ndarray of uint8, shape (n,)
        The true label of every training image.

    Returns
    -------
    dict
        `bought`: labels paid for; `rows`: training rows; `purity`: share of its labels that are right; `coverage`:
        share of the training images that it gives a label. If it has probabilities: `calibration_error` of those, and
        for each confidence of CONFIDENCES `purity_above` it with the `coverage_above` it, bought labels left out.
    """
    scores: dict[str, Any] = {
        "bought": int(label_set.bought.sum()),
        "rows": len(label_set),
        "purity": accuracy_score(true_labels[label_set.rows], label_set.labels),
        "coverage": len(label_set) / len(true_labels),
    }
    if label_set.probabilities is None:
        return scores
    inferred = ~label_set.bought
    probabilities, truth = label_set.probabilities[inferred], true_labels[label_set.rows[inferred]]
    right, confidence = label_set.labels[inferred] == truth, probabilities.max(axis=1, initial=0)
    scores["calibration_error"] = calibration_error(truth, probabilities)
    above = {f"{least:g}": confidence >= least for least in CONFIDENCES}
    scores["purity_above"] = {least: float(right[sure].mean()) if sure.any() else 1.0 for least, sure in above.items()}
    scores["coverage_above"] = {least: float(sure.sum() / len(true_labels)) for least, sure in above.items()}
    return scores


def classifier_scores(
    true_labels: NDArray[np.uint8], probabilities: NDArray[np.float32], classes: list[str]
) -> dict[str, float | dict[str, float]]:
    """Judge a classifier by its predictions.

    Parameters
    ----------
    true_labels : ndarray of uint8, shape (n,)
    probabilities : ndarray of float32, shape (n, classes)
        The highest in a row is the answer.
    classes : list of str
        What the labels 0, 1, 2 … stand for.

    Returns
    -------
    dict
        `accuracy`, `macro_f1`, `calibration_error`, and `recall` for each class by name; all between 0 and 1.
    """
    labels = np.arange(len(classes))
    predicted = probabilities.argmax(axis=1)
    recalls = recall_score(true_labels, predicted, labels=labels, average=None, zero_division=0)
    return {
        "accuracy": accuracy_score(true_labels, predicted),
        "macro_f1": f1_score(true_labels, predicted, labels=labels, average="macro", zero_division=0),
        "calibration_error": calibration_error(true_labels, probabilities),
        "recall": dict(zip(classes, recalls.tolist(), strict=True)),
    }


def calibration_error(true_labels: NDArray[np.uint8], probabilities: NDArray[np.float32], bins: int = 15) -> float:
    """Compute by how much the confidence of answers differs from the share of them that is right.

    The expected calibration error of C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Parameters
    ----------
    true_labels : ndarray of uint8, shape (n,)
    probabilities : ndarray of float32, shape (n, classes)
    bins : int, default=15
        Of equal width; answers in a bin are compared together.

    Returns
    -------
    float
        Between 0 and 1: the mean difference over all answers.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    excess = confidence - (probabilities.argmax(axis=1) == true_labels)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(which, excess, bins)).sum() / max(1, len(confidence)))


def cluster_purity(assignments: NDArray[np.int32], true_labels: NDArray[np.uint8]) -> float:
    """Compute the share of images whose label is the most frequent one of their cluster.

    It bounds what labelling one image in each cluster can give. Manning, Raghavan and Schütze, "Introduction to
    Information Retrieval", 2008, section 16.3.

    Parameters
    ----------
    assignments : ndarray of int32, shape (n,)
    true_labels : ndarray of uint8, shape (n,)

    Returns
    -------
    float
    """
    counts = np.zeros((assignments.max() + 1, int(true_labels.max()) + 1), np.int64)
    np.add.at(counts, (assignments, true_labels), 1)
    return float(counts.max(axis=1).sum() / len(assignments))


def distinct_nearest(images: NDArray[np.float32], centroids: NDArray[np.float32]) -> int:
    """Count the images that would be labelled if each centroid took the nearest of *all* images.

    As many as there are centroids, unless an image is nearest to two of them: then so many labels are not bought.

    Parameters
    ----------
    images : ndarray of float32, shape (n, d)
    centroids : ndarray of float32, shape (k, d)

    Returns
    -------
    int
        Between 1 and k.
    """
    return len(np.unique(pairwise_distances_argmin(centroids, images)))
