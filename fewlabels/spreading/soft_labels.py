"""Soft labels: a probability of each class for every image, from few bought labels.

A network can be trained on all images once each has soft labels. A classifier on the bought labels gives them; label
spreading smooths them, as much as predicts bought labels that are held back with the smallest log loss.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold

from fewlabels.arrays import Floats
from fewlabels.label_set import LabelSet
from fewlabels.pool import Rows, as_pool
from fewlabels.run import current
from fewlabels.spreading.graph import Graph, check_weight, spread_over_graph

FOLDS = 5
"""Parts of the bought labels: each is predicted from the others."""
LEAST_PROBABILITY = 1e-4
"""Lower limit of a probability in the log loss, so that one confident mistake does not dominate it."""


def soft_labels(
    features: Rows,
    graph: Graph,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    classifier: Any,
    *,
    neighbour_weights: Sequence[float] = (0, 0.5, 0.7, 0.85),
    random_state: int,
) -> tuple[Any, float]:
    """Compute soft labels of every image, smoothed by label spreading as much as suits the bought labels.

    Five-fold cross-validation on the bought labels chooses the weight of the neighbours, by the smallest log loss. With
    fewer than five labels the first weight is taken.

    Parameters
    ----------
    features : ndarray or Pool of float32, shape (n, d)
    graph : csr_array of float32, shape (n, n), or ChunkedGraph
        As from `fewlabels.spreading.graph.neighbour_graph`.
    rows : ndarray of int64, shape (m,)
        The images whose labels were bought.
    labels : ndarray of uint8, shape (m,)
    classifier : KernelRidgeClassifier
        With `classes` given; a clone of it is trained.
    neighbour_weights : sequence of float, default=(0, 0.5, 0.7, 0.85)
        What to choose from: the part of an image's probabilities that comes from its neighbours, 0 (none) to below 1.
    random_state : int
        Seeds the folds.

    Returns
    -------
    probabilities : ndarray or Pool of float32, shape (n, n_classes)
        Each row sums to 1; the bought labels are certain.
    neighbour_weight : float
        The weight that was taken.

    Raises
    ------
    ValueError
        If there are no weights, or one is no number from 0 to below 1.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> from fewlabels.features.neighbours import nearest_neighbours
    >>> from fewlabels.spreading.graph import neighbour_graph
    >>> features = np.array([[0], [0.1], [0.2], [2], [2.1], [2.2]], np.float32)
    >>> graph = neighbour_graph(nearest_neighbours(features, 2))
    >>> rows, labels, ridge = np.array([0, 5]), np.array([0, 1]), KernelRidgeClassifier(classes=[0, 1])
    >>> probabilities, weight = soft_labels(features, graph, rows, labels, ridge, random_state=0)
    >>> probabilities.argmax(axis=1)
    array([0, 0, 0, 1, 1, 1])
    """
    weights = list(neighbour_weights)
    if not weights:
        raise ValueError("neighbour_weights: none is given")
    for weight in weights:
        check_weight("neighbour_weights", weight)
    untrained, run = clone(classifier), current()
    certain = (labels[:, None] == np.asarray(classifier.classes)).astype(np.float32)

    def smoothed(kept: NDArray[Any], *weights: float) -> Iterator[Rows]:
        """Train on some of the bought labels and spread the probabilities, once for each weight."""
        model = untrained.fit(as_pool(features).take(rows[kept]), labels[kept])
        known = {"known": rows[kept], "certain": certain[kept]}
        probabilities = run.map(_probabilities, features, model=model, **known, label="probabilities")
        for weight in weights:
            yield spread_over_graph(probabilities, graph, weight)
        as_pool(probabilities).remove()

    best = 0
    if len(weights) > 1 and len(rows) >= FOLDS:
        losses = np.zeros(len(weights))
        for kept, held_back in KFold(FOLDS, shuffle=True, random_state=random_state).split(rows):
            right = certain[held_back] > 0
            for place, probabilities in enumerate(smoothed(kept, *weights)):
                held = as_pool(probabilities)
                likelihoods = np.maximum(held.take(rows[held_back])[right], LEAST_PROBABILITY)
                losses[place] -= np.log(likelihoods).sum()
                held.remove()
        best = int(losses.argmin())
    (soft,) = smoothed(np.arange(len(rows)), weights[best])
    found = run.map(_with_known, soft, known=rows, certain=certain)
    as_pool(soft).remove()
    return found, weights[best]


def _probabilities(rows: slice, features: Floats, *, model: Any, known: NDArray[np.int64], certain: Floats) -> Floats:
    return _with_known(rows, model.predict_proba(features), known=known, certain=certain)


def _with_known(rows: slice, probabilities: Floats, *, known: NDArray[np.int64], certain: Floats) -> Floats:
    """Set what is known of rows."""
    here = (known >= rows.start) & (known < rows.stop)
    changed = np.array(probabilities)
    changed[known[here] - rows.start] = certain[here]
    return changed


def confident_labels(
    probabilities: Rows,
    known: LabelSet,
    trained_on: Rows | None = None,
    *,
    confidence: float,
    most: int,
    random_state: int,
) -> LabelSet:
    """Draw the images that a network is trained on: of those whose likeliest class is probable enough.

    Each image has a random number of its own, by its row: those with the smallest are drawn.

    Parameters
    ----------
    probabilities : ndarray or Pool of float32, shape (n, n_classes)
    known : LabelSet
        Bought labels, and those of copies of their images. They are always drawn, and certain.
    trained_on : ndarray or Pool of bool, shape (n,), optional
        Which of the other images may be drawn; all if not given.
    confidence : float
        The least probability of the likeliest class.
    most : int
        How many images are drawn at most, or as many as are known, if these are more.
    random_state : int
        Seeds the drawing, where there are more.

    Returns
    -------
    LabelSet
        With the probabilities of each row; labels are the likeliest classes.

    Raises
    ------
    ValueError
        If a known row is none of the images.

    Examples
    --------
    >>> probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]], np.float32)
    >>> known = LabelSet.from_bought([3], [1])
    >>> confident_labels(probabilities, known, confidence=0.7, most=10, random_state=0).rows
    array([0, 2, 3])
    >>> len(confident_labels(probabilities, known, confidence=0.7, most=2, random_state=0))
    2
    """
    if len(known) and known.rows[-1] >= len(probabilities):
        raise ValueError(f"known: row {known.rows[-1]} of {len(probabilities)} images")
    sources = [probabilities] if trained_on is None else [probabilities, trained_on]
    room = max(0, most - len(known))
    how: dict[str, Any] = {"known": known.rows, "confidence": confidence, "room": room, "seed": random_state}
    smallest = functools.partial(_smallest, room=room)
    drawn = current().map_reduce(_drawn, smallest, *sources, label="confident images", **how)
    rows = np.sort(np.append(drawn["row"], known.rows))
    taken = as_pool(probabilities).take(rows)
    places = np.searchsorted(rows, known.rows)
    taken[places] = known.labels[:, None] == np.arange(taken.shape[1])
    bought = np.zeros(len(rows), bool)
    bought[places] = known.bought
    return LabelSet(rows, taken.argmax(axis=1).astype(np.uint8), bought, taken)


def _drawn(
    rows: slice,
    probabilities: Floats,
    trained_on: NDArray[np.bool_] | None = None,
    *,
    known: NDArray[np.int64],
    confidence: float,
    room: int,
    seed: int,
) -> NDArray[Any]:
    """Give the random numbers and rows of the confident images of a chunk, the smallest numbers first."""
    confident = probabilities.max(axis=1) >= confidence
    if trained_on is not None:
        confident &= trained_on
    confident[known[(known >= rows.start) & (known < rows.stop)] - rows.start] = False
    places = np.flatnonzero(confident)
    drawn = np.empty(len(places), [("number", np.uint64), ("row", np.int64)])
    drawn["number"] = np.random.PCG64(seed).advance(rows.start).random_raw(len(probabilities))[places]
    drawn["row"] = rows.start + places
    return _smallest(drawn[:0], drawn, room=room)


def _smallest(earlier: NDArray[Any], later: NDArray[Any], *, room: int) -> NDArray[Any]:
    both = np.concatenate([earlier, later])
    return both[np.argsort(both["number"], kind="stable")[:room]]
