"""Suspects: bought labels that are probably wrong, because people err, and so do folders.

Each label is compared with what a classifier predicts that has seen all labels but this one. The method: C. Northcutt,
L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.
"""

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats


def suspects(labels: NDArray[np.uint8], left_out: Floats) -> NDArray[np.int64]:
    """Find the labels that are contradicted with confidence when they are left out, the most suspect first.

    With confidence means: another class is likelier, and at least as likely as it is on average for the images that are
    labelled as of that class. So a class that is hard to tell has a lower threshold.

    Parameters
    ----------
    labels : ndarray of uint8, shape (m,)
    left_out : ndarray of float32, shape (m, n_classes)
        The probabilities of each labelled image by a classifier that has not seen its label.

    Returns
    -------
    ndarray of int64
        Places in `labels`, in the order of how much likelier the other class is.

    Examples
    --------
    >>> left_out = np.array([[0.7, 0.3], [0.9, 0.1], [0.6, 0.4], [0.1, 0.9]], np.float32)
    >>> suspects(np.array([0, 1, 1, 1], np.uint8), left_out)
    array([1])
    """
    if not len(labels):
        return np.empty(0, np.int64)
    given, likeliest = left_out[np.arange(len(labels)), labels], left_out.argmax(axis=1)
    counts = np.bincount(labels, minlength=left_out.shape[1])
    usual = np.bincount(labels, given, minlength=left_out.shape[1]) / np.maximum(counts, 1)
    usual[counts == 0] = 1  # nobody knows how likely such a class is when it is right
    highest = left_out.max(axis=1)
    contradicted = np.flatnonzero((highest > given) & (highest >= usual[likeliest]))
    order: NDArray[np.int64] = contradicted[np.argsort(given[contradicted] - highest[contradicted], kind="stable")]
    return order
