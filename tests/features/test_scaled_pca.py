"""Scaled principal components: against scikit-learn's, far from zero, wide, and scikit-learn's own checks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fewlabels.arrays import ComputedRows
from fewlabels.features.scaled_pca import ScaledPCA


def points(n: int, d: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=(n, d)) * 0.9 ** np.arange(d)


@parametrize_with_checks([ScaledPCA(n_components=2)])
def test_it_keeps_the_conventions_of_scikit_learn(estimator: ScaledPCA, check: Callable[[ScaledPCA], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("shape", [(200, 20), (20, 500)])
@pytest.mark.parametrize("offset", [0, 1e6, 1e8])
@pytest.mark.parametrize("size", [1, 1e-29, 1e29])
def test_components_are_those_of_scikit_learn_divided_by_one_number(
    shape: tuple[int, int], offset: float, size: float
) -> None:
    X = points(*shape)
    wanted = PCA(5, svd_solver="full").fit_transform(X)
    wanted /= np.sqrt(np.mean(np.sum(wanted**2, axis=1)))
    found = ScaledPCA(5).fit_transform((X + offset) * size)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-3)


@pytest.mark.parametrize("shape", [(2500, 20), (20, 50)])
def test_points_that_are_computed_have_the_components_of_those_in_memory(shape: tuple[int, int]) -> None:
    X = (points(*shape) + 100).astype(np.float32)
    wanted, computed = ScaledPCA(5).fit(X), []

    def compute(rows: slice) -> NDArray[np.float32]:
        computed.append(rows.stop - rows.start)
        return X[rows].copy()

    for kept in (True, False):
        computed.clear()
        found = ScaledPCA(5).fit_computed(ComputedRows(compute, X.shape), kept)
        np.testing.assert_array_equal(found.mean_, wanted.mean_)
        np.testing.assert_array_equal(found.components_, wanted.components_)
        twice = not kept and len(X) > 50  # fewer than their dimensions are kept in any case
        assert (sum(computed), max(computed)) == (len(X) * (1 + twice), min(len(X), 1024))


@pytest.mark.parametrize("n_components", [0, -1, 2.5, "3", True, None])
def test_a_number_of_components_that_is_none_is_refused(n_components: Any) -> None:
    with pytest.raises(InvalidParameterError, match="'n_components' parameter of ScaledPCA must be an int"):
        ScaledPCA(n_components).fit(points(20, 5))


def test_what_is_no_number_and_another_width_are_refused() -> None:
    pca = ScaledPCA(2).fit(points(20, 5))
    with pytest.raises(ValueError, match="contains NaN"):
        pca.transform(np.full((1, 5), np.nan))
    with pytest.raises(ValueError, match="X has 4 features"):
        pca.transform(points(3, 4))
    with pytest.raises(ValueError, match="X: values 1e\\+40 from"):
        ScaledPCA(2).fit(np.array([[1e40], [-1e40]]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("size", "times"), [(1, 1e200), (1, 1e39), (1e-29, 1e39), (1e29, 1e20)])
def test_points_too_far_for_float32_are_refused_by_row(size: float, times: float) -> None:
    X = size * points(20, 5)
    pca = ScaledPCA(2).fit(X)
    X[7] *= times
    with pytest.raises(ValueError, match=r"^X: values too far from the mean for float32, as in row 7$"):
        pca.transform(X)


def test_points_all_alike_have_components_of_no_size() -> None:
    pca = ScaledPCA(3).fit([[1.0, 2.0, 3.0]])
    assert not pca.transform([[1.0, 2.0, 3.0], [2.0, 2.0, 3.0]]).any()
