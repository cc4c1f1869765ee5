"""Label spreading against a dense solution of its equation."""

import numpy as np
import pytest

from fewlabels.features.neighbours import nearest_neighbours, neighbour_graph
from fewlabels.spreading.graph import spread_over_graph


@pytest.mark.parametrize("weight", [0.5, 0.9])
def test_spreading_is_the_solution_of_its_equation(weight: float) -> None:
    """F = w S F + (1 - w) F0, solved densely; then each row made to sum to 1."""
    features = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    joined = neighbour_graph(nearest_neighbours(features))
    start = np.random.default_rng(0).dirichlet([1, 1, 1], 80).astype(np.float32)
    solved = np.linalg.solve(np.eye(80) - weight * joined.toarray(), (1 - weight) * start)
    found = spread_over_graph(start, joined, weight)
    np.testing.assert_allclose(found, solved / solved.sum(axis=1, keepdims=True), atol=1e-3)
    np.testing.assert_array_equal(spread_over_graph(start, joined, 0.0), start)


def test_an_image_joined_to_none_keeps_what_it_has() -> None:
    joined = neighbour_graph(np.array([[1], [0], [1]], np.int32))
    alone = joined.tolil()
    alone[2, :] = alone[:, 2] = 0
    start = np.array([[1, 0], [0, 1], [0.3, 0.7]], np.float32)
    found = spread_over_graph(start, alone.tocsr(), 0.5)
    np.testing.assert_allclose(found[2], start[2], rtol=1e-5)
    assert np.isfinite(found).all()
