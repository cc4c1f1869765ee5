"""k-means of more points than are computed with at once, and of pools: the same as of an array, and as good."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from shards import shards
from sklearn.exceptions import ConvergenceWarning

from fewlabels.clustering import kmeans, refinement
from fewlabels.clustering.kmeans import KMeans
from fewlabels.clustering.refinement import sample_size, sampled_rows
from fewlabels.dask_cluster import connected
from fewlabels.pool import Pool
from fewlabels.run import Local

CHUNK = 1024


@pytest.fixture(autouse=True)
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes more than 120,000 points happens from 1,001 on."""
    monkeypatch.setattr(refinement, "SAMPLE_ROWS", 1000)
    monkeypatch.setattr(refinement, "ROWS_PER_CLUSTER", 1)


def points(n: int = 5000, d: int = 70, dtype: Any = np.float32) -> NDArray[Any]:
    """Few dimensions that matter among many that hardly do, like images."""
    random = np.random.default_rng(0)
    X = 40 * random.normal(size=(n, 6)) @ random.normal(size=(6, d)) + 10 * random.normal(size=(n, d)) + 128
    return X.clip(0, 255).astype(dtype) if dtype == np.uint8 else X.astype(dtype)


def fitted(model: KMeans) -> list[Any]:
    rows = [one.array() if isinstance(one, Pool) else one for one in (model.labels_, model.distances_)]
    return [model.cluster_centers_.tobytes(), *(one.tobytes() for one in rows), model.inertia_, model.n_iter_]


# ---- a pool is clustered as an array


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(("n", "k"), [(5000, 150), (5000, 5), (900, 20)], ids=["many", "few clusters", "few points"])
def test_a_pool_gives_the_bits_of_an_array(dtype: Any, n: int, k: int, tmp_path: Path) -> None:
    X = points(n, dtype=dtype)
    whole = KMeans(k, random_state=0).fit(X)
    for chunk in (CHUNK, 2 * CHUNK):
        with Local(tmp_path / "scratch"):
            pool = shards(tmp_path / str(chunk), X, chunk)
            model = KMeans(k, random_state=0).fit(pool)
            assert fitted(model) == fitted(whole)
            assert isinstance(model.labels_, Pool)
            assert isinstance(model.distances_, Pool)
            assert model.labels_.chunk == pool.chunk
            np.testing.assert_array_equal(model.predict(pool).array(), whole.predict(X))
            np.testing.assert_array_equal(model.transform(pool).array(), whole.transform(X))
            assert model.score(pool) == whole.score(X) == -whole.inertia_
    assert fitted(KMeans(k, random_state=0).fit(Pool(X))) == fitted(whole)
    assert fitted(KMeans(k, random_state=1).fit(X)) != fitted(whole)


def test_points_of_many_coordinates_are_not_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """900 points would be few, but for their coordinates."""
    X = points(900)
    few = KMeans(20, random_state=0).fit(X)
    monkeypatch.setattr(kmeans, "NUMBERS", X.size - 1)
    monkeypatch.setattr(kmeans, "_clustered", lambda *_: pytest.fail("all points at once"))
    refined = KMeans(20, random_state=0).fit(X)
    assert refined.inertia_ < 1.02 * few.inertia_
    with Local(tmp_path / "scratch"):
        assert fitted(KMeans(20, random_state=0).fit(shards(tmp_path / "points", X))) == fitted(refined)


def test_workers_give_the_bits_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement, "ROUNDS", 2)
    X = points(3000)
    pool = shards(tmp_path / "points", X)
    with connected("local", tmp_path / "scratch", workers=2, chunk=1):
        found = fitted(KMeans(150, random_state=0).fit(pool))
    assert found == fitted(KMeans(150, random_state=0).fit(X))


def test_the_number_of_threads_does_not_change_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    many = fitted(KMeans(150, random_state=0).fit(points()))
    monkeypatch.setattr("fewlabels.threads.thread_count", lambda: 1)
    assert fitted(KMeans(150, random_state=0).fit(points())) == many


# ---- how good the clusters are


@pytest.mark.parametrize("k", [8, 60])
def test_the_inertia_is_near_that_of_all_points_at_once(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X, seeds = points(12_000, 20), range(3)
    monkeypatch.setattr(refinement, "ROWS_PER_CLUSTER", 60)
    refined = np.mean([KMeans(k, random_state=seed).fit(X).inertia_ for seed in seeds])
    monkeypatch.setattr(refinement, "ROUNDS", 0)
    sampled = np.mean([KMeans(k, random_state=seed).fit(X).inertia_ for seed in seeds])
    monkeypatch.setattr(refinement, "SAMPLE_ROWS", 12_000)
    whole = np.mean([KMeans(k, random_state=seed).fit(X).inertia_ for seed in seeds])
    assert refined < 1.01 * whole
    if k == 60:  # few clusters are found as well in the sample
        assert refined - whole < (sampled - whole) / 2


def test_labels_distances_and_centroids_belong_together() -> None:
    X = points(dtype=np.float64) + 1e6
    model = KMeans(150, random_state=0).fit(X)
    every = cdist(X, model.cluster_centers_)
    np.testing.assert_array_equal(model.labels_, every.argmin(axis=1))
    np.testing.assert_allclose(model.distances_, every.min(axis=1), rtol=1e-5)
    means = np.array([X[model.labels_ == j].mean(axis=0) for j in range(150)])
    apart = np.linalg.norm(model.cluster_centers_ - means, axis=1)
    assert np.median(apart) < 0.02 * np.median(model.distances_)  # the last few points have moved since


def test_means_are_those_of_numpy_and_an_empty_cluster_has_the_one_given() -> None:
    X, labels = points(3000), np.arange(3000, dtype=np.int32) % 7
    origin = np.full(70, 128.0)
    given = np.arange(8 * 70.0).reshape(8, 70)
    before = labels.copy()
    before[[5, 2999]] = 7
    means, sizes, changed = refinement._means(X, labels, before, given, origin, 256.0)
    wanted = [X[labels == j].mean(axis=0, dtype=np.float64) for j in range(7)]
    np.testing.assert_allclose(means, [*wanted, given[7]], rtol=1e-7)
    assert sizes.tolist() == [429] * 4 + [428] * 3 + [0]
    assert changed == 2


# ---- no cluster is empty


def copies(distinct: int) -> NDArray[np.float32]:
    return np.repeat(points(distinct, 5), 4000 // distinct, axis=0)


@pytest.mark.parametrize("distinct", [1, 10, 40])
def test_fewer_distinct_points_than_clusters_are_dealt_out(distinct: int, tmp_path: Path) -> None:
    X = copies(distinct)
    with pytest.warns(ConvergenceWarning, match=f"is more than the number of distinct points, {distinct}"):
        whole = KMeans(60, random_state=0).fit(X)
    assert np.bincount(whole.labels_, minlength=60).min() >= 1
    np.testing.assert_allclose(whole.distances_, 0, atol=1e-6)
    with Local(tmp_path / "scratch"), pytest.warns(ConvergenceWarning):
        assert fitted(KMeans(60, random_state=0).fit(shards(tmp_path / "points", X))) == fitted(whole)


@pytest.mark.parametrize("seed", range(3))
def test_no_cluster_is_empty(seed: int) -> None:
    """Nearly as many clusters as points in the sample: many have one point, and blocks move these side by side."""
    X = points(3000, 3)
    model = KMeans(950, random_state=seed).fit(X)
    assert np.bincount(model.labels_, minlength=950).min() >= 1
    np.testing.assert_allclose(model.distances_, cdist(X, model.cluster_centers_).min(axis=1), rtol=1e-3, atol=1e-4)


# ---- outliers, and what is refused


def test_outliers_are_clustered_in_float64(tmp_path: Path) -> None:
    X = np.vstack([points(2500, 4), np.full((200, 4), 1e9)]).astype(np.float32)
    whole = KMeans(6, random_state=0).fit(X)
    assert set(whole.labels_[2500:]).isdisjoint(whole.labels_[:2500])
    np.testing.assert_allclose(whole.distances_[:2500], cdist(X[:2500], whole.cluster_centers_).min(axis=1), rtol=1e-4)
    with Local(tmp_path / "scratch"):
        pool = shards(tmp_path / "points", X)
        model = KMeans(6, random_state=0).fit(pool)
        assert fitted(model) == fitted(whole)
        np.testing.assert_array_equal(model.transform(pool).array(), whole.transform(X))


def test_the_sample_of_points_with_outliers_has_one_for_each_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where memory holds fewer points than there are clusters, as of many dimensions."""
    monkeypatch.setattr(kmeans, "NUMBERS", 8)
    X = np.vstack([points(300, 4), np.full((1, 4), 1e9)]).astype(np.float32)
    model = KMeans(6, random_state=0).fit(X)
    assert np.bincount(model.labels_, minlength=6).min() >= 1


@pytest.mark.parametrize(("value", "message"), [(np.nan, "X: row 2047 contains NaN"), (-np.inf, "2047 .* infinity")])
def test_the_row_of_what_is_no_number_is_named(value: float, message: str, tmp_path: Path) -> None:
    X = points(3000, 3)
    model = KMeans(5, random_state=0).fit(X)
    X[[2047, 2999], 2] = value
    pool = shards(tmp_path, X)
    for method in (KMeans(5).fit, model.predict, model.transform, model.score):
        with pytest.raises(ValueError, match=message):
            method(pool)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((5, 2), np.int64), "X: a pool of int64, not of float64, float32 or uint8"),
        (np.zeros(5), r"X: a pool of shape \(5,\), not"),
        (np.zeros((0, 3)), r"X: a pool of shape \(0, 3\), not"),
        (np.zeros((2, 3)), "n_clusters: 3 is more than the number of samples, 2"),
    ],
)
def test_pools_that_are_none_of_points_are_refused(X: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KMeans(3).fit(Pool(X))


def test_a_pool_of_other_features_than_fitted_to_is_refused() -> None:
    model = KMeans(3, random_state=0).fit(Pool(points(50, 3)))
    with pytest.raises(ValueError, match="X has 4 features, but KMeans is expecting 3 features"):
        model.predict(Pool(points(50, 4)))


# ---- the sample


@pytest.mark.parametrize(("n", "count"), [(10, 10), (1000, 7), (1000, 999)])
def test_rows_are_drawn_from_stretches_of_equal_length(n: int, count: int) -> None:
    drawn = np.array([sampled_rows(n, count, np.random.RandomState(seed)) for seed in range(20)])
    assert (np.diff(drawn, axis=1) > 0).all()
    assert drawn.min() >= 0
    assert drawn.max() < n
    assert (np.abs(drawn - (np.arange(count) + 0.5) * n / count) <= n / count / 2 + 1).all()
    assert n == count or len(np.unique(drawn, axis=0)) > 1


def test_the_sample_has_enough_points_for_each_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement, "ROWS_PER_CLUSTER", 60)
    assert (sample_size(10), sample_size(100)) == (1000, 6000)
