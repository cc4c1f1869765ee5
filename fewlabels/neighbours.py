"""Which images are most alike, and the graph that joins them."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 5
"""Alike images that each image is joined to."""

Floats = NDArray[np.float32]


def neighbours(features: Floats) -> NDArray[np.int32]:
    """Find the images most alike to each, itself left out.

    Compares all pairs, some rows at a time: the time grows with the square of n, the memory with n.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)

    Returns
    -------
    ndarray of int32, shape (n, min(5, n - 1))
    """
    search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(features) - 1), algorithm="brute").fit(features)
    found: NDArray[np.int32] = search.kneighbors(return_distance=False).astype(np.int32)
    return found


def graph(neighbours: NDArray[np.int32]) -> sparse.csr_array:
    """Join each image with its neighbours, and weigh each edge by how many edges its ends have.

    Parameters
    ----------
    neighbours : ndarray of int32, shape (n, k)

    Returns
    -------
    csr_array of float32, shape (n, n)
        Symmetric, with at most 2 * n * k entries: D^-1/2 A D^-1/2, where A is 1 for an edge and D counts edges.
    """
    count, each = neighbours.shape
    ends = (np.repeat(np.arange(count), each), neighbours.ravel())
    edges = sparse.csr_array((np.ones(neighbours.size, np.float32), ends), shape=(count, count))
    edges = edges.maximum(edges.T)
    scale = sparse.diags_array(1 / np.sqrt(np.maximum(edges.sum(axis=1), 1)), dtype=np.float32)
    return (scale @ edges @ scale).tocsr()
