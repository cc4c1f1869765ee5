"""The compiled loops against what numpy says, on small cases of random shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances

from fewlabels.clustering import loops
from fewlabels.clustering.partition import Partition, factors_of, neighbours_of
from fewlabels.threads import map_chunks

shapes = st.tuples(
    st.integers(2, 60), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**32 - 1), st.booleans()
).map(lambda drawn: (*drawn[:2], min(drawn[2], drawn[0]), *drawn[3:]))
few = settings(max_examples=60, deadline=None)


def problem(n, d, k, seed, ties):
    """Points, labels that use every cluster, and the generator; `ties` puts many points on the same places."""
    random = np.random.default_rng(seed)
    Z = random.normal(size=(n, d)).astype(np.float32)
    if ties:
        Z = np.round(Z)
    labels = np.concatenate([np.arange(k), random.integers(k, size=n - k)]).astype(np.int32)
    return Z, random.permutation(labels), random


def inertia(Z, labels, k):
    return sum(((Z[labels == j] - Z[labels == j].mean(axis=0)) ** 2).sum() for j in range(k) if np.any(labels == j))


@few
@given(shapes)
def test_means_and_sizes(shape):
    Z, labels, _ = problem(*shape)
    clusters = Partition(Z, labels, shape[2])
    loops.set_means(Z, labels, clusters.C, clusters.sizes)
    for j in range(shape[2]):
        assert clusters.sizes[j] == np.sum(labels == j)
        np.testing.assert_allclose(clusters.C[j], Z[labels == j].mean(axis=0), atol=1e-5)


@few
@given(shapes)
def test_moves_never_raise_the_inertia_nor_empty_a_cluster(shape):
    Z, labels, _ = problem(*shape)
    k = shape[2]
    clusters = Partition(Z, labels.copy(), k)
    before = inertia(Z, labels, k)
    clusters.improve_by_moves(candidates=4)
    assert inertia(Z, clusters.labels, k) <= before * (1 + 1e-5) + 1e-5
    assert set(clusters.labels) == set(range(k))


@few
@given(shapes)
def test_swaps_never_raise_the_inertia_nor_empty_a_cluster(shape):
    Z, labels, _ = problem(*shape)
    k = shape[2]
    clusters = Partition(Z, labels.copy(), k)
    clusters.improve_by_moves(candidates=4)
    before = inertia(Z, clusters.labels, k)
    clusters.improve_by_swaps(candidates=4)
    assert inertia(Z, clusters.labels, k) <= before * (1 + 1e-4) + 1e-4
    assert set(clusters.labels) == set(range(k))


@few
@given(shapes)
def test_a_proposal_is_the_move_that_lowers_the_inertia_most(shape):
    n, _, k, *_ = shape
    Z, labels, _ = problem(*shape)
    clusters = Partition(Z, labels, k)
    loops.set_means(Z, labels, clusters.C, clusters.sizes)
    to = np.empty(n, np.int32)
    near = neighbours_of(clusters.C, k)
    loops.propose(Z, labels, clusters.C, *factors_of(clusters.sizes), near, min(2, Z.shape[1]), 0, n, to)
    now = inertia(Z, labels, k)
    for i in range(n):
        if clusters.sizes[labels[i]] == 1:
            assert to[i] == labels[i]
            continue
        after = [inertia(Z, np.where(np.arange(n) == i, j, labels), k) for j in range(k)]
        assert after[to[i]] <= min(*after, now) + 1e-3 if k > 1 else to[i] == 0


@few
@given(shapes)
def test_costs_of_removals_and_gains_of_splits(shape):
    n, _, k, *_ = shape
    Z, labels, _ = problem(*shape)
    clusters = Partition(Z, labels, k)
    loops.set_means(Z, labels, clusters.C, clusters.sizes)
    near, (_, join) = neighbours_of(clusters.C, 10), factors_of(clusters.sizes)
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(clusters.sizes)])
    cost, gain = np.empty(k), np.empty(k)
    second, half = np.zeros(n, np.int32), np.zeros(n, np.int8)
    loops.removals(Z, clusters.C, join, near, order, starts, 0, k, cost, second)
    loops.splits(Z, clusters.C, order, starts, 0, k, gain, half)
    squares = pairwise_distances(Z, clusters.C) ** 2
    for j in range(k):
        members = np.flatnonzero(labels == j)
        if k > 1:
            joining = squares[members][:, near[j]] * join[near[j]]
            assert cost[j] == pytest.approx(joining.min(axis=1).sum() - squares[members, j].sum(), abs=1e-2)
        parts = [Z[members[half[members] == side]] for side in (0, 1)]
        if gain[j] > 1e-3:  # what it promises, the split into these halves gives at least
            apart = sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts)
            assert gain[j] <= squares[members, j].sum() - apart + 1e-2


@few
@given(shapes)
def test_neighbours_are_the_nearest_centroids_in_order(shape):
    Z, labels, _ = problem(*shape)
    k = shape[2]
    clusters = Partition(Z, labels, k)
    loops.set_means(Z, labels, clusters.C, clusters.sizes)
    near = neighbours_of(clusters.C, 3)
    between = pairwise_distances(clusters.C)
    np.fill_diagonal(between, np.inf)
    for j in range(k):
        assert j not in near[j]
        np.testing.assert_allclose(between[j, near[j]], np.sort(between[j])[: min(3, k - 1)], atol=1e-2)


def test_seeding_is_greedy_kmeans_plusplus():
    Z, _, random = problem(200, 5, 12, 3, False)
    uniforms = random.uniform(size=(12, 3))
    chosen, squares = [7], ((Z - Z[7]) ** 2).sum(axis=1)
    for c in range(1, 12):
        drawn = [int(np.searchsorted(np.cumsum(squares, dtype=np.float64), u * squares.sum())) for u in uniforms[c]]
        tried = [np.minimum(squares, ((Z - Z[row]) ** 2).sum(axis=1)) for row in drawn]
        best = int(np.argmin([square.sum() for square in tried]))
        chosen.append(drawn[best])
        squares = tried[best]
    assert loops.plusplus(Z, 12, 5, uniforms, 7).tolist() == chosen


def test_chunks_come_back_in_order_and_an_error_comes_through():
    assert list(map_chunks(lambda rows: (rows.start, rows.stop), 10, 4)) == [(0, 4), (4, 8), (8, 10)]
    with pytest.raises(ZeroDivisionError):
        list(map_chunks(lambda rows: 1 // rows.start, 10, 4))
