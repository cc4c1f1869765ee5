"""Distances to centroids, and the nearest of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from shards import shards

from fewlabels.clustering.assignment import (
    _nearest_rows,
    assign_to_nearest,
    distances_to_centroids,
    distinct_nearest,
)
from fewlabels.clustering.nonempty import assign_all
from fewlabels.pool import Pool
from fewlabels.run import Local


def test_an_image_nearest_to_two_centroids_counts_once() -> None:
    images = np.array([[0, 0], [10, 0], [20, 0]], np.float32)
    assert distinct_nearest(images, np.array([[1, 0], [-1, 0], [11, 0]], np.float32)) == 2
    assert distinct_nearest(images, images) == 3


def test_small_distances_among_large_ones_keep_their_digits() -> None:
    points = np.random.default_rng(0).uniform(0, 25, (300, 2))
    centroids = points + 0.01
    distances = distances_to_centroids(points, centroids)
    wanted = np.sqrt(np.square(points[:, None] - centroids).sum(axis=2))
    np.testing.assert_allclose(distances, wanted, rtol=1e-4)
    np.testing.assert_allclose(distances.min(axis=1), assign_to_nearest(points, centroids)[1], rtol=1e-4)
    assert not distances_to_centroids(points, points).diagonal().any()


@pytest.mark.parametrize("apart", [1, 0], ids=["many centroids", "centroids that coincide"])
def test_pools_get_the_bits_of_arrays(apart: float, tmp_path: Path) -> None:
    """Where centroids coincide, all points give the unit; and their number decides whether axes are worth their cost.

    The first chunk lies on the centroids, and others far from them.
    """
    random = np.random.default_rng(0)
    centroids = np.ones((300, 320)) + apart * random.normal(size=(300, 320))
    X = np.ones((3000, 320), np.float32)
    X[1024:] += 1e3 * random.normal(size=(1976, 320)).astype(np.float32)
    with Local(tmp_path / "scratch"):
        pool = shards(tmp_path / "points", X)
        found = [distances_to_centroids(pool, centroids), *assign_to_nearest(pool, centroids)]
        expected = [distances_to_centroids(X, centroids), *assign_to_nearest(X, centroids)]
        for one, wanted in zip(found, expected, strict=True):
            assert isinstance(one, Pool)
            np.testing.assert_array_equal(one.array(), wanted)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nearest_images_of_all_chunks_are_compared(dtype: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    X = random.integers(0, 9, (6000, 3)).astype(dtype)  # many are equally near
    centroids = random.uniform(0, 9, (200, 3))
    wanted = cdist(X, centroids).argmin(axis=0)
    nearest, squares = _nearest_rows(slice(0, 6000), X, centroids=centroids)
    np.testing.assert_array_equal(nearest, wanted)
    least = cdist(X, centroids, "sqeuclidean").min(axis=0)
    np.testing.assert_allclose(squares + np.square(centroids).sum(axis=1), least, atol=1e-9)
    with Local(tmp_path / "scratch"):
        assert distinct_nearest(shards(tmp_path / "points", X), centroids) == len(np.unique(wanted))


@pytest.mark.parametrize("empty", [[3], [0, 5, 6, 7]])
def test_centroids_without_points_take_the_farthest(empty: list[int], tmp_path: Path) -> None:
    """By hand: of the points in the order of their distances, those that leave another in their cluster."""
    random = np.random.default_rng(0)
    X, centroids = random.normal(size=(3000, 2)), random.normal(size=(8, 2))
    centroids[empty] = 1e3
    labels, distances = assign_to_nearest(X, centroids)
    farthest = np.argsort(-distances, kind="stable")[: len(empty)]
    moved = centroids.copy()
    moved[empty] = X[farthest]
    for points in (X, shards(tmp_path / "points", X)):
        given = centroids.copy()
        labels, distances, distinct = assign_all(points, given)
        np.testing.assert_array_equal(given, moved)
        np.testing.assert_array_equal(labels[:] if points is X else labels.array(), assign_to_nearest(X, moved)[0])
        assert distinct == 8


def test_a_cluster_keeps_its_last_point() -> None:
    """The two farthest are alone in theirs."""
    X = np.array([[0], [1], [1], [10], [30]], np.float32)
    labels, _, distinct = assign_all(X, np.array([[0.5], [12], [33], [90], [99]], np.float32))
    assert sorted(labels.tolist()) == [0, 1, 2, 3, 4]
    assert distinct == 4
