"""Representatives: for each cluster the member nearest its centroid, against a plain loop."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels.choosing.representatives import nearest_members, representatives


def clustering(n: int, k: int, seed: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """n points in k clusters, none empty, at distances among which many are equal."""
    random = np.random.default_rng(seed)
    assignments = np.concatenate([np.arange(k), random.integers(0, k, n - k)]).astype(np.int32)
    random.shuffle(assignments)
    return assignments, random.integers(0, 8, n).astype(np.float32) / 3


@pytest.mark.parametrize("seed", range(5))
def test_representatives_against_a_loop(seed: int) -> None:
    assignments, distances = clustering(200, 30, seed)
    wanted = []
    for cluster in range(30):
        members = np.flatnonzero(assignments == cluster)
        wanted.append(min(members, key=lambda row: (distances[row], row)))
    rows = nearest_members(assignments, distances, 30)
    assert rows.dtype == np.int64
    assert rows.tolist() == wanted
    assert len(set(rows)) == 30


def test_the_lowest_row_stands_for_equally_near_ones() -> None:
    assignments = np.array([1, 0, 0, 1, 0], np.int32)
    distances = np.array([2, 3, 1, 2, 1], np.float32)
    assert nearest_members(assignments, distances, 2).tolist() == [2, 0]


@pytest.mark.parametrize(("assignments", "empty"), [([0, 2, 2], 1), ([1, 1, 2], 0), ([0, 1, 1], 2)])
def test_a_cluster_without_members_is_named(assignments: list[int], empty: int) -> None:
    with pytest.raises(ValueError, match=f"cluster {empty} has no member"):
        nearest_members(np.array(assignments, np.int32), np.zeros(3, np.float32), 3)


def test_clusters_without_a_label_are_asked_about_first() -> None:
    """Four groups of images; two have a label, however many images of a group are labelled."""
    groups = np.repeat([0, 10, 20, 30], [40, 5, 30, 20])
    features = (groups + np.random.default_rng(0).normal(size=len(groups)))[:, None].astype(np.float32)
    rows = [0, 41]
    asked = representatives(features, rows, [0, 1], 2, random_state=0)
    assert sorted(groups[asked]) == [20, 30]
