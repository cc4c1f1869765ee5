"""Distances to centroids, and the nearest of them."""

import numpy as np

from fewlabels.clustering.assignment import assign_to_nearest, distances_to_centroids, distinct_nearest


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
