"""Cluster-margin sampling: images whose two likeliest classes score nearly the same, from all parts of the data.

Margin sampling alone asks about many images that look alike. Clusters of the candidates make a batch diverse. After
G. Citovsky et al., "Batch Active Learning at Scale", NeurIPS 2021, with k-means as the clustering.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from fewlabels.arrays import Floats
from fewlabels.choosing.pool import check_count, pool_of
from fewlabels.choosing.representatives import representatives


def cluster_margin(
    features: Floats,
    rows: ArrayLike,
    labels: ArrayLike,
    n: int,
    *,
    exclude: Iterable[int] = (),
    classifier: Any,
    random_state: int,
    candidates: int = 20,
) -> NDArray[np.int64]:
    """Choose the representatives of n clusters among the images with the smallest margins.

    A classifier is trained on the labels so far; the margin of an image is the difference between its two highest
    scores. With no labels yet, or of one class only, there is no margin: representatives of the whole pool are chosen.

    Parameters
    ----------
    features : ndarray of float32, shape (n_images, d)
    rows : array-like of int, shape (m,)
        The images labelled so far.
    labels : array-like, shape (m,)
        Their labels.
    n : int
        How many images to ask about next, 1 at least.
    exclude : iterable of int, default=()
        Images that must not be asked about.
    classifier : scikit-learn classifier
        With `decision_function` or `predict_proba`; a clone of it is trained.
    random_state : int
        Seeds k-means.
    candidates : int, default=20
        The candidates * n images of the smallest margin are clustered. 1 is plain margin sampling.

    Returns
    -------
    ndarray of int64, shape (n,)
        Distinct rows of the pool, or all of them where fewer than n remain.

    Raises
    ------
    ValueError
        As `pool_of` does, or if candidates is no whole number or below 1.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> features = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
    >>> cluster_margin(features, [0, 100], [0, 1], 1, classifier=KernelRidgeClassifier(), random_state=0, candidates=1)
    array([50])
    """
    check_count("candidates", candidates)
    pool, labelled, known = pool_of(features, rows, labels, n, exclude), np.asarray(rows, int), np.asarray(labels)
    if len(pool) <= n:
        return pool
    if len(np.unique(known)) < 2:
        return representatives(features, rows, labels, n, exclude=exclude, random_state=random_state)
    margins = _margins(clone(classifier).fit(features[labelled], known), features)[pool]
    smallest = pool[np.sort(np.argsort(margins, kind="stable")[: candidates * n])]
    batch: NDArray[np.int64] = smallest[representatives(features[smallest], [], [], n, random_state=random_state)]
    return batch


def _margins(classifier: Any, features: Floats) -> NDArray[Any]:
    """Compute the difference between the two highest scores of each image."""
    score = classifier.decision_function if hasattr(classifier, "decision_function") else classifier.predict_proba
    scores = np.asarray(score(features))
    if scores.ndim == 1:  # of two classes, scikit-learn gives one score, which is 0 where they are equal
        scores = np.stack([scores, -scores], axis=1)
    highest = np.partition(scores, -2, axis=1)
    return np.asarray(highest[:, -1] - highest[:, -2])
