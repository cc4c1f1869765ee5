"""Who votes in an ensemble of a teacher and its student: decided by bought labels that neither of them has seen.

A student has been trained on soft labels that were made from the bought labels, and on these themselves: its answers to
them say nothing about other images. So soft labels and student are made again without a part of the bought labels, and
asked about that part.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold

from fewlabels.arrays import Floats
from fewlabels.label_set import LabelSet
from fewlabels.networks.ensemble import classifier_on_embedding, predicted_together
from fewlabels.networks.student import train_student
from fewlabels.spreading.graph import Graph
from fewlabels.spreading.soft_labels import confident_labels, soft_labels

FOLDS = 2
"""Parts of the bought labels. Each costs the training of a student."""
STANDARD_ERRORS = 2
"""A member that is less accurate than the best by more than so many is left out."""
MEMBERS = ("ridge", "student", "ridge_on_student")
"""The teacher, its student, and the teacher's method on the student's last features."""


def cross_validated(
    images: NDArray[np.uint8],
    bought: LabelSet,
    features: Floats,
    graph: Graph,
    classifier: Any,
    trained_on: NDArray[np.bool_] | None = None,
    *,
    neighbour_weights: Sequence[float],
    confidence: float,
    seed: int,
    **student: Any,
) -> dict[str, Floats]:
    """Predict each bought label by a teacher, its student and the regression on that, none of which has seen it.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, pixels)
    bought : LabelSet
        Bought labels only, two at least.
    features : ndarray of float32, shape (n, d)
        What the teacher sees, and makes soft labels from.
    graph : csr_array of float32, shape (n, n), or ChunkedGraph
        As `fewlabels.spreading.soft_labels.soft_labels` takes it.
    classifier : KernelRidgeClassifier
        The teacher, with `classes` given; clones of it are trained on features, and on students' last features.
    trained_on : ndarray of bool, shape (n,), optional
        Which of the images that were not bought a student may learn from; all if not given.
    neighbour_weights : sequence of float
        As `soft_labels` takes it.
    confidence : float
        As `fewlabels.spreading.soft_labels.confident_labels` takes it.
    seed : int
        Seeds the folds, the soft labels and the students.
    **student
        What else `fewlabels.networks.student.train_student` takes: image_shape, n_classes, settings.

    Returns
    -------
    dict
        The probabilities of MEMBERS: for each an ndarray of float32, shape (m, n_classes), in the order of `bought`.

    Raises
    ------
    ValueError
        If there are fewer than two labels, or one was not bought, or a weight is wrong.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> from fewlabels.features.neighbours import nearest_neighbours
    >>> from fewlabels.networks.student import StudentSettings
    >>> from fewlabels.spreading.graph import neighbour_graph
    >>> images = np.repeat(np.array([[0], [255]], np.uint8), 20, axis=0).repeat(64, axis=1)
    >>> features = (images[:, :1] / 255).astype(np.float32)
    >>> bought = LabelSet.from_bought([0, 1, 2, 20, 21, 22], [0, 0, 0, 1, 1, 1])
    >>> graph, ridge = neighbour_graph(nearest_neighbours(features)), KernelRidgeClassifier(classes=range(2))
    >>> quick = StudentSettings(generations=1, images=2_000)
    >>> how = {"image_shape": (8, 8), "n_classes": 2, "settings": quick, "seed": 0}
    >>> unseen = cross_validated(
    ...     images, bought, features, graph, ridge, neighbour_weights=[0.5], confidence=0, **how
    ... )
    >>> unseen["ridge"].argmax(axis=1)
    array([0, 0, 0, 1, 1, 1])
    """
    if len(bought) < FOLDS or not bought.bought.all():
        raise ValueError(f"bought: {int(bought.bought.sum())} of {len(bought)} labels were bought, not {FOLDS} or more")
    predicted = {name: np.empty((len(bought), len(classifier.classes)), np.float32) for name in MEMBERS}
    for kept, held_out in KFold(FOLDS, shuffle=True, random_state=seed).split(bought.rows):
        rows, labels = bought.rows[kept], bought.labels[kept]
        probabilities, _ = soft_labels(
            features, graph, rows, labels, classifier, neighbour_weights=neighbour_weights, random_state=seed
        )
        known = LabelSet.from_bought(rows, labels)
        soft = confident_labels(
            probabilities, known, trained_on, confidence=confidence, most=len(images), random_state=seed
        )
        network = train_student(images, soft, classifier, seed=seed, **student)
        asked = bought.rows[held_out]
        alone = clone(classifier).fit(features[rows], labels)
        on_student = classifier_on_embedding(network.network, images, soft, classifier)
        predicted["ridge"][held_out] = alone.predict_proba(features[asked])
        predicted["student"][held_out], predicted["ridge_on_student"][held_out] = predicted_together(
            on_student, images[asked]
        )
    return predicted


def voters(predicted: Mapping[str, Floats], labels: NDArray[np.uint8]) -> list[str]:
    """Choose who votes: all but those that are right less often than the best, by more than chance explains.

    A member is left out if the difference of the two accuracies, label by label, is more than two standard errors.
    Members that the labels cannot tell from the best one stay: they err differently, so their mean errs less.

    Parameters
    ----------
    predicted : mapping of str to ndarray of float32, shape (m, n_classes)
        The probabilities of each member for images whose labels it has not seen.
    labels : ndarray of uint8, shape (m,)

    Returns
    -------
    list of str
        Names, in the order given.

    Raises
    ------
    ValueError
        If there is no member or no label.

    Examples
    --------
    >>> right, wrong = np.array([[0.9, 0.1]] * 8, np.float32), np.array([[0.9, 0.1]] * 3 + [[0.2, 0.8]] * 5, np.float32)
    >>> voters({"teacher": right, "student": wrong}, np.zeros(8, np.uint8))
    ['teacher']
    >>> voters({"teacher": right, "student": right}, np.zeros(8, np.uint8))
    ['teacher', 'student']
    """
    if not predicted:
        raise ValueError("predicted: there is no member")
    if not len(labels):
        raise ValueError("labels: there is none")
    right = {name: probabilities.argmax(axis=1) == labels for name, probabilities in predicted.items()}
    best = max(right.values(), key=np.mean)
    losses = {name: best.astype(np.float64) - mine for name, mine in right.items()}
    standard_errors = {name: loss.std() / np.sqrt(len(labels)) for name, loss in losses.items()}
    return [name for name in predicted if losses[name].mean() <= STANDARD_ERRORS * standard_errors[name]]
