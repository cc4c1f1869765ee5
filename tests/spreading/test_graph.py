"""Label spreading against a dense solution of its equation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shards import shards

from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.pool import as_pool
from fewlabels.run import Local
from fewlabels.spreading import graph
from fewlabels.spreading.graph import ChunkedGraph, neighbour_graph, spread_over_graph


def test_the_graph_is_symmetric_and_normalised() -> None:
    joined = neighbour_graph(np.array([[1], [0], [1], [4], [3]], np.int32)).toarray()
    half = 1 / np.sqrt(2)
    wanted = np.zeros((5, 5))
    wanted[0, 1] = wanted[1, 0] = wanted[1, 2] = wanted[2, 1] = half
    wanted[3, 4] = wanted[4, 3] = 1
    np.testing.assert_allclose(joined, wanted, rtol=1e-6)


def test_a_graph_of_float32_is_what_joins_float32() -> None:
    assert neighbour_graph(np.array([[1], [0]], np.int32)).dtype == np.float32


def test_one_image_is_joined_with_none() -> None:
    assert neighbour_graph(nearest_neighbours(np.ones((1, 3), np.float32))).toarray().tolist() == [[0]]


@pytest.mark.parametrize("weight", [0.5, 0.85, 0.99])
def test_spreading_is_the_solution_of_its_equation(weight: float) -> None:
    """F = w S F + (1 - w) F0, solved densely; then each row made to sum to 1."""
    features = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    joined = neighbour_graph(nearest_neighbours(features))
    start = np.random.default_rng(0).dirichlet([1, 1, 1], 80).astype(np.float32)
    solved = np.linalg.solve(np.eye(80) - weight * joined.toarray(), (1 - weight) * start)
    found = spread_over_graph(start, joined, weight)
    np.testing.assert_allclose(found, solved / solved.sum(axis=1, keepdims=True), atol=2e-4)
    np.testing.assert_allclose(spread_over_graph(start, joined, 0.0), start, rtol=1e-6)


def test_few_steps_are_enough() -> None:
    """The error falls by w / (1 + sqrt(1 - w * w)) in a step. Without the rates it falls by w: 14 and 57 steps."""
    assert [len(graph._rates(weight)) for weight in (0, 1e-30, 0.5, 0.85)] == [0, 1, 9, 21]


def test_what_is_below_zero_is_zero() -> None:
    """The last steps may leave a class of which an image has next to nothing a little below 0."""
    found = graph._normalised(slice(0, 2), np.array([[-1e-6, 2, 2], [0, 0, 1e-3]], np.float32))
    np.testing.assert_allclose(found, [[0, 0.5, 0.5], [0, 0, 1]])


@pytest.mark.parametrize("weight", [0, 0.5])
def test_rows_of_any_sum_are_normalised(weight: float) -> None:
    joined = neighbour_graph(np.array([[1], [0]], np.int32))
    start = np.array([[5, 0], [1, 4]], np.float32)
    found = spread_over_graph(start, joined, weight)
    np.testing.assert_allclose(found, spread_over_graph(start / 5, joined, weight), rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert start.tolist() == [[5, 0], [1, 4]]


def test_an_image_joined_to_none_keeps_what_it_has() -> None:
    joined = neighbour_graph(np.array([[1], [0], [1]], np.int32))
    alone = joined.tolil()
    alone[2, :] = alone[:, 2] = 0
    start = np.array([[1, 0], [0, 1], [0.3, 0.7]], np.float32)
    found = spread_over_graph(start, alone.tocsr(), 0.5)
    np.testing.assert_allclose(found[2], start[2], rtol=1e-5)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("weight", [-0.1, 1, 1.5, np.nan, "x", "0.5", None, [0.5]])
def test_a_weight_outside_its_range_is_refused(weight: Any) -> None:
    joined = neighbour_graph(np.array([[1], [0]], np.int32))
    with pytest.raises(ValueError, match=r"neighbour_weight: .* is not between 0 and below 1"):
        spread_over_graph(np.eye(2, dtype=np.float32), joined, weight)


@pytest.mark.parametrize("row", [[0, 0], [1.5, -0.5], [np.nan, 1], [np.inf, 1]])
@pytest.mark.parametrize("weight", [0, 0.5])
def test_a_row_that_is_no_probability_is_refused(row: list[float], weight: float) -> None:
    joined = neighbour_graph(np.array([[1], [0]], np.int32))
    with pytest.raises(ValueError, match="probabilities: row 1 is not 0 or more with a sum above 0"):
        spread_over_graph(np.array([[1, 0], row], np.float32), joined, weight)


def test_a_graph_of_other_images_is_refused() -> None:
    joined = neighbour_graph(np.array([[1], [0]], np.int32))
    with pytest.raises(ValueError, match=r"graph: shape \(2, 2\), and 3 rows"):
        spread_over_graph(np.eye(3, dtype=np.float32), joined, 0.5)


@pytest.mark.parametrize("weight", [1e-30, 0.999])
def test_weights_near_the_ends_leave_no_gap(weight: float) -> None:
    joined = neighbour_graph(np.array([[1], [0]], np.int32))
    spread = spread_over_graph(np.eye(2, dtype=np.float32), joined, weight)
    np.testing.assert_allclose(spread.sum(axis=1), 1, rtol=1e-5)


# ---- pools


def neighbours_with_a_hub(count: int, k: int = 3) -> NDArray[np.int32]:
    """Neighbours by lot, but the first is everybody's, and the last has none that names it."""
    random = np.random.default_rng(0)
    others = np.arange(1, count - 1)
    neighbours = np.array([random.choice(others[others != row], k, replace=False) for row in range(count)], np.int32)
    neighbours[1:, 0] = 0
    return neighbours


@pytest.mark.parametrize("chunk", [16, 33, 100])
@pytest.mark.parametrize("scratch", [True, False])
def test_spreading_over_a_pool_is_that_over_the_array(chunk: int, scratch: bool, tmp_path: Path) -> None:
    neighbours = neighbours_with_a_hub(100)
    start = np.random.default_rng(1).dirichlet([0.3, 1, 1], 100).astype(np.float32)
    wanted = neighbour_graph(neighbours)
    with Local(tmp_path / "scratch" if scratch else None):
        joined = neighbour_graph(shards(tmp_path / "neighbours", neighbours, chunk))
        assert isinstance(joined, ChunkedGraph)
        assert joined.shape == wanted.shape
        probabilities = shards(tmp_path / "start", start, chunk)
        for weight in (0, 0.5, 0.9):
            found = spread_over_graph(probabilities, joined, weight)
            np.testing.assert_array_equal(found.array(), spread_over_graph(start, wanted, weight))
            found.remove()
        left = [path for path in (tmp_path / "scratch").rglob("rows-*") if path.is_dir()]
        assert left == [joined.parts.path] * scratch, "steps that are done are removed"
        in_memory = spread_over_graph(start, joined, 0.5)
        np.testing.assert_array_equal(as_pool(in_memory).array(), spread_over_graph(start, wanted, 0.5))
        by_matrix = spread_over_graph(probabilities, wanted, 0.5)
        np.testing.assert_array_equal(by_matrix.array(), spread_over_graph(start, wanted, 0.5))


def test_the_parts_of_a_graph_have_the_entries_of_the_matrix(tmp_path: Path) -> None:
    neighbours = neighbours_with_a_hub(50)
    wanted = neighbour_graph(neighbours)
    parts = neighbour_graph(shards(tmp_path / "neighbours", neighbours, 20)).parts
    for number in range(3):
        part, own = parts.take([number])[0], wanted[20 * number : 20 * (number + 1)]
        assert part["starts"][: own.shape[0] + 1].tolist() == own.indptr.tolist()
        np.testing.assert_array_equal(part["neighbours"][part["columns"][: own.nnz]], own.indices)
        np.testing.assert_array_equal(part["weights"][: own.nnz], own.data)


def test_a_pool_without_neighbours_keeps_its_probabilities(tmp_path: Path) -> None:
    start = np.random.default_rng(1).dirichlet([1, 1], 5).astype(np.float32)
    joined = neighbour_graph(shards(tmp_path / "none", np.empty((5, 0), np.int32), 2))
    found = spread_over_graph(shards(tmp_path / "start", start, 2), joined, 0.5)
    np.testing.assert_allclose(found.array(), start, rtol=1e-5)


@pytest.mark.parametrize("wrong", [-1, 5])
def test_a_neighbour_that_is_no_image_is_refused(wrong: int, tmp_path: Path) -> None:
    neighbours = np.array([[1], [0], [1], [wrong], [3]], np.int32)
    with pytest.raises(ValueError, match="neighbours: one of row 3 is none of 5 images"):
        neighbour_graph(shards(tmp_path / "wrong", neighbours, 2))


def test_the_first_wrong_row_of_a_pool_is_named(tmp_path: Path) -> None:
    start = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]]
    start[3:] = np.nan
    joined = neighbour_graph(shards(tmp_path / "neighbours", np.array([[1], [0], [1], [2], [3]], np.int32), 2))
    with pytest.raises(ValueError, match="probabilities: row 3 is not 0 or more"):
        spread_over_graph(shards(tmp_path / "start", start, 2), joined, 0.5)
