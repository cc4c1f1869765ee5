"""Labels spread over clusters, against plain loops and cases small enough to count by hand."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shards import shards

from fewlabels.choosing.representatives import nearest_members
from fewlabels.label_set import LabelSet
from fewlabels.run import Local
from fewlabels.spreading.clusters import _limits, propagate, within_percentile


def label_set(rows: list[int], labels: list[int], bought: list[bool] | None = None) -> LabelSet:
    return LabelSet(
        rows=np.array(rows, np.int64),
        labels=np.array(labels, np.uint8),
        bought=np.ones(len(rows), bool) if bought is None else np.array(bought, bool),
    )


def clustering(n: int, k: int, seed: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """n points in k clusters, none empty, at distances among which many are equal."""
    random = np.random.default_rng(seed)
    assignments = np.concatenate([np.arange(k), random.integers(0, k, n - k)]).astype(np.int32)
    random.shuffle(assignments)
    return assignments, random.integers(0, 8, n).astype(np.float32) / 3


@pytest.mark.parametrize("percentile", [0, 12.5, 30, 50, 99, 100])
@pytest.mark.parametrize("seed", range(3))
def test_nearness_against_a_loop(percentile: float, seed: int) -> None:
    assignments, distances = clustering(150, 20, seed)
    near = within_percentile(assignments, distances, percentile)
    assert near.dtype == bool
    for row in range(150):
        limit = np.percentile(distances[assignments == assignments[row]], percentile)
        assert near[row] == (distances[row] <= limit)


@pytest.mark.parametrize("percentile", [0, 1 / 3, 30, 37.5, 50, 62.1, 99.99, 100])
@pytest.mark.parametrize(("clusters", "scale"), [(1, 1.0), (40, 1e-20), (40, 1e3), (1500, 1.0)])
def test_percentiles_are_those_of_numpy_to_the_last_bit(percentile: float, clusters: int, scale: float) -> None:
    """Images at the very distance that numpy computes for their cluster are within it, by a bit more they are not."""
    random = np.random.default_rng(clusters)
    assignments = np.append(np.arange(clusters), random.integers(0, clusters, 3000 - clusters)).astype(np.int32)
    distances = (scale * random.exponential(size=3000)).astype(np.float32)
    distances[::7] = distances[random.integers(0, 3000, len(distances[::7]))].round(1) + np.float32(0)
    limits = np.array([np.percentile(distances[assignments == own], percentile) for own in range(clusters)])
    np.testing.assert_array_equal(_limits(assignments, distances, percentile), limits, strict=True)
    near = within_percentile(assignments, distances, percentile)
    np.testing.assert_array_equal(near, distances <= limits[assignments])


@pytest.mark.parametrize("chunk", [7, 64, 1000])
def test_a_pool_has_what_the_array_has(chunk: int, tmp_path: Path) -> None:
    assignments, distances = clustering(400, 20, seed=4)
    distances[distances == 0] *= -1  # -0.0 is 0
    nearest = nearest_members(assignments, distances, 20)
    order, labels = np.argsort(nearest), np.arange(20)
    bought = label_set(nearest[order][:15].tolist(), labels[:15].tolist())
    clusters = [shards(tmp_path / name, one, chunk) for name, one in (("a", assignments), ("d", distances))]
    with Local(tmp_path / "scratch"):
        for percentile in (0, 37.5, 100):
            near, wanted = (
                within_percentile(*clusters, percentile),
                within_percentile(assignments, distances, percentile),
            )
            assert near.path is not None
            np.testing.assert_array_equal(near.array(), wanted, strict=True)
            for kept, kept_here in ((near, wanted), (wanted, wanted), (None, None)):
                spread, spread_here = propagate(bought, clusters[0], kept), propagate(bought, assignments, kept_here)
                for name, values in spread.arrays().items():
                    np.testing.assert_array_equal(values, spread_here.arrays()[name], strict=True)


@pytest.mark.parametrize(
    ("distances", "percentile", "message"),
    [
        (np.array([1, 2, -1], np.float32), 50, "distances: row 2 is not 0 or more"),
        (np.array([1, np.nan, 2], np.float32), 50, "distances: row 1 is not 0 or more"),
        (np.array([1.0, 2.0, 3.0]), 50, "distances: float64 in place of float32"),
        (np.ones(3, np.float32), 101, "percentile: 101 is not between 0 and 100"),
        (np.ones(3, np.float32), -1, "percentile: -1 is not between 0 and 100"),
    ],
)
def test_what_has_no_percentile_is_refused(distances: NDArray[np.float32], percentile: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        within_percentile(np.zeros(3, np.int32), distances, percentile)


def test_nearness_goes_by_the_own_cluster() -> None:
    assignments = np.array([0, 1, 0, 1, 0, 1, 5], np.int32)
    distances = np.array([3, 100, 1, 300, 2, 200, 9], np.float32)
    near = [False, True, True, False, True, True, True]  # up to 2 of 1, 2, 3; up to 200 of 100, 200, 300; the only one
    assert within_percentile(assignments, distances, 50).tolist() == near


@pytest.mark.parametrize("seed", range(3))
def test_propagation_against_a_loop(seed: int) -> None:
    assignments, distances = clustering(150, 20, seed)
    rows = nearest_members(assignments, distances, 20)
    label_of_cluster = np.random.default_rng(seed).integers(0, 10, 20)
    kept = np.random.default_rng(seed).random(150) < 0.3
    order = np.argsort(rows)
    bought = label_set(rows[order].tolist(), label_of_cluster[order].tolist())

    for spread, wanted in (
        (propagate(bought, assignments), range(150)),
        (propagate(bought, assignments, kept), [row for row in range(150) if kept[row] or row in rows]),
    ):
        assert spread.rows.tolist() == list(wanted)
        assert spread.labels.tolist() == [label_of_cluster[assignments[row]] for row in wanted]
        assert spread.bought.tolist() == [row in rows for row in wanted]


def test_a_representative_is_kept_however_far_it_is() -> None:
    assignments = np.array([0, 0, 0, 1, 1], np.int32)
    distances = np.array([1, 2, 3, 1, 2], np.float32)
    near = within_percentile(assignments, distances, 0)
    spread = propagate(label_set([2, 3], [7, 4]), assignments, near)
    assert spread.rows.tolist() == [0, 2, 3]
    assert spread.labels.tolist() == [7, 7, 4]
    assert spread.bought.tolist() == [False, True, True]


def test_percentile_0_keeps_the_nearest_and_100_keeps_all() -> None:
    assignments, distances = clustering(200, 30, seed=0)
    rows = nearest_members(assignments, distances, 30)
    nearest = within_percentile(assignments, distances, 0)
    assert nearest[rows].all()
    own_least = distances[rows][assignments]
    np.testing.assert_array_equal(nearest, distances == own_least)
    assert within_percentile(assignments, distances, 100).all()


def test_a_cluster_without_a_label_takes_none_from_elsewhere() -> None:
    assignments = np.array([0, 0, 2, 2, 3], np.int32)  # no image is in cluster 1, which needs no label
    for bought in (label_set([0, 4], [7, 4]), label_set([0, 2, 4], [7, 1, 4], bought=[True, False, True])):
        spread = propagate(bought, assignments)
        assert spread.rows.tolist() == [0, 1, 4]
        assert spread.labels.tolist() == [7, 7, 4]
        assert propagate(bought, assignments, np.arange(5) != 1).rows.tolist() == [0, 4]
    with pytest.raises(ValueError, match="cluster 0 has 2 bought labels, not 1"):
        propagate(label_set([0, 1, 2, 4], [7, 4, 1, 1]), assignments)
    assert propagate(label_set([0, 2, 4], [7, 4, 1]), assignments).labels.tolist() == [7, 7, 4, 4, 1]


@pytest.mark.parametrize("labelled", [[0, 1], [0, 2], [1, 2]])
def test_the_cluster_without_a_label_may_be_any_and_of_one_image(labelled: list[int]) -> None:
    assert propagate(label_set(labelled, [7, 4]), np.array([0, 1, 2], np.int32)).rows.tolist() == labelled


def test_nothing_is_spread_over_no_images() -> None:
    assert len(propagate(label_set([], []), np.empty(0, np.int32))) == 0
    near = within_percentile(np.empty(0, np.int32), np.empty(0, np.float32), 50)
    assert near.shape == (0,)
    assert near.dtype == bool


def test_a_row_that_is_no_image_is_refused() -> None:
    assert propagate(label_set([2], [7]), np.zeros(3, np.int32)).labels.tolist() == [7, 7, 7]
    with pytest.raises(ValueError, match=r"^representatives: row 3 of 3 images$"):
        propagate(label_set([3], [7]), np.zeros(3, np.int32))
