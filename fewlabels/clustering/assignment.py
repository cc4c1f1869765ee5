"""Distances of many points to many centroids, and the nearest one, a chunk of points at a time to bound the memory."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Doubles, Floats, squared_norms
from fewlabels.compiled import compiled
from fewlabels.points import center_of, relative_to, spread_about, unit_of
from fewlabels.pool import Rows
from fewlabels.principal_axes import main_axes
from fewlabels.run import current
from fewlabels.threads import for_each_chunk, map_chunks

CHUNK = 1024
"""Rows whose distances to all centroids are held at once: 8 MB of float32 at 2,000 centroids."""
BLOCK = 64
"""Centroids that share one lower bound of their distances, so that most are ruled out together."""
MOST_AXES = 256
"""Axes of the subspace at most: more would cost more than they save."""
FAR = 1000
"""Times the radius of the centroids: for points farther off, float32 has too few digits to tell the centroids apart."""
NEAR = 1e-3
"""Times the squared distance from the origin: of a smaller one, float32 has too few digits left."""


def distances_to_centroids(X: Rows, centroids: NDArray[Any]) -> Any:
    """Compute the Euclidean distance of each point to each centroid.

    Parameters
    ----------
    X : ndarray or Pool of float64, float32 or uint8, shape (n, d)
    centroids : ndarray of float64 or float32, shape (k, d)

    Returns
    -------
    ndarray or Pool of float32, shape (n, k)

    Raises
    ------
    ValueError
        If points or centroids are farther apart than float32 can say, or too close.

    Examples
    --------
    >>> distances_to_centroids(np.array([[0, 0]], np.float32), np.array([[3, 4], [0, 1]], np.float32))
    array([[5., 1.]], dtype=float32)
    """
    return current().map(_distances, X, around=_Around(centroids, X), label="distances to centroids")


def _distances(rows: slice, X: NDArray[Any], *, around: "_Around") -> Floats:
    out = np.empty((len(X), len(around.centroids)), np.float32)

    def fill(chunk: slice) -> None:
        rows, row_norms, far = around.rows(X[chunk])
        squares = np.matmul(rows, around.centroids.T, out=out[chunk])
        squares *= -2
        squares += around.norms
        squares += row_norms[:, None]
        _refine(rows, around.centroids, row_norms, squares)
        np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
        if len(far):
            shared, rest = around.squares_of_far(X[chunk][far])
            squares[far] = np.sqrt(shared[:, None] + rest)
        squares *= around.unit

    for_each_chunk(fill, len(X), CHUNK)
    return out


def assign_to_nearest(X: Rows, centroids: NDArray[Any]) -> Any:
    """Assign each point to its nearest centroid, exactly, at a fraction of the cost of all distances.

    Centroids are means, and lie close to a subspace of few dimensions. A small matrix product gives the distances
    within it; the parts x' and c' outside it are at least | ||x'|| - ||c'|| | apart. The few centroids that this lower
    bound does not rule out are compared in all dimensions.

    Parameters
    ----------
    X : ndarray or Pool of float64, float32 or uint8, shape (n, d)
    centroids : ndarray of float64 or float32, shape (k, d)

    Returns
    -------
    labels : ndarray or Pool of int32, shape (n,)
        The lowest index where two centroids are equally near.
    distances : ndarray or Pool of float32, shape (n,)
        Computed from the differences, so that a point on its centroid is at 0.

    Raises
    ------
    ValueError
        As `distances_to_centroids` does.

    Examples
    --------
    >>> points, centroids = np.array([[0], [9]], np.float32), np.array([[1], [5], [8]], np.float32)
    >>> assign_to_nearest(points, centroids)
    (array([0, 2], dtype=int32), array([1., 1.], dtype=float32))
    """
    around = _Around(centroids, X)
    subspace = _Subspace(around.centroids, around.norms, len(X))
    return current().map(_nearest, X, outputs=2, around=around, subspace=subspace, label="nearest centroids")


def _nearest(
    rows: slice, X: NDArray[Any], *, around: "_Around", subspace: "_Subspace"
) -> tuple[NDArray[np.int32], Floats]:
    labels = np.empty(len(X), np.int32)
    distances = np.empty(len(X), np.float32)

    def fill(chunk: slice) -> None:
        rows, norms, far = around.rows(X[chunk])
        projected = subspace.project(rows)
        projected_norms = squared_norms(projected)
        products = projected @ subspace.inside.T
        outside_rows = np.sqrt(np.maximum(norms - projected_norms, 0))
        _settle(rows, around.centroids, products, norms, projected_norms, subspace.inside_norms, outside_rows,
                subspace.outside, labels[chunk], distances[chunk])  # fmt: skip
        if len(far):
            shared, rest = around.squares_of_far(X[chunk][far])
            labels[chunk][far] = rest.argmin(axis=1)
            distances[chunk][far] = np.sqrt(shared + rest.min(axis=1))
        distances[chunk] *= around.unit

    for_each_chunk(fill, len(X), CHUNK)
    return labels, distances


class _Around:
    """Centroids, and points, relative to the centroids' mean and in a unit that suits float32."""

    def __init__(self, centroids: NDArray[Any], X: Rows) -> None:
        mean = center_of(centroids)
        self.unit = unit_of(spread_about(centroids, mean) or spread_about(X, mean))
        self.origin: Doubles = np.round(mean * (256 / self.unit)) * (self.unit / 256)  # whole numbers stay exact
        self.centroids = relative_to(centroids, self.origin, self.unit)
        self.norms = squared_norms(self.centroids)
        self.farthest = FAR**2 * float(self.norms.max()) or np.inf

    def rows(self, X: NDArray[Any]) -> tuple[Floats, Floats, NDArray[np.intp]]:
        """Compute where points are, their squared norms, and which are too far off for float32: these are put at 0."""
        rows = relative_to(X, self.origin, self.unit)
        with np.errstate(over="ignore"):
            norms = squared_norms(rows)
        far = np.flatnonzero(~(norms <= self.farthest))
        rows[far], norms[far] = 0, 0
        return rows, norms, far

    def squares_of_far(self, X: NDArray[Any]) -> tuple[Doubles, Doubles]:
        """Compute squared distances (m, k) in float64: the part that is the same for all centroids (m,), and the rest.

        Raises
        ------
        ValueError
            If the points are farther off than float32 can say.
        """
        unit_of(spread_about(X, self.origin))
        rows, centroids = (X - self.origin) / self.unit, self.centroids.astype(np.float64)
        return np.square(rows).sum(axis=1), self.norms - 2 * rows @ centroids.T


class _Subspace:
    """Where centroids lie in a subspace that holds 95 % of their variance, and how far outside of it.

    It is the whole space where axes cost more than they save: for few points.
    """

    def __init__(self, centroids: Floats, norms: Floats, points: int) -> None:
        self.axes = main_axes(centroids, 0.95, MOST_AXES) if points > 4 * min(centroids.shape) else None
        self.inside = self.project(centroids)
        self.inside_norms = squared_norms(self.inside)
        self.outside = np.sqrt(np.maximum(norms - self.inside_norms, 0))

    def project(self, rows: Floats) -> Floats:
        return rows @ self.axes if self.axes is not None else rows


@compiled
def squared_distance(a: Any, b: Any, first: int, last: int) -> Any:
    """Sum the squared differences of two points, from one dimension up to another."""
    total = np.float32(0)
    for t in range(first, last):
        difference = a[t] - b[t]
        total += difference * difference
    return total


@compiled
def _refine(rows: Any, centroids: Any, norms: Any, squares: Any) -> None:
    """Compute small squares anew, from the differences: they were small differences of large numbers."""
    for i in range(len(rows)):
        for j in range(len(centroids)):
            if squares[i, j] < NEAR * norms[i]:
                squares[i, j] = squared_distance(rows[i], centroids[j], 0, rows.shape[1])


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


def distinct_nearest(images: Rows, centroids: NDArray[Any]) -> int:
    """Count the images that would be labelled if each centroid took the nearest of *all* images.

    As many as there are centroids, unless an image is nearest to two of them: then so many labels are not bought.

    Parameters
    ----------
    images : ndarray or Pool of float64, float32 or uint8, shape (n, d)
    centroids : ndarray of float64 or float32, shape (k, d)

    Returns
    -------
    int
        Between 1 and k.

    Examples
    --------
    >>> distinct_nearest(np.array([[0.0], [9.0]]), np.array([[1.0], [2.0]]))
    1
    """
    nearest, _ = current().map_reduce(
        _nearest_rows, _nearer_rows, images, centroids=centroids, label="nearest images of centroids"
    )
    return len(np.unique(nearest))


def _nearest_rows(rows: slice, images: NDArray[Any], *, centroids: NDArray[Any]) -> tuple[NDArray[Any], Doubles]:
    """Find the nearest row of each centroid, and its squared distance less the squared norm of the centroid."""

    def of_some(some: slice) -> tuple[NDArray[Any], Doubles]:
        points = images[some].astype(np.float64)
        squares = np.square(points).sum(axis=1)[:, None] - 2 * (points @ centroids.T)
        nearest = squares.argmin(axis=0)
        return rows.start + some.start + nearest, squares[nearest, np.arange(len(centroids))]

    return functools.reduce(_nearer_rows, map_chunks(of_some, len(images), CHUNK))


def _nearer_rows(
    first: tuple[NDArray[Any], Doubles], second: tuple[NDArray[Any], Doubles]
) -> tuple[NDArray[Any], Doubles]:
    nearer = second[1] < first[1]  # not where they are equal: the lower row stays
    return np.where(nearer, second[0], first[0]), np.where(nearer, second[1], first[1])
