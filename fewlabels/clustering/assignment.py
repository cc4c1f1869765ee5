"""Distances of many points to many centroids, and the nearest one, a chunk of points at a time to bound the memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin

from fewlabels.arrays import Floats, principal_axes, squared_norms
from fewlabels.threads import compiled, for_each_chunk

CHUNK = 1024
"""Rows whose distances to all centroids are held at once: 8 MB of float32 at 2,000 centroids."""

BLOCK = 64
"""Centroids that share one lower bound of their distances, so that most are ruled out together."""


def distances_to_centroids(X: Floats, centroids: Floats) -> Floats:
    """Compute the Euclidean distance of each point to each centroid.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
    centroids : ndarray of float32, shape (k, d)

    Returns
    -------
    ndarray of float32, shape (n, k)

    Examples
    --------
    >>> distances_to_centroids(np.array([[0, 0]], np.float32), np.array([[3, 4], [0, 1]], np.float32))
    array([[5., 1.]], dtype=float32)
    """
    origin = centroids.mean(axis=0)
    centroids = centroids - origin
    norms = squared_norms(centroids)
    out = np.empty((len(X), len(centroids)), np.float32)

    def fill(chunk: slice) -> None:
        rows = X[chunk] - origin  # far from it, float32 would lose the differences of the squares
        squares = np.matmul(rows, centroids.T, out=out[chunk])
        squares *= -2
        squares += norms
        squares += squared_norms(rows)[:, None]
        np.sqrt(np.maximum(squares, 0, out=squares), out=squares)

    for_each_chunk(fill, len(X), CHUNK)
    return out


def assign_to_nearest(X: Floats, centroids: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Assign each point to its nearest centroid, exactly, at a fraction of the cost of all distances.

    Centroids are means, and lie close to a subspace of few dimensions. A small matrix product gives the distances
    within it; the parts x' and c' outside it are at least | ||x'|| - ||c'|| | apart. The few centroids that this lower
    bound does not rule out are compared in all dimensions.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
    centroids : ndarray of float32, shape (k, d)

    Returns
    -------
    labels : ndarray of int32, shape (n,)
        The lowest index where two centroids are equally near.
    distances : ndarray of float32, shape (n,)
        Computed from the differences, so that a point on its centroid is at 0.

    Examples
    --------
    >>> points, centroids = np.array([[0], [9]], np.float32), np.array([[1], [5], [8]], np.float32)
    >>> assign_to_nearest(points, centroids)
    (array([0, 2], dtype=int32), array([1., 1.], dtype=float32))
    """
    origin = centroids.mean(axis=0)
    centroids = centroids - origin
    basis = _subspace(centroids, len(X))
    inside = centroids @ basis
    inside_norms = squared_norms(inside)
    outside = np.sqrt(np.maximum(squared_norms(centroids) - inside_norms, 0))
    labels = np.empty(len(X), np.int32)
    distances = np.empty(len(X), np.float32)

    def fill(chunk: slice) -> None:
        rows = X[chunk] - origin
        projected: Floats = np.matmul(rows, basis)
        norms, projected_norms = squared_norms(rows), squared_norms(projected)
        products = projected @ inside.T
        outside_rows = np.sqrt(np.maximum(norms - projected_norms, 0))
        _settle(rows, centroids, products, norms, projected_norms, inside_norms, outside_rows, outside,
                labels[chunk], distances[chunk])  # fmt: skip

    for_each_chunk(fill, len(X), CHUNK)
    return labels, distances


def _subspace(centroids: Floats, points: int) -> Floats:
    """Compute axes that hold 95 % of the centroids' variance; all axes, where computing them would cost too much."""
    k, d = centroids.shape
    return np.eye(d, dtype=np.float32) if points * k < d * d else principal_axes(centroids.T @ centroids, 0.95)


@compiled
def squared_distance(a: Any, b: Any, first: int, last: int) -> Any:
    """Sum the squared differences of two points, from one dimension up to another."""
    total = np.float32(0)
    for t in range(first, last):
        difference = a[t] - b[t]
        total += difference * difference
    return total


@compiled
def _settle(
    rows: Any,
    centroids: Any,
    products: Any,
    norms: Any,
    projected_norms: Any,
    inside_norms: Any,
    outside_rows: Any,
    outside: Any,
    labels: Any,
    distances: Any,
) -> None:
    """Find the nearest centroids; exact distances only where a lower bound, squared and less ||projected||², allows."""
    k, d = centroids.shape
    least = np.empty((k + BLOCK - 1) // BLOCK, np.float32)
    for i in range(len(rows)):
        bounds, out = products[i], outside_rows[i]
        for j in range(k):
            gap = out - outside[j]
            bounds[j] = inside_norms[j] - np.float32(2) * bounds[j] + gap * gap
        for block in range(len(least)):
            lowest = np.float32(np.inf)
            for bound in bounds[block * BLOCK : (block + 1) * BLOCK]:
                lowest = min(lowest, bound)
            least[block] = lowest
        first = np.argmin(least) * BLOCK
        label = int(first + np.argmin(bounds[first : first + BLOCK]))
        rounding = np.float32(1e-4) * norms[i]
        own = squared_distance(rows[i], centroids[label], 0, d)
        limit = own - projected_norms[i] + rounding
        bounds[label] = np.float32(np.inf)
        for block in range(len(least)):
            if least[block] > limit:
                continue
            for j in range(block * BLOCK, min(k, (block + 1) * BLOCK)):
                if bounds[j] <= limit:
                    other = squared_distance(rows[i], centroids[j], 0, d)
                    if other < own or (other == own and j < label):
                        own, label = other, j
                        limit = own - projected_norms[i] + rounding
        labels[i] = label
        distances[i] = np.sqrt(own)


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

    Examples
    --------
    >>> distinct_nearest(np.array([[0.0], [9.0]]), np.array([[1.0], [2.0]]))
    1
    """
    return len(np.unique(pairwise_distances_argmin(centroids, images)))
