"""Estimators over pools: the same numbers as from one array, whatever the run, and errors that name the rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shards import shards

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.dask_cluster import connected
from fewlabels.estimators import over_pools
from fewlabels.features.hog import HOG
from fewlabels.features.scaled_pca import ScaledPCA
from fewlabels.networks import pretrained
from fewlabels.networks.pretrained import Network, PretrainedEmbedding, embedding_of
from fewlabels.pool import Pool
from fewlabels.run import Local


@pytest.mark.parametrize(("shape", "chunk"), [((28, 28), 1024), ((40, 40, 3), 128)])
def test_features_of_a_pool_are_those_of_the_array(shape: tuple[int, ...], chunk: int, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2 * chunk + 77, int(np.prod(shape))), dtype=np.uint8)
    pool = shards(tmp_path / "images", images, chunk)
    wanted, model = HOG(shape, 20).fit(images), HOG(shape, 20).fit(pool)
    np.testing.assert_array_equal(model.pca_.components_, wanted.pca_.components_)
    with Local(tmp_path / "scratch"):
        found = model.transform(pool)
        assert found.path.is_relative_to(tmp_path / "scratch")
        np.testing.assert_array_equal(found.array(), wanted.transform(images))


def test_scores_of_a_pool_are_those_of_the_array(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(2500, 6)).astype(np.float32)
    reduced = ScaledPCA(4).fit(points)
    model = KernelRidgeClassifier().fit(reduced.transform(points[:40]), np.arange(40) % 3)
    pool = shards(tmp_path / "points", points, 1024)
    with Local(tmp_path / "scratch"):
        smaller = reduced.transform(pool)
        np.testing.assert_array_equal(smaller.array(), reduced.transform(points))
        for method in ("predict_proba", "decision_function", "predict"):
            found, wanted = (getattr(model, method)(rows) for rows in (smaller, reduced.transform(points)))
            assert isinstance(found, Pool)
            np.testing.assert_array_equal(found.array(), wanted)


def test_workers_need_nothing_but_the_model(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(2500, 6)).astype(np.float32)
    model = KernelRidgeClassifier().fit(points[:40], np.arange(40) % 3)
    pool = shards(tmp_path / "points", points, 1024)
    with connected("local", tmp_path / "scratch", workers=1, chunk=1024):
        found = model.predict_proba(pool).array()
    np.testing.assert_array_equal(found, model.predict_proba(points))


def colours(batch: NDArray[np.uint8]) -> NDArray[Any]:
    assert batch.shape == (32, 8, 8, 3)
    return batch.mean(axis=(1, 2)) - 100


def test_a_network_looks_at_a_pool_a_chunk_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "_network", lambda *_: Network(8, 32, colours))
    images = np.random.default_rng(0).integers(0, 256, (150, 192), dtype=np.uint8)
    pool = shards(tmp_path / "images", images, 64)
    with Local(tmp_path / "scratch"):
        seen = embedding_of(pool, (8, 8, 3))
        model = PretrainedEmbedding((8, 8, 3)).fit(pool)
        features = model.transform(pool)
        np.testing.assert_array_equal(embedding_of(pool, (8, 8, 3), rows=np.array([149, 3])), seen.take([149, 3]))
        assert seen.path.is_relative_to(tmp_path / "scratch")
        np.testing.assert_array_equal(seen.array(), embedding_of(images, (8, 8, 3)))
        alone = PretrainedEmbedding((8, 8, 3)).fit(images)
        np.testing.assert_array_equal(features.array(), alone.transform(images))
        again = PretrainedEmbedding((8, 8, 3)).fit_numbers(seen).transform_numbers(seen)
        np.testing.assert_array_equal(again.array(), features.array())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda pool: ScaledPCA(1).fit([[0, 1], [2, 3]]).transform(pool), "rows 4 to 6: Input X contains NaN"),
        (lambda pool: ScaledPCA(1).fit([[0], [2]]).transform(pool), "rows 0 to 3: X has 2 features"),
        (lambda pool: HOG((3, 3)).fit(pool), r"X: images of shape \(1, 2\) are not rows of 3 x 3 pixels"),
        (lambda pool: PretrainedEmbedding((3, 3)).fit(pool), r"X: images of shape \(1, 2\) are not rows of 3 x 3"),
    ],
)
def test_a_pool_that_does_not_fit_is_refused(call: Callable[[Pool], Any], message: str, tmp_path: Path) -> None:
    points = np.zeros((7, 2), np.float32)
    points[5, 1] = np.nan
    with Local(tmp_path / "scratch"), pytest.raises(ValueError, match=message):
        call(shards(tmp_path / "points", points, 4))


def test_other_errors_are_what_they_were(tmp_path: Path) -> None:
    class Failing:
        @over_pools("nothing")
        def transform(self, X: Any) -> Any:
            raise KeyError(len(X))

    with pytest.raises(KeyError, match="3"):
        Failing().transform(shards(tmp_path / "points", np.zeros((7, 2)), 3))


def test_a_chunk_is_mapped_and_a_folder_removed(tmp_path: Path) -> None:
    pool = shards(tmp_path / "numbers", np.arange(7), 4)
    assert isinstance(pool.mapped(1), np.memmap)
    assert pool.mapped(1).tolist() == [4, 5, 6]
    pool.remove()
    assert not pool.path.exists()
    memory = Pool(np.arange(7), 4)
    memory.remove()
    assert memory.mapped(1).tolist() == [4, 5, 6]
