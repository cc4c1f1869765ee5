"""Principal axes, against numpy and scikit-learn."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from fewlabels import principal_axes as module
from fewlabels.arrays import ComputedRows
from fewlabels.principal_axes import main_axes, principal_axes


def stretched(n: int, d: int) -> NDArray[np.float32]:
    """Centred points of variances that fall from axis to axis, turned."""
    random = np.random.default_rng(0)
    points = random.normal(size=(n, d)) * 0.8 ** np.arange(d) @ np.linalg.qr(random.normal(size=(d, d)))[0]
    return (points - points.mean(axis=0)).astype(np.float32)


@pytest.mark.parametrize("shape", [(200, 6), (1500, 12), (12, 400), (30, 200)])
@pytest.mark.parametrize("exact", [True, False])
def test_principal_axes_are_those_of_the_singular_value_decomposition(
    shape: tuple[int, int], exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tall points, wide ones, and both as if they were too many for exact eigenvectors."""
    if not exact:
        monkeypatch.setattr(module, "EXACT_SIDE", 5)
    points = stretched(*shape)
    _, lengths, rows = np.linalg.svd(points, full_matrices=False)
    squares, axes = principal_axes(points, 5)
    assert (squares.dtype, axes.dtype, axes.shape) == (np.float32, np.float32, (shape[1], 5))
    np.testing.assert_allclose(squares, lengths[:5] ** 2, rtol=1e-3)
    np.testing.assert_allclose(np.abs(axes.T @ rows[:5].T), np.eye(5), atol=1e-2)
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-3)


@pytest.mark.parametrize(("shape", "most"), [((2500, 6), 1024), ((12, 400), 12)])
def test_rows_that_are_computed_have_the_axes_of_those_in_memory(shape: tuple[int, int], most: int) -> None:
    """To the last bit; and tall points are never computed all at once."""
    points, asked = stretched(*shape), []

    def compute(rows: slice) -> NDArray[np.float32]:
        asked.append(rows.stop - rows.start)
        return points[rows]

    for found, wanted in zip(principal_axes(ComputedRows(compute, shape), 5), principal_axes(points, 5), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert (sum(asked), max(asked)) == (shape[0], most)


def test_dimensions_that_points_do_not_have_are_zero() -> None:
    points = np.zeros((3, 5), np.float32)
    points[0, 1], points[1, 1] = 2, -2
    squares, axes = principal_axes(points, 3)
    np.testing.assert_allclose(squares, [8, 0, 0], atol=1e-5)
    np.testing.assert_allclose(np.abs(axes.T), [[0, 1, 0, 0, 0], [0] * 5, [0] * 5], atol=1e-6)


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.999])
def test_as_many_axes_as_scikit_learn_keeps(variance: float) -> None:
    points = stretched(200, 8)
    assert main_axes(points, variance, 8).shape == (8, PCA(variance, svd_solver="full").fit(points).n_components_)
    assert main_axes(points, variance, 1).shape == (8, 1)
