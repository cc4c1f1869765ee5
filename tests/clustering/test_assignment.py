"""Distances to centroids, and the nearest of them."""

import numpy as np

from fewlabels.clustering.assignment import distinct_nearest


def test_an_image_nearest_to_two_centroids_counts_once() -> None:
    images = np.array([[0, 0], [10, 0], [20, 0]], np.float32)
    assert distinct_nearest(images, np.array([[1, 0], [-1, 0], [11, 0]], np.float32)) == 2
    assert distinct_nearest(images, images) == 3
