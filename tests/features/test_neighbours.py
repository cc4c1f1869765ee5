"""Nearest neighbours against all distances, and the graph that they make."""

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from fewlabels.features.neighbours import nearest_neighbours, neighbour_graph


def test_neighbours_are_the_nearest_others() -> None:
    features = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    distances = pairwise_distances(features)
    np.fill_diagonal(distances, np.inf)
    found = nearest_neighbours(features)
    assert found.dtype == np.int32
    for row, others in enumerate(found):
        assert set(others) == set(np.argsort(distances[row])[:5])
    assert nearest_neighbours(features[:3]).shape == (3, 2)


@pytest.mark.parametrize(("offset", "size"), [(0, 1e-29), (0, 1e26), (1e6, 1), (1e8, 1)])
def test_neighbours_are_the_same_far_from_zero_and_in_any_unit(offset: float, size: float) -> None:
    features = np.random.default_rng(0).integers(0, 1000, size=(60, 3)).astype(np.float64)
    np.testing.assert_array_equal(nearest_neighbours((features + offset) * size), nearest_neighbours(features))


def test_one_image_has_no_neighbour() -> None:
    assert nearest_neighbours(np.ones((1, 3), np.float32)).shape == (1, 0)
    assert neighbour_graph(nearest_neighbours(np.ones((1, 3), np.float32))).toarray().tolist() == [[0]]


def test_the_graph_is_symmetric_and_normalised() -> None:
    joined = neighbour_graph(np.array([[1], [0], [1], [4], [3]], np.int32)).toarray()
    half = 1 / np.sqrt(2)
    wanted = np.zeros((5, 5))
    wanted[0, 1] = wanted[1, 0] = wanted[1, 2] = wanted[2, 1] = half
    wanted[3, 4] = wanted[4, 3] = 1
    np.testing.assert_allclose(joined, wanted, rtol=1e-6)


def test_a_graph_of_float32_is_what_joins_float32() -> None:
    assert neighbour_graph(np.array([[1], [0]], np.int32)).dtype == np.float32
