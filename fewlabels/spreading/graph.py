"""Label spreading: smooth probabilities over a graph of neighbours."""

from numbers import Real

import numpy as np
from scipy import sparse

from fewlabels.arrays import Floats

TOLERANCE = 1e-4
"""The iterations end when neighbour_weight to the power of their number is below it."""


def spread_over_graph(probabilities: Floats, graph: sparse.csr_array, neighbour_weight: float) -> Floats:
    """Smooth probabilities over a graph by label spreading.

    Label spreading starts from few labels and from nothing for the other images; here it starts from a classifier's
    probabilities for every image. The result solves F = w S F + (1 - w) F0, with the graph S and the weight w.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n, n_classes)
    graph : csr_array of float32, shape (n, n)
        As from `fewlabels.features.neighbours.neighbour_graph`.
    neighbour_weight : float
        The part of an image's probabilities that comes from its neighbours, from 0 (none) to below 1.

    Returns
    -------
    ndarray of float32, shape (n, n_classes)
        Each row sums to 1. An image without neighbours keeps its probabilities.

    Raises
    ------
    ValueError
        If the weight is no number from 0 to below 1, the graph is of another number of images, or a row of
        probabilities is negative, not finite or sums to 0.

    References
    ----------
    D. Zhou et al., "Learning with Local and Global Consistency", NeurIPS 2003.

    Examples
    --------
    >>> joined = sparse.csr_array(np.array([[0, 1], [1, 0]], np.float32))
    >>> spread_over_graph(np.eye(2, dtype=np.float32), joined, 0.5).round(2)
    array([[0.67, 0.33],
           [0.33, 0.67]], dtype=float32)
    """
    if not isinstance(neighbour_weight, Real) or not 0 <= neighbour_weight < 1:
        raise ValueError(f"neighbour_weight: {neighbour_weight!r} is not between 0 and below 1")
    if graph.shape != (len(probabilities), len(probabilities)):
        raise ValueError(f"graph: shape {graph.shape}, and {len(probabilities)} rows of probabilities")
    sums = probabilities.sum(axis=1)
    wrong = ~((probabilities >= 0).all(axis=1) & (sums > 0) & np.isfinite(sums))
    if wrong.any():
        raise ValueError(f"probabilities: row {int(wrong.argmax())} is not 0 or more with a sum above 0")
    smoothed = probabilities
    steps = int(np.ceil(np.log(TOLERANCE) / np.log(neighbour_weight))) if neighbour_weight else 0
    for _ in range(steps):
        smoothed = np.float32(neighbour_weight) * (graph @ smoothed) + np.float32(1 - neighbour_weight) * probabilities
    normalised: Floats = smoothed / smoothed.sum(axis=1, keepdims=True)
    return normalised
