"""The loops of k-means that numpy cannot express, compiled by numba and cached on disk.

They release Python's interpreter lock. Those with `start` and `stop` change nothing that another slice reads, so that
slices can run side by side; what changes a centroid goes point by point in a fixed order.
Z (n, d) are points and C (k, d) centroids, float32; labels (n,) are int32, sizes (k,) int64.
"""

from typing import Any

import numpy as np

from fewlabels.clustering.assignment import squared_distance
from fewlabels.compiled import compiled


@compiled
def plusplus(Z: Any, k: int, dimensions: int, uniforms: Any, start: int) -> Any:
    """Choose k rows by greedy k-means++: each the best of several, drawn in proportion to the squared distance so far.

    A point x with seed s is no nearer to a candidate c if ||s - c|| >= 2 ||s - x||: most distances are never computed.
    `uniforms` (k, trials) are numbers in 0..1 to draw with, `start` is the first row.
    """
    n, trials = len(Z), uniforms.shape[1]
    chosen = np.full(k, start)
    own = np.zeros(n, np.int64)
    squares = np.empty(n, np.float32)
    for i in range(n):
        squares[i] = squared_distance(Z[i], Z[start], 0, dimensions)
    tried = np.empty((trials, n), np.float32)
    between = np.empty(k, np.float32)
    total = 0.0
    for i in range(n):
        total += squares[i]
    for c in range(1, k):
        best, least = 0, np.inf
        for t in range(trials):
            candidate = draw(squares, uniforms[c, t] * total)
            for j in range(c):
                between[j] = squared_distance(Z[candidate], Z[chosen[j]], 0, dimensions)
            potential = 0.0
            for i in range(n):
                square = squares[i]
                if between[own[i]] < 4 * square:
                    square = min(square, squared_distance(Z[i], Z[candidate], 0, dimensions))
                tried[t, i] = square
                potential += square
            if potential < least:
                best, least = t, potential
                chosen[c] = candidate
        for i in range(n):
            if tried[best, i] < squares[i]:
                squares[i] = tried[best, i]
                own[i] = c
        total = least
    return chosen


@compiled
def draw(weights: Any, threshold: float) -> int:
    """Find the row at which the running sum of the weights passes the threshold."""
    running = 0.0
    for i in range(len(weights)):
        running += weights[i]
        if running > threshold:
            return i
    return len(weights) - 1


@compiled
def set_means(Z: Any, labels: Any, C: Any, sizes: Any) -> None:
    """Make each centroid the mean of its points, and count them."""
    C[:] = 0
    sizes[:] = 0
    for i in range(len(Z)):
        sizes[labels[i]] += 1
        for t in range(Z.shape[1]):
            C[labels[i], t] += Z[i, t]
    for j in range(len(C)):
        inverse = np.float32(1 / max(1, sizes[j]))
        for t in range(Z.shape[1]):
            C[j, t] *= inverse


@compiled
def add_to_sums(X: Any, labels: Any, origin: Any, first: int, last: int, sums: Any) -> None:
    """Add where each point lies from an origin to the sum of its cluster (k, d), from one dimension up to another."""
    for i in range(len(X)):
        for t in range(first, last):
            sums[labels[i], t] += X[i, t] - origin[t]


@compiled
def add_whole_numbers(X: Any, labels: Any, origin: Any, factor: float, first: int, last: int, sums: Any) -> None:
    """Add to sums as `add_to_sums` does, each difference times a factor, and rounded to a whole number."""
    for i in range(len(X)):
        for t in range(first, last):
            sums[labels[i], t] += np.rint((X[i, t] - origin[t]) * factor)


@compiled
def propose(
    Z: Any, labels: Any, C: Any, leave: Any, join: Any, neighbours: Any, few: int, start: int, stop: int, to: Any
) -> None:
    """Write, for each point, the cluster among its own one's neighbours to which a move would lower the inertia most.

    Leaving a cluster of n points at distance d lowers it by d² n / (n - 1), joining one raises it by d² n / (n + 1):
    `leave` and `join` (k,) are these factors, 0 where there is only one point to leave.
    """
    for i in range(start, stop):
        own = labels[i]
        to[i] = own
        least = squared_distance(Z[i], C[own], 0, Z.shape[1]) * leave[own]
        for m in range(neighbours.shape[1]):
            j = neighbours[own, m]
            cost = squared_distance(Z[i], C[j], 0, few)
            if cost * join[j] < least:  # a few dimensions rule most candidates out
                cost = (cost + squared_distance(Z[i], C[j], few, Z.shape[1])) * join[j]
                if cost < least:
                    least = cost
                    to[i] = j


@compiled
def commit(Z: Any, labels: Any, C: Any, sizes: Any, to: Any) -> int:
    """Make the proposed moves that still lower the inertia, centroids and sizes following; count them."""
    moved, d = 0, Z.shape[1]
    for i in range(len(Z)):
        own, j = labels[i], to[i]
        if j == own or sizes[own] == 1:
            continue
        leaving = squared_distance(Z[i], C[own], 0, d) * np.float32(sizes[own] / (sizes[own] - 1))
        joining = squared_distance(Z[i], C[j], 0, d) * np.float32(sizes[j] / (sizes[j] + 1))
        if joining >= leaving:
            continue
        away, near = np.float32(1 / (sizes[own] - 1)), np.float32(1 / (sizes[j] + 1))
        for t in range(d):
            C[own, t] += (C[own, t] - Z[i, t]) * away
            C[j, t] += (Z[i, t] - C[j, t]) * near
        sizes[own] -= 1
        sizes[j] += 1
        labels[i] = j
        moved += 1
    return moved


@compiled
def smallest(squares: Any, start: int, columns: Any) -> None:
    """Write the columns of the smallest entries of each row, in ascending order; row 0 is that of centroid `start`."""
    k, m = squares.shape[1], columns.shape[1]
    values = np.empty(m, np.float32)
    for i in range(len(squares)):
        values[:] = np.inf
        for j in range(k):
            square = squares[i, j]
            if square >= values[m - 1] or j == start + i:
                continue
            place = m - 1
            while place > 0 and values[place - 1] > square:
                values[place] = values[place - 1]
                columns[i, place] = columns[i, place - 1]
                place -= 1
            values[place] = square
            columns[i, place] = j


@compiled
def removals(
    Z: Any, C: Any, join: Any, near: Any, order: Any, starts: Any, first: int, last: int, cost: Any, second: Any
) -> None:
    """Compute the rise of the inertia without each centroid, and the cluster that each of its points would join.

    `order` has the points sorted by cluster, those of cluster j from starts[j] to starts[j + 1].
    """
    d = Z.shape[1]
    for j in range(first, last):
        cost[j] = 0
        for i in order[starts[j] : starts[j + 1]]:
            least = np.float32(np.inf)
            for m in range(near.shape[1]):
                other = near[j, m]
                joining = squared_distance(Z[i], C[other], 0, d) * join[other]
                if joining < least:
                    least = joining
                    second[i] = other
            cost[j] += least - squared_distance(Z[i], C[j], 0, d)


@compiled
def splits(Z: Any, C: Any, order: Any, starts: Any, first: int, last: int, gain: Any, half: Any) -> None:
    """Compute the fall of the inertia if each cluster is split by six steps of 2-means, and the half of each point."""
    d = Z.shape[1]
    for j in range(first, last):
        members = order[starts[j] : starts[j + 1]]
        inertia, farthest, far = 0.0, np.float32(-1), members[0]
        for i in members:
            square = squared_distance(Z[i], C[j], 0, d)
            inertia += square
            if square > farthest:
                farthest, far = square, i
        means = np.empty((2, d), np.float32)
        for t in range(d):
            means[0, t], means[1, t] = Z[far, t], C[j, t] + (C[j, t] - Z[far, t])
        after = inertia
        for _ in range(6):
            sums, counts, after = np.zeros((2, d), np.float32), np.zeros(2, np.int64), 0.0
            for i in members:
                one, two = squared_distance(Z[i], means[0], 0, d), squared_distance(Z[i], means[1], 0, d)
                half[i] = 1 if two < one else 0
                after += min(one, two)
                counts[half[i]] += 1
                for t in range(d):
                    sums[half[i], t] += Z[i, t]
            if counts[0] == 0 or counts[1] == 0:
                after = inertia
                break
            for h in range(2):
                for t in range(d):
                    means[h, t] = sums[h, t] / np.float32(counts[h])
        gain[j] = inertia - after
