"""Distances between many points and many centroids, a chunk of points at a time, so that memory stays bounded."""

import numpy as np
from numpy.typing import NDArray

CHUNK = 1024
"""Rows whose distances to all centroids are held at once: 8 MB of float32 at 2,000 centroids."""


def distances_to(X: NDArray[np.float32], *, centroids: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the Euclidean distance of each point to each centroid, a chunk of points at a time.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
    centroids : ndarray of float32, shape (k, d)

    Returns
    -------
    ndarray of float32, shape (n, k)
    """
    out = np.empty((len(X), len(centroids)), np.float32)
    norms = np.einsum("ij,ij->i", centroids, centroids)
    for start in range(0, len(X), CHUNK):
        rows = X[start : start + CHUNK]
        squares = np.matmul(rows, centroids.T, out=out[start : start + CHUNK])
        squares *= -2
        squares += norms
        squares += np.einsum("ij,ij->i", rows, rows)[:, None]
        np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
    return out


def nearest(X: NDArray[np.float32], centroids: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the nearest centroid of each point.

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
    """
    labels = np.empty(len(X), np.int32)
    distances = np.empty(len(X), np.float32)
    origin = centroids.mean(axis=0)  # far from it, the squares would leave float32 no digits for the differences
    centroids = centroids - origin
    half_norms = 0.5 * np.einsum("ij,ij->i", centroids, centroids)
    for start in range(0, len(X), CHUNK):
        rows = X[start : start + CHUNK] - origin
        own = np.argmax(rows @ centroids.T - half_norms, axis=1)
        labels[start : start + CHUNK] = own
        distances[start : start + CHUNK] = np.linalg.norm(rows - centroids[own], axis=1)
    return labels, distances
