"""Nearest neighbours against all distances, and the graph that they make."""

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from fewlabels.features.neighbours import nearest_neighbours


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


def exact_neighbours(features: np.ndarray, count: int) -> list[set[int]]:
    """By differences, which no distance to zero makes inexact."""
    squares = np.square(features[:, None] - features).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    return [set(row[:count].tolist()) for row in squares.argsort(axis=1)]


@pytest.mark.parametrize("far", [1e6, 1e9, 1e29, 1e150])
def test_an_outlier_does_not_change_the_neighbours_of_others(far: float) -> None:
    features = np.random.default_rng(0).normal(size=(40, 3))
    found = nearest_neighbours(np.append(features, np.full((1, 3), far), axis=0))
    assert [set(row) for row in found[:40].tolist()] == exact_neighbours(features, 5)


@pytest.mark.parametrize("far", [1e2, 1e4, 1e6])
def test_neighbours_in_two_groups_far_from_each_other(far: float) -> None:
    features = np.random.default_rng(0).normal(size=(60, 3))
    features[:20] += far
    assert [set(row) for row in nearest_neighbours(features).tolist()] == exact_neighbours(features, 5)


@pytest.mark.parametrize("far", [1e9, 1e12])
def test_groups_too_far_from_each_other_are_refused(far: float) -> None:
    features = np.random.default_rng(0).normal(size=(60, 3))
    features[:20] += far
    with pytest.raises(ValueError, match=r"^features: row 0 is too far from the medians to tell its neighbours"):
        nearest_neighbours(features)


def test_copies_far_from_the_others_are_neighbours_of_each_other() -> None:
    features = np.random.default_rng(0).normal(size=(60, 3))
    features[:6] = 1e12
    assert [set(row) for row in nearest_neighbours(features)[:6].tolist()] == [set(range(6)) - {i} for i in range(6)]
    features[:6] *= 1 + 1e-15 * np.arange(6)[:, None]  # but for rounding
    assert all(set(row) <= set(range(6)) for row in nearest_neighbours(features)[:6].tolist())


@pytest.mark.filterwarnings("error")
def test_features_without_a_distance_are_refused() -> None:
    features = np.random.default_rng(0).normal(size=(10, 3))
    for value, message in (
        (np.nan, "features contains NaN"),
        (np.inf, "features contains infinity"),
        (1e160, "features: the square of a distance overflows, as in row 4"),
    ):
        features[4, 1] = value
        with pytest.raises(ValueError, match=message):
            nearest_neighbours(features)
    with pytest.raises(ValueError, match="features: row 0 is too far"):
        nearest_neighbours(1e-170 * np.arange(30.0)[:, None])


def test_one_image_has_no_neighbour() -> None:
    assert nearest_neighbours(np.ones((1, 3), np.float32)).shape == (1, 0)
