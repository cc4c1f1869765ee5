"""Which images to label: for each cluster the member that stands for it best."""

import numpy as np
from numpy.typing import NDArray


def nearest_members(assignments: NDArray[np.int32], distances: NDArray[np.float32], clusters: int) -> NDArray[np.int64]:
    """Find, for each cluster, the member nearest its centroid.

    Only members of the own cluster stand for it. The nearest of *all* images, as in A. Géron's "Hands-On Machine
    Learning" (chapter on unsupervised learning), can be the same for two centroids: part of the budget is then unspent.

    Parameters
    ----------
    assignments : ndarray of int32, shape (n,)
        The cluster of each image, 0 to clusters - 1.
    distances : ndarray of float32, shape (n,)
        The distance of each image to the centroid of its cluster.
    clusters : int
        How many clusters there are.

    Returns
    -------
    ndarray of int64, shape (clusters,)
        Row of the representative of each cluster: distinct, the lowest row where two are equally near.

    Raises
    ------
    ValueError
        If a cluster has no member.
    """
    order = np.lexsort((distances, assignments))
    sizes = np.bincount(assignments, minlength=clusters)
    if sizes.min() == 0:
        raise ValueError(f"cluster {int(sizes.argmin())} has no member")
    firsts: NDArray[np.int64] = order[np.concatenate([[0], np.cumsum(sizes)[:-1]])]
    return firsts
