"""Images chosen from a pool on disk: those that are chosen from the array, in the same order."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shards import shards

from fewlabels.choosing import representatives as module
from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.pool import pool_of
from fewlabels.choosing.questions import next_questions
from fewlabels.choosing.representatives import nearest_members, nearest_of, representatives
from fewlabels.choosing.rounds import QueryStrategy, simulate
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.clustering.kmeans import KMeans
from fewlabels.dask_cluster import connected
from fewlabels.label_set import LabelSet
from fewlabels.pool import Pool
from fewlabels.run import Local
from fewlabels.spreading.clusters import propagate, within_percentile

CHUNK = 1024
"""As many rows as a classifier scores at once: its scores are then the same bits."""
STRATEGIES: dict[str, QueryStrategy] = {
    "random": partial(random, random_state=0),
    "representatives": partial(representatives, random_state=0),
    "cluster_margin": partial(cluster_margin, classifier=KernelRidgeClassifier(classes=range(3)), random_state=0),
}
every_strategy = pytest.mark.parametrize("name", STRATEGIES)


def pile(count: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Images of three classes; each of the last hundred is a copy of one before."""
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, count).astype(np.uint8)
    features = (np.eye(3)[truth] + generator.normal(scale=0.6, size=(count, 3))).astype(np.float32)
    originals = generator.integers(0, count - 100, 100)
    features[-100:], truth[-100:] = features[originals], truth[originals]
    return features, truth


FEATURES, TRUTH = pile(2600)
LABELLED = np.random.default_rng(2).permutation(2600)[:60]
UNKNOWN = np.setdiff1d(np.random.default_rng(3).permutation(2600)[:900], LABELLED)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return shards(tmp_path / "features", FEATURES, CHUNK)


def chosen(query: QueryStrategy, features: Any) -> NDArray[np.int64]:
    """Without labels, with labels, and where images are excluded."""
    none = np.empty(0, np.int64)
    return np.concatenate(
        [
            query(features, none, none, 20),
            query(features, LABELLED, TRUTH[LABELLED], 20),
            query(features, LABELLED, TRUTH[LABELLED], 20, exclude=UNKNOWN),
            query(features, LABELLED[:3], TRUTH[LABELLED[:3]], 2598),
        ]
    )


@every_strategy
def test_what_is_chosen_from_a_pool_is_what_is_chosen_from_the_array(name: str, pool: Pool, tmp_path: Path) -> None:
    wanted = chosen(STRATEGIES[name], FEATURES)
    for run in (Local(tmp_path / "scratch"), Local()):
        with run:
            np.testing.assert_array_equal(chosen(STRATEGIES[name], pool), wanted, strict=True)


@every_strategy
def test_a_budget_is_spent_in_the_same_order(name: str, pool: Pool, tmp_path: Path) -> None:
    wanted, _ = simulate(STRATEGIES[name], FEATURES, SimulatedAnnotator(TRUTH), 90, rounds=[20, 30, 40])
    with Local(tmp_path / "scratch"):
        rows, labels = simulate(STRATEGIES[name], pool, SimulatedAnnotator(TRUTH), 90, rounds=[20, 30, 40])
    np.testing.assert_array_equal(rows, wanted)
    np.testing.assert_array_equal(labels, TRUTH[wanted])


@pytest.mark.parametrize("n", [1, 5, 30, 100])
def test_the_lowest_rows_are_asked_about_where_margins_are_equal(n: int, tmp_path: Path) -> None:
    """A third of the images lie half way between two classes: the lowest rows of these are clustered."""
    middle = np.random.default_rng(0).random(1000) < 1 / 3
    features = np.stack([np.where(middle, 0, np.sign(np.arange(1000) - 500.5)), np.arange(1000) / 1e6], 1)
    features = features.astype(np.float32)

    class Score(KernelRidgeClassifier):
        def decision_function(self, X: Any) -> NDArray[np.float32]:
            return np.asarray(X)[:, 0]

    rows = np.flatnonzero(~middle)[[0, -1]]
    query = partial(cluster_margin, classifier=Score(), random_state=0, candidates=3)
    wanted = np.setdiff1d(np.flatnonzero(middle), rows)[: 3 * n]
    asked = query(shards(tmp_path / "features", features, 64), rows, [0, 1], n)
    assert set(asked) <= set(wanted)
    np.testing.assert_array_equal(asked, query(features, rows, [0, 1], n))


@pytest.mark.parametrize("labels", [0, 60])
@pytest.mark.parametrize("exclude", [np.empty(0, np.int64), UNKNOWN], ids=["", "excluded"])
@pytest.mark.parametrize("copies", [False, True])
def test_more_images_than_memory_holds_are_clustered_as_a_pool(
    labels: int, exclude: NDArray[np.int64], copies: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = FEATURES if copies else FEATURES[:2500]
    rows = LABELLED[len(features) > LABELLED][:labels]
    exclude = exclude[exclude < len(features)]
    wanted = representatives(features, rows, TRUTH[rows], 20, exclude=exclude, random_state=0)
    seen = []

    class OfPools(KMeans):
        def fit(self, X: Any, y: object = None) -> "OfPools":
            seen.append(X)
            super().fit(X.array())
            self.labels_, self.distances_ = (Pool(one, X.chunk) for one in (self.labels_, self.distances_))
            return self

    monkeypatch.setattr(module, "IN_MEMORY", 100)
    monkeypatch.setattr(module, "KMeans", OfPools)
    pool = shards(tmp_path / "features", features, 300)
    with Local(tmp_path / "scratch"):
        asked = representatives(pool, rows, TRUTH[rows], 20, exclude=exclude, random_state=0)
    np.testing.assert_array_equal(asked, wanted)
    [clustered] = seen
    assert clustered.path is not None, "on disk"
    assert (clustered is pool) == (not labels and not copies and not len(exclude))


@pytest.mark.parametrize("chunk", [7, 100])
@pytest.mark.parametrize("exclude", [[], range(5, 300, 3)])
@pytest.mark.parametrize("n", [1, 290])
def test_the_pool_of_a_pool_is_that_of_the_array(chunk: int, exclude: Any, n: int, tmp_path: Path) -> None:
    features = np.random.default_rng(0).integers(0, 6, (300, 3)).astype(np.float32)
    rows = [200, 3, 17]
    wanted = pool_of(features, rows, [0, 1, 2], n, exclude)
    with Local(tmp_path / "scratch"):
        found = pool_of(shards(tmp_path / "features", features, chunk), rows, [0, 1, 2], n, exclude)
    np.testing.assert_array_equal(found, wanted, strict=True)
    numbers = np.array(exclude, np.int64)
    np.testing.assert_array_equal(pool_of(features, rows, [0, 1, 2], n, numbers), wanted, strict=True)


def test_features_of_another_shape_are_refused(tmp_path: Path) -> None:
    images = shards(tmp_path / "images", np.zeros((5, 2, 2), np.float32), 2)
    with pytest.raises(ValueError, match="features: 3 dimensions in place of 2"):
        pool_of(images, [], [], 1)


def test_questions_are_asked_about_a_pool(pool: Pool, tmp_path: Path) -> None:
    ask = partial(next_questions, STRATEGIES["cluster_margin"])
    answered = (LABELLED, TRUTH[LABELLED], np.repeat([1, 2], [50, 10]))
    known = {"exclude": UNKNOWN, "skipped": np.array([7]), "skipped_rounds": np.array([1]), "sizes": [50, 22]}
    with Local(tmp_path / "scratch"):
        number, questions = ask(pool, *answered, **known)
    wanted_number, wanted = ask(FEATURES, *answered, **known)
    assert number == wanted_number
    np.testing.assert_array_equal(questions, wanted)


def clustered(count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Images in thirty clusters, at distances among which many are equal."""
    generator = np.random.default_rng(0)
    assignments = generator.permutation(np.arange(count) % 30).astype(np.int32)
    return assignments, generator.integers(0, 8, count).astype(np.float32) / 3


@pytest.mark.parametrize("chunk", [1, 16, 500])
def test_the_nearest_in_pools_are_those_in_arrays(chunk: int, tmp_path: Path) -> None:
    arrays = clustered(500)
    pools = [shards(tmp_path / str(place), one, chunk) for place, one in enumerate(arrays)]
    np.testing.assert_array_equal(nearest_members(*pools, 30), nearest_members(*arrays, 30), strict=True)
    for candidates in (np.arange(500), np.arange(3, 500, 41), np.empty(0, np.int64)):
        wanted = []
        for cluster in range(30):
            own = candidates[arrays[0][candidates] == cluster]
            wanted += [own[arrays[1][own].argmin()]] if len(own) else []
        for source in (arrays, pools):
            assert nearest_of(candidates, *source).tolist() == wanted
    with pytest.raises(ValueError, match="cluster 30 has no member"):
        nearest_members(*pools, 31)


def test_a_cluster_of_workers_chooses_and_spreads_the_same(pool: Pool, tmp_path: Path) -> None:
    assignments, distances = clustered(2600)
    parts = [shards(tmp_path / name, one, CHUNK) for name, one in (("a", assignments), ("d", distances))]

    def everything(query: Callable[..., Any], features: Any, own: Any, far: Any) -> list[NDArray[Any]]:
        rows, labels = simulate(query, features, SimulatedAnnotator(TRUTH), 40, rounds=[20, 20])
        near = within_percentile(own, far, 37.5)
        spread = propagate(LabelSet.from_bought(nearest_members(own, far, 30), np.arange(30)), own, near)
        return [rows, labels, near.array() if isinstance(near, Pool) else near, *spread.arrays().values()]

    wanted = everything(STRATEGIES["cluster_margin"], FEATURES, assignments, distances)
    with connected("local", tmp_path / "scratch", workers=1, chunk=CHUNK):
        found = everything(STRATEGIES["cluster_margin"], pool, *parts)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
