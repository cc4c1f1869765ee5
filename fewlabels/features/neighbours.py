"""The nearest neighbours of each image: those that look alike share their labels."""

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_array

from fewlabels.arrays import Doubles, Floats, evenly_spaced

LOST = 1e-14
"""Squared distances that are this part of the squared distance to the medians are mostly rounding."""
ALIKE = 1e-12
"""Points that differ by this part of their distance to the medians count as copies."""


def nearest_neighbours(features: Floats | Doubles, n_neighbours: int = 5) -> NDArray[np.int32]:
    """Find the nearest neighbours of each image, itself left out.

    Compares all pairs, some rows at a time: the time grows with the square of n, the memory with n.

    Parameters
    ----------
    features : ndarray of float32 or float64, shape (n, d)
        Compared in float64, less the medians, which points far from all others do not move.
    n_neighbours : int, default=5
        At most n - 1 are found.

    Returns
    -------
    ndarray of int32, shape (n, min(n_neighbours, n - 1))

    Raises
    ------
    ValueError
        If a feature is NaN or infinite, squares overflow, or an image is so far from the medians, and so near to its
        neighbours, that float64 cannot tell which are the nearest.

    Examples
    --------
    >>> nearest_neighbours(np.array([[0], [1], [9], [11]], np.float32), n_neighbours=1)
    array([[1],
           [0],
           [3],
           [2]], dtype=int32)
    """
    if len(features) <= 1 or n_neighbours < 1:
        return np.empty((len(features), 0), np.int32)
    points: Doubles = check_array(features, dtype=np.float64, input_name="features")
    with np.errstate(over="ignore"):
        points = points - np.median(points[evenly_spaced(len(points), 1000)], axis=0)
        squares = np.einsum("ij,ij->i", points, points)
    if not np.isfinite(4 * squares.max()):
        raise ValueError(f"features: the square of a distance overflows, as in row {int(squares.argmax())}")
    search = NearestNeighbors(n_neighbors=min(n_neighbours, len(points) - 1), algorithm="brute").fit(points)
    distances, neighbours = search.kneighbors()
    for row in np.flatnonzero(np.square(distances[:, -1]) <= LOST * squares):
        if np.abs(points[neighbours[row]] - points[row]).max() > ALIKE * np.abs(points[row]).max():
            raise ValueError(f"features: row {row} is too far from the medians to tell its neighbours from each other")
    return np.asarray(neighbours, np.int32)
