"""Which features suit the images: decided by a few labels, each predicted from the others."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from fewlabels.arrays import Doubles, Floats

LEAST_PROBABILITY = 1e-7
"""Lower limit of a probability in the log loss."""


def left_out_log_losses(classifier: Any, features: Floats, labels: NDArray[np.uint8]) -> Doubles:
    """Compute the log loss of each label, predicted from all others.

    It tells features apart with fewer labels than the accuracy, which only counts. The labels can be used again.

    Parameters
    ----------
    classifier : KernelRidgeClassifier
        With `classes` given; a clone of it is trained.
    features : ndarray of float32, shape (m, d)
        Of the labelled images.
    labels : ndarray of uint8, shape (m,)
        One at least.

    Returns
    -------
    ndarray of float64, shape (m,)
        0 is perfect.

    References
    ----------
    R. Rifkin and R. Lippert, "Notes on Regularized Least Squares", 2007: leaving one out in closed form.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> classifier, labels = KernelRidgeClassifier(classes=range(2)), np.array([0, 0, 0, 1, 1, 1], np.uint8)
    >>> apart, mixed = np.array([[0, 0, 0, 2, 2, 2], [0, 2, 0, 2, 0, 2]], np.float32)[:, :, None]
    >>> losses = {"apart": left_out_log_losses(classifier, apart, labels)}
    >>> bool(losses["apart"].mean() < left_out_log_losses(classifier, mixed, labels).mean())
    True
    """
    trained = clone(classifier).fit(features, labels)
    right = trained.leave_one_out_proba()[labels[:, None] == trained.classes_]
    return np.asarray(-np.log(np.maximum(right, LEAST_PROBABILITY)), np.float64)


def choose_features(losses: Mapping[str, Doubles]) -> str:
    """Choose the features of the smallest mean loss; the first ones, if those are not clearly better.

    Clearly means by more than one standard error of the difference, label by label. It is the one standard error rule
    of L. Breiman et al., "Classification and Regression Trees", 1984: in doubt, what is simpler.

    Parameters
    ----------
    losses : mapping of str to ndarray of float64, shape (m,)
        As from `left_out_log_losses`, of the same labels; first of the features that are to be taken in doubt.

    Returns
    -------
    str

    Examples
    --------
    >>> losses = {"hog": np.array([0.9, 0.8, 1.0, 0.9]), "embedding": np.array([0.2, 0.1, 0.3, 0.2])}
    >>> choose_features(losses)
    'embedding'
    >>> choose_features({"hog": np.array([0.9, 0.1]), "embedding": np.array([0.1, 0.8])})
    'hog'
    """
    first, *_ = losses
    best = min(losses, key=lambda name: losses[name].mean())
    gain = losses[first] - losses[best]
    return best if gain.mean() > gain.std() / np.sqrt(len(gain)) else first
