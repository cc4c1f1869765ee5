"""Nearest neighbours against all distances, and the graph that they make."""

from pathlib import Path

import numpy as np
import pytest
from shards import shards
from sklearn.datasets import make_blobs
from sklearn.metrics import pairwise_distances

from fewlabels import pool
from fewlabels.dask_cluster import connected
from fewlabels.features import neighbours
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.pool import Pool
from fewlabels.run import Local


@pytest.fixture(params=["all pairs", "lists"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for few rows holds for many."""
    monkeypatch.setattr(neighbours, "FEW", 10**9 if request.param == "all pairs" else 0)


@pytest.fixture
def by_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "FEW", 0)


def clustered(rows: int) -> np.ndarray:
    points, _ = make_blobs(rows, 8, centers=rows // 20, cluster_std=2.0, random_state=0)
    return points.astype(np.float32)


@pytest.mark.usefixtures("either_way")
def test_neighbours_are_the_nearest_others() -> None:
    features = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    distances = pairwise_distances(features)
    np.fill_diagonal(distances, np.inf)
    found = nearest_neighbours(features)
    assert found.dtype == np.int32
    for row, others in enumerate(found):
        assert set(others) == set(np.argsort(distances[row])[:5])
    assert nearest_neighbours(features[:3]).shape == (3, 2)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("offset", "size"), [(0, 1e-29), (0, 1e26), (1e6, 1), (1e8, 1)])
def test_neighbours_are_the_same_far_from_zero_and_in_any_unit(offset: float, size: float) -> None:
    features = np.random.default_rng(0).integers(0, 1000, size=(60, 3)).astype(np.float64)
    np.testing.assert_array_equal(nearest_neighbours((features + offset) * size), nearest_neighbours(features))


def exact_neighbours(features: np.ndarray, count: int) -> list[set[int]]:
    """By differences, which no distance to zero makes inexact."""
    squares = np.square(features[:, None] - features).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    return [set(row[:count].tolist()) for row in squares.argsort(axis=1)]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("far", [1e6, 1e9, 1e29, 1e150])
def test_an_outlier_does_not_change_the_neighbours_of_others(far: float) -> None:
    features = np.random.default_rng(0).normal(size=(40, 3))
    found = nearest_neighbours(np.append(features, np.full((1, 3), far), axis=0))
    assert [set(row) for row in found[:40].tolist()] == exact_neighbours(features, 5)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("far", [1e2, 1e4, 1e6])
def test_neighbours_in_two_groups_far_from_each_other(far: float) -> None:
    features = np.random.default_rng(0).normal(size=(60, 3))
    features[:20] += far
    assert [set(row) for row in nearest_neighbours(features).tolist()] == exact_neighbours(features, 5)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("far", [1e9, 1e12])
def test_groups_too_far_from_each_other_are_refused(far: float) -> None:
    features = np.random.default_rng(0).normal(size=(60, 3))
    features[:20] += far
    with pytest.raises(ValueError, match=r"^features: row \d+ is too far from the medians to tell its neighbours"):
        nearest_neighbours(features)


@pytest.mark.usefixtures("either_way")
def test_copies_far_from_the_others_are_neighbours_of_each_other() -> None:
    features = np.random.default_rng(0).normal(size=(60, 3))
    features[:6] = 1e12
    assert [set(row) for row in nearest_neighbours(features)[:6].tolist()] == [set(range(6)) - {i} for i in range(6)]
    features[:6] *= 1 + 1e-15 * np.arange(6)[:, None]  # but for rounding
    assert all(set(row) <= set(range(6)) for row in nearest_neighbours(features)[:6].tolist())


@pytest.mark.usefixtures("either_way")
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
    with pytest.raises(ValueError, match=r"features: row \d+ is too far"):
        nearest_neighbours(1e-170 * np.arange(30.0)[:, None])


@pytest.mark.usefixtures("either_way")
def test_one_image_has_no_neighbour() -> None:
    assert nearest_neighbours(np.ones((1, 3), np.float32)).shape == (1, 0)


@pytest.mark.usefixtures("by_lists")
def test_lists_find_nearly_all_neighbours() -> None:
    features = clustered(3000)
    squares = pairwise_distances(features.astype(np.float64), squared=True)
    np.fill_diagonal(squares, np.inf)
    nearest = squares.argsort(axis=1, kind="stable")[:, :5]
    found = nearest_neighbours(features)
    shared = [len(set(mine) & set(true)) for mine, true in zip(found.tolist(), nearest.tolist(), strict=True)]
    assert np.mean(shared) > 0.99 * 5
    assert np.mean(found == nearest) > 0.98  # the nearest first
    assert not np.any(found == np.arange(3000)[:, None])


def test_of_more_rows_more_lists_are_looked_at() -> None:
    assert [neighbours._probes(n) for n in (5_001, 60_000, 240_000, 1_000_000, 10**9)] == [16, 16, 22, 32, 32]


@pytest.mark.usefixtures("by_lists")
def test_fewer_lists_find_fewer_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    every = nearest_neighbours(clustered(3000))
    monkeypatch.setattr(neighbours, "PROBES", (1, 1))
    assert 0.3 < np.mean(nearest_neighbours(clustered(3000)) == every) < 0.98


@pytest.mark.usefixtures("by_lists")
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_of_equally_near_rows_the_lower_ones_are_taken(dtype: type) -> None:
    features = np.random.default_rng(0).integers(0, 4, size=(200, 3)).astype(dtype)
    squares = np.square(features[:, None] - features.astype(np.float64)).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    np.testing.assert_array_equal(nearest_neighbours(features), squares.argsort(axis=1, kind="stable")[:, :5])


@pytest.mark.usefixtures("by_lists")
def test_many_copies_have_the_lowest_of_them_as_neighbours() -> None:
    features = np.append(np.ones((3000, 4), np.float32), clustered(40)[:, :4], axis=0)
    found = nearest_neighbours(features)
    assert found[:3].tolist() == [[1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [0, 1, 3, 4, 5]]
    assert np.all(found[6:3000] == np.arange(5))
    assert np.all(nearest_neighbours(np.ones((70, 2)))[6:] == np.arange(5))


@pytest.mark.usefixtures("by_lists")
def test_a_row_whose_lists_have_too_few_others_looks_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(60, 3))
    monkeypatch.setattr(neighbours, "PROBES", (1, 1))
    found = nearest_neighbours(features, 40)
    assert [set(row) for row in found.tolist()] == exact_neighbours(features, 40)
    assert nearest_neighbours(features, 100).shape == (60, 59)
    assert all(len({row, *others}) == 60 for row, others in enumerate(nearest_neighbours(features, 100).tolist()))


@pytest.mark.usefixtures("by_lists")
@pytest.mark.parametrize("chunk", [40, 128, 1000])
def test_a_pool_on_disk_has_the_neighbours_of_the_array(chunk: int, tmp_path: Path) -> None:
    features = clustered(400)
    features[350] = 1e9
    features[200:240] = features[20]
    with Local(tmp_path / "scratch"):
        found = nearest_neighbours(shards(tmp_path / "features", features, chunk))
        assert isinstance(found, Pool)
        assert found.chunk == min(chunk, 400)
        np.testing.assert_array_equal(found.array(), nearest_neighbours(features))


def test_few_rows_of_a_pool_have_the_neighbours_of_the_array(tmp_path: Path) -> None:
    features = clustered(100)
    found = nearest_neighbours(shards(tmp_path, features, 30))
    assert found.chunk == 30
    np.testing.assert_array_equal(found.array(), nearest_neighbours(features))
    assert nearest_neighbours(Pool(features[:1])).shape == (1, 0)


@pytest.mark.usefixtures("by_lists")
def test_an_infinite_feature_of_a_pool_is_refused(tmp_path: Path) -> None:
    features = clustered(3000)
    features[1234, 3] = np.inf
    with pytest.raises(ValueError, match="features contains infinity"), Local(tmp_path / "scratch"):
        nearest_neighbours(shards(tmp_path / "features", features, 500))


class ByChunks(Local):
    """Computes arrays a chunk at a time, as a cluster does."""

    def _in_memory(self, work: object) -> bool:
        return False


@pytest.mark.usefixtures("by_lists")
def test_an_array_by_chunks_has_the_same_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a row is so large that a chunk of features has fewer rows than one of other numbers."""
    features = np.random.default_rng(0).normal(size=(2500, 48))
    alone = nearest_neighbours(features)
    monkeypatch.setattr(pool, "CHUNK_BYTES", 1024 * features[0].nbytes)
    assert (Pool(features).chunk, Pool(alone).chunk) == (1024, 19456)
    with ByChunks(tmp_path / "scratch"):
        np.testing.assert_array_equal(nearest_neighbours(features), alone)


@pytest.mark.usefixtures("by_lists")
def test_a_cluster_finds_the_same_neighbours(tmp_path: Path) -> None:
    features = clustered(300)
    with connected("local", tmp_path / "scratch", workers=1, chunk=64):
        found = nearest_neighbours(shards(tmp_path / "features", features, 64)).array()
    np.testing.assert_array_equal(found, nearest_neighbours(features))
