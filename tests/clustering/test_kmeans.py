"""k-means and distances against scikit-learn and brute force: what holds for any algorithm behind the interface."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.cluster import KMeans as Reference
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fewlabels.clustering.assignment import CHUNK, assign_to_nearest, distances_to_centroids
from fewlabels.clustering.kmeans import KMeans

Floats = NDArray[np.float32]

pytestmark = pytest.mark.filterwarnings("ignore:n_clusters. .* is more than the number of distinct points")


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """A loop without end is a failure, not a wait."""

    def stop(*_: object) -> None:
        raise TimeoutError("not done after 20 s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def blobs() -> Floats:
    points, _ = make_blobs(800, n_features=10, centers=12, cluster_std=3, random_state=0)
    return points.astype(np.float32)


def correlated() -> Floats:
    """Few dimensions that matter among many that hardly do, like images."""
    return normal(800, 6) @ normal(6, 60, seed=1) + np.float32(0.3) * normal(800, 60, seed=2)


def pixels(n: int = 300, d: int = 20) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, d), np.uint8)


def fitted(model: KMeans) -> list[bytes]:
    return [
        model.cluster_centers_.tobytes(),
        model.labels_.tobytes(),
        model.distances_.tobytes(),
        np.float64(model.inertia_).tobytes(),
    ]


@parametrize_with_checks([KMeans(n_clusters=3, random_state=0)])
def test_it_keeps_the_conventions_of_scikit_learn(estimator: KMeans, check: Callable[[KMeans], None]) -> None:
    check(estimator)


# ---- how good the clusters are


@pytest.mark.parametrize("data", [blobs, correlated])
def test_the_inertia_is_no_worse_than_scikit_learns(data: Callable[[], Floats]) -> None:
    """On average over seeds: each ends in a local optimum of its own."""
    X, seeds = data(), range(6)
    ours = np.mean([KMeans(40, random_state=seed).fit(X).inertia_ for seed in seeds])
    theirs = np.mean([Reference(40, n_init=1, random_state=seed).fit(X).inertia_ for seed in seeds])
    assert ours <= 1.01 * theirs


@pytest.mark.parametrize("seed", range(3))
def test_clusters_far_apart_are_found(seed: int) -> None:
    X, truth = make_blobs(300, n_features=5, centers=10 * np.eye(5), cluster_std=0.1, random_state=seed)
    assert adjusted_rand_score(truth, KMeans(5, random_state=seed).fit(X).labels_) == 1


def test_one_cluster_is_the_mean() -> None:
    X = blobs()
    model = KMeans(1, random_state=0).fit(X)
    np.testing.assert_allclose(model.cluster_centers_, X.mean(axis=0, keepdims=True, dtype=np.float64), rtol=1e-4)
    assert model.inertia_ == pytest.approx(len(X) * X.var(axis=0, dtype=np.float64).sum(), rel=1e-5)


# ---- what the attributes mean


@pytest.mark.parametrize("data", [blobs, correlated])
def test_labels_distances_and_inertia_belong_together(data: Callable[[], Floats]) -> None:
    X = data()
    model = KMeans(30, random_state=0).fit(X)
    every = cdist(X.astype(np.float64), model.cluster_centers_.astype(np.float64))
    np.testing.assert_array_equal(model.labels_, every.argmin(axis=1))
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    np.testing.assert_allclose(model.distances_, every.min(axis=1), rtol=1e-5)
    assert model.inertia_ == pytest.approx(np.sum(model.distances_.astype(np.float64) ** 2), rel=1e-6)
    assert isinstance(model.inertia_, float)
    assert model.n_iter_ >= 1


def test_types_and_shapes() -> None:
    model = KMeans(7, random_state=0).fit(blobs())
    assert (model.cluster_centers_.dtype, model.cluster_centers_.shape) == (np.float64, (7, 10))
    assert (model.labels_.dtype, model.labels_.shape) == (np.int32, (800,))
    assert (model.distances_.dtype, model.distances_.shape) == (np.float32, (800,))
    assert model.predict(blobs()).dtype == np.int32
    assert list(model.get_feature_names_out()) == [f"kmeans{column}" for column in range(7)]


def test_new_points_are_compared_with_every_centroid() -> None:
    model, new = KMeans(30, random_state=0).fit(correlated()), 3 * normal(50, 60, seed=5)
    wanted = euclidean_distances(new, model.cluster_centers_)
    distances = model.transform(new)
    assert distances.dtype == np.float32
    np.testing.assert_allclose(distances, wanted, rtol=1e-4)
    np.testing.assert_array_equal(model.predict(new), wanted.argmin(axis=1))


# ---- no cluster is empty


HARD = {
    "as many clusters as points": (normal(50, 3), 50),
    "one point": (normal(1, 3), 1),
    "fewer distinct points than clusters": (np.repeat(normal(5, 3), 10, axis=0), 20),
    "one cluster fewer than points, of which two are equal": (np.vstack([normal(20, 3), normal(1, 3)]), 20),
    "all points equal": (np.ones((30, 4), np.float32), 30),
    "one column": (normal(200, 1), 40),
    "one column of few values": (np.arange(60, dtype=np.float32).reshape(-1, 1) % 7, 10),
    "constant columns": (normal(100, 4) * np.float32([0, 1, 0, 1]) + np.float32([3, 0, -5, 0]), 30),
    "one point far away": (np.vstack([normal(100, 3), np.full((1, 3), 1000)]).astype(np.float32), 20),
    "more columns than points": (normal(20, 100), 15),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("X", "k"), HARD.values(), ids=HARD)
def test_no_cluster_is_empty(X: Floats, k: int, seed: int) -> None:
    model = KMeans(k, random_state=seed).fit(X)
    assert np.isfinite(model.cluster_centers_).all()
    assert len(model.cluster_centers_) == k
    assert model.labels_.max() < k
    assert np.bincount(model.labels_, minlength=k).min() >= 1
    every = cdist(X, model.cluster_centers_)
    np.testing.assert_allclose(model.distances_, every.min(axis=1), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(every[np.arange(len(X)), model.labels_], every.min(axis=1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("k", [5, 20, 50])
def test_as_many_clusters_as_distinct_points_leave_no_distance(k: int) -> None:
    X = np.repeat(normal(5, 3), 10, axis=0)
    np.testing.assert_allclose(KMeans(k, random_state=0).fit(X).distances_, 0, atol=1e-6)


# ---- far from zero, very large, very small


def separate(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Clusters that any good k-means finds, and which each point is of."""
    X, truth = make_blobs(600, n_features=8, centers=6 * np.eye(8)[:6], cluster_std=1, random_state=seed)
    return X, truth


@pytest.mark.parametrize("offset", [0, 100, 1e6, -1e8])
@pytest.mark.parametrize("k", [1, 6])
def test_points_far_from_zero_are_clustered_as_well(offset: float, k: int) -> None:
    X, truth = separate()
    near, far = KMeans(k, random_state=0).fit(X), KMeans(k, random_state=0).fit(X + offset)
    reference = Reference(k, n_init=5, random_state=0).fit(X)
    assert far.inertia_ == pytest.approx(reference.inertia_, rel=1e-5)
    assert far.inertia_ == pytest.approx(near.inertia_, rel=1e-6)
    assert adjusted_rand_score(near.labels_, far.labels_) == 1
    if k == 6:
        assert adjusted_rand_score(truth, far.labels_) > 0.99
    np.testing.assert_allclose(far.cluster_centers_ - offset, near.cluster_centers_, atol=1e-6)
    new = separate(seed=1)[0]
    np.testing.assert_array_equal(far.predict(new + offset), cdist(new, near.cluster_centers_).argmin(axis=1))
    np.testing.assert_allclose(far.transform(new + offset), cdist(new, near.cluster_centers_), rtol=1e-4)
    assert far.score(X + offset) == pytest.approx(-reference.inertia_, rel=1e-5)


@pytest.mark.parametrize("size", [1e-29, 1e-20, 1e-6, 1e6, 1e20, 1e29])
@pytest.mark.parametrize("k", [1, 6])
def test_very_large_and_very_small_values_give_the_same_clusters(size: float, k: int) -> None:
    """Squares of 1e20 overflow float32, those of 1e-30 are 0."""
    X, _ = separate()
    plain, scaled = KMeans(k, random_state=0).fit(X), KMeans(k, random_state=0).fit(X * size)
    assert scaled.inertia_ == pytest.approx(plain.inertia_ * size**2, rel=1e-5)
    assert adjusted_rand_score(plain.labels_, scaled.labels_) == 1
    np.testing.assert_allclose(scaled.transform(X * size), plain.transform(X) * size, rtol=1e-3)
    np.testing.assert_array_equal(scaled.predict(X * size), scaled.labels_)


def test_columns_of_very_different_offsets_are_clustered_by_the_one_that_varies() -> None:
    X, truth = separate()
    wide = np.column_stack([np.full(len(X), 1e12), X * 1e-3])
    assert adjusted_rand_score(truth, KMeans(6, random_state=0).fit(wide).labels_) > 0.99


@pytest.mark.parametrize("size", [1e-31, 1e32, 1e300, 1e308])
def test_what_float32_cannot_say_in_any_unit_is_refused(size: float) -> None:
    X, _ = separate()
    with pytest.raises(ValueError, match=r"X: values .* from their mean; 1e-30 is the least and 1e\+30 the most"):
        KMeans(6).fit(np.sign(X) * size)


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e15, 1e25])
def test_points_far_from_all_centroids_still_have_a_nearest_one(distance: float) -> None:
    X, _ = separate()
    model = KMeans(6, random_state=0).fit(X)
    directions = model.cluster_centers_ - model.cluster_centers_.mean(axis=0)
    far = directions * distance
    np.testing.assert_array_equal(model.predict(far), (directions @ directions.T).argmax(axis=1))
    np.testing.assert_array_equal(model.predict(np.vstack([far, X]))[6:], model.labels_)
    np.testing.assert_allclose(model.transform(far), cdist(far, model.cluster_centers_), rtol=1e-5)


def test_points_too_far_from_the_centroids_are_refused() -> None:
    model = KMeans(6, random_state=0).fit(separate()[0])
    for method in (model.predict, model.transform, model.score):
        with pytest.raises(ValueError, match=r"X: values 1e\+40 from"):
            method(np.full((1, 8), 1e40))


# ---- more dimensions than points


@pytest.mark.parametrize("shape", [(20, 3000), (100, 400)])
def test_wide_points_are_clustered_as_in_the_space_that_they_span(shape: tuple[int, int]) -> None:
    """Turned into as many dimensions as there are points, nothing changes but the time."""
    n, d = shape
    X, truth = make_blobs(n, n_features=d, centers=5, cluster_std=10, random_state=0)
    left, lengths, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    wide, narrow = (
        min((KMeans(5, random_state=seed).fit(points) for seed in range(5)), key=lambda one: one.inertia_)
        for points in (X, left * lengths)
    )
    assert adjusted_rand_score(wide.labels_, narrow.labels_) == 1
    assert adjusted_rand_score(wide.labels_, truth) == 1
    assert wide.inertia_ == pytest.approx(narrow.inertia_, rel=1e-5)
    np.testing.assert_array_equal(wide.predict(X), wide.labels_)


# ---- the same input, the same clusters


def test_a_seed_gives_the_same_bytes_every_time() -> None:
    X = correlated()
    first = KMeans(40, random_state=3).fit(X)
    assert fitted(KMeans(40, random_state=3).fit(X)) == fitted(first)
    assert fitted(clone(first).fit(X)) == fitted(first)
    assert fitted(first.fit(X)) == fitted(first)
    assert fitted(KMeans(40, random_state=np.random.RandomState(3)).fit(X)) == fitted(first)
    assert fitted(KMeans(40, random_state=4).fit(X)) != fitted(first)


@pytest.mark.parametrize("k", [5, 40, 200])
def test_the_number_of_threads_does_not_change_a_byte(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the compiled loops; matrix products and eigenvectors are computed on one thread each anyway."""
    X = normal(3000, 6) @ normal(6, 60, seed=1) + np.float32(0.3) * normal(3000, 60, seed=2)
    many = fitted(KMeans(k, random_state=0).fit(X))
    monkeypatch.setattr("fewlabels.threads.thread_count", lambda: 1)
    assert fitted(KMeans(k, random_state=0).fit(X)) == many


def test_few_clusters_reach_the_best_of_several_starts() -> None:
    """Random swaps leave the local optimum that one start ends in."""
    X = normal(6_000, 4) @ normal(4, 8, seed=1)
    best = Reference(8, n_init=5, random_state=0).fit(X).inertia_
    assert KMeans(8, random_state=0).fit(X).inertia_ <= 1.001 * best


def memory_map(X: Floats, folder: Path) -> Floats:
    np.save(folder / "points.npy", X)
    mapped: Floats = np.load(folder / "points.npy", mmap_mode="r")
    return mapped


VARIANTS: dict[str, Callable[[Floats, Path], Any]] = {
    "float64": lambda X, _: X.astype(np.float64),
    "uint8": lambda X, _: X.astype(np.uint8),
    "int64": lambda X, _: X.astype(np.int64),
    "Fortran order": lambda X, _: np.asfortranarray(X),
    "every other row": lambda X, _: np.repeat(X, 2, axis=0)[::2],
    "read-only memory map": memory_map,
    "lists": lambda X, _: X.tolist(),
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_the_kind_of_input_does_not_matter(variant: Callable[[Floats, Path], Any], tmp_path: Path) -> None:
    X = pixels().astype(np.float32)
    other = variant(X, tmp_path)
    before = np.array(other)
    model, same = KMeans(25, random_state=0).fit(X), KMeans(25, random_state=0).fit(other)
    assert fitted(same) == fitted(model)
    np.testing.assert_array_equal(same.predict(other), model.predict(X))
    np.testing.assert_array_equal(same.transform(other), model.transform(X))
    np.testing.assert_array_equal(other, before, err_msg="the input was written to")


def test_it_survives_joblib(tmp_path: Path) -> None:
    X = correlated()
    model = KMeans(20, random_state=0).fit(X)
    joblib.dump(model, tmp_path / "kmeans.joblib")
    loaded = joblib.load(tmp_path / "kmeans.joblib")
    assert fitted(loaded) == fitted(model)
    assert loaded.get_params() == {"n_clusters": 20, "random_state": 0}
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    np.testing.assert_array_equal(loaded.predict(X), model.labels_)


# ---- what is refused


@pytest.mark.parametrize("k", [0, -1, 2.5, 3.0, "3", True, None, np.bool_(True)])
def test_a_number_of_clusters_that_is_none_is_refused(k: Any) -> None:
    with pytest.raises(InvalidParameterError, match="'n_clusters' parameter of KMeans must be an int in the range"):
        KMeans(k).fit(normal(50, 3))


def test_a_whole_number_of_any_type_is_one() -> None:
    assert len(KMeans(np.int64(3), random_state=0).fit(normal(50, 3)).cluster_centers_) == 3


def test_a_seed_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="'random_state' parameter of KMeans"):
        KMeans(3, random_state="0").fit(normal(50, 3))  # type: ignore[arg-type]


def test_more_clusters_than_points_are_refused() -> None:
    with pytest.raises(ValueError, match="n_clusters: 51 is more than the number of samples, 50"):
        KMeans(51).fit(normal(50, 3))


@pytest.mark.parametrize(
    ("X", "distinct"),
    [(np.repeat(normal(5, 3), 10, axis=0), 5), (np.zeros((50, 784), np.uint8), 1), (1e-20 * np.ones((50, 3)), 1)],
)
def test_fewer_distinct_points_than_clusters_are_warned_of(X: Floats, distinct: int) -> None:
    with pytest.warns(
        ConvergenceWarning, match=f"n_clusters: 20 is more than the number of distinct points, {distinct}"
    ):
        model = KMeans(20, random_state=0).fit(X)
    assert np.bincount(model.labels_, minlength=20).min() >= 1
    np.testing.assert_array_equal(model.distances_, 0)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "contains NaN"), (np.inf, "contains infinity")])
def test_what_is_no_number_is_refused(value: float, message: str) -> None:
    X = normal(50, 3)
    model = KMeans(5, random_state=0).fit(X)
    X[17, 2] = value
    for method in (KMeans(5).fit, model.predict, model.transform):
        with pytest.raises(ValueError, match=message):
            method(X)


# ---- distances


@pytest.mark.parametrize("n", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_distances_against_brute_force(n: int) -> None:
    X, centroids = normal(n, 12), normal(9, 12, seed=1)
    every = np.sqrt(((X[:, None].astype(np.float64) - centroids[None]) ** 2).sum(axis=2))

    computed = distances_to_centroids(X, centroids)
    assert computed.dtype == np.float32
    np.testing.assert_allclose(computed, every, rtol=1e-4)

    labels, distances = assign_to_nearest(X, centroids)
    assert (labels.dtype, distances.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(labels, every.argmin(axis=1))
    np.testing.assert_allclose(distances, every.min(axis=1), rtol=1e-5)


def test_the_lowest_of_equally_near_centroids_is_taken() -> None:
    X = normal(40, 3)
    labels, distances = assign_to_nearest(X, np.vstack([X, X, X]))
    np.testing.assert_array_equal(labels, np.arange(40))
    np.testing.assert_array_equal(distances, 0)


def test_a_distance_to_the_point_itself_is_nothing_and_never_nan() -> None:
    """Rounding makes some of the squares negative."""
    X = normal(200, 50)
    np.testing.assert_allclose(distances_to_centroids(X, X).diagonal(), 0, atol=1e-2)


def test_no_points_have_no_distances() -> None:
    assert distances_to_centroids(normal(0, 3), normal(5, 3)).shape == (0, 5)


@pytest.mark.parametrize("far", [1e4, 1e6, 1e9])
@pytest.mark.parametrize("offset", [0, 1e6])
def test_an_outlier_leaves_the_other_clusters_as_they_are(far: float, offset: float) -> None:
    random = np.random.default_rng(0)
    truth = np.repeat(range(5), 60)
    points = random.normal(scale=0.2, size=(300, 2)) + 5 * np.array([[0, 0], [0, 1], [1, 0], [1, 1], [3, 3]])[truth]
    with_outlier = np.append(points, [[far, far]], axis=0) + offset
    # scikit-learn's seeds, which are drawn by squared distances, need not find every cluster: the best of some
    kmeans = min((KMeans(6, random_state=seed).fit(with_outlier) for seed in range(8)), key=lambda one: one.inertia_)
    assert adjusted_rand_score(truth, kmeans.labels_[:-1]) == 1
    means = np.array([points[truth == one].mean(axis=0) for one in range(5)])
    inertia = np.sum((points - means[truth]) ** 2)
    assert kmeans.inertia_ == pytest.approx(inertia, rel=1e-4)
    assert (kmeans.predict(with_outlier) == kmeans.labels_).all()
    assert (kmeans.transform(with_outlier).argmin(axis=1) == kmeans.labels_).all()


def test_no_cluster_is_empty_beside_an_outlier() -> None:
    points = np.append(np.repeat([[0.0, 0], [0, 1], [1, 0], [1, 1]], 5, axis=0), [[1e6, 1e6]], axis=0)
    with pytest.warns(ConvergenceWarning, match="n_clusters: 8 is more than the number of distinct points, 5"):
        kmeans = KMeans(8, random_state=0).fit(points)
    assert np.bincount(kmeans.labels_, minlength=8).all()
    with pytest.raises(ValueError, match="X: values 1e\\+160 from"):
        kmeans.transform([[1e160, 0]])


@pytest.mark.parametrize("k", [10, 30, 100])
def test_flowers_are_clustered_as_well_as_by_scikit_learn(k: int) -> None:
    """Four dimensions of unequal variance, and a few points in each cluster."""
    flowers = load_iris().data
    ours = np.mean([KMeans(k, random_state=seed).fit(flowers).inertia_ for seed in range(3)])
    theirs = np.mean([Reference(k, n_init=1, random_state=seed).fit(flowers).inertia_ for seed in range(3)])
    assert ours <= theirs


def test_each_point_far_off_has_a_distance_of_its_own() -> None:
    centroids = normal(9, 4).astype(np.float64)
    far = np.outer([1e7, -3e9, 5e12], [1.0, 2, -1, 0.5])
    labels, distances = assign_to_nearest(far, centroids)
    every = cdist(far, centroids)
    np.testing.assert_allclose(distances, every.min(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(labels, (centroids @ far.T).argmax(axis=0))
