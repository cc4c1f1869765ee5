"""The shared computations on arrays, against numpy."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from fewlabels.arrays import evenly_spaced, first_occurrences, principal_axes


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.999])
def test_principal_axes_are_those_of_scikit_learn(variance: float) -> None:
    points = np.random.default_rng(0).normal(size=(200, 6)) @ np.diag([5, 4, 3, 2, 1, 0.5])
    points -= points.mean(axis=0)
    reference = PCA(variance, svd_solver="full").fit(points)
    axes = principal_axes((points.T @ points).astype(np.float32), variance)
    assert axes.shape == (6, reference.n_components_)
    np.testing.assert_allclose(np.abs(axes.T @ reference.components_.T), np.eye(axes.shape[1]), atol=1e-3)


@pytest.mark.parametrize(("n", "count", "rows"), [(5, 9, [0, 1, 2, 3, 4]), (10, 2, [0, 9]), (0, 3, []), (3, 1, [0])])
def test_rows_are_chosen_at_even_distances(n: int, count: int, rows: list[int]) -> None:
    assert evenly_spaced(n, count).tolist() == rows


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_copies_are_found_against_a_loop(dtype: type) -> None:
    X = np.random.default_rng(0).integers(0, 3, (60, 3)).astype(dtype)
    wanted = [next(other for other in range(60) if (X[other] == X[row]).all()) for row in range(60)]
    assert first_occurrences(X).tolist() == wanted


def test_zero_equals_minus_zero_and_no_rows_are_no_copies() -> None:
    assert first_occurrences(np.array([[0.0], [-0.0]])).tolist() == [0, 0]
    assert first_occurrences(np.empty((0, 3))).tolist() == []
