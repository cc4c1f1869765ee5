"""Points in float32, seen from an origin, against known answers."""

import numpy as np
import pytest

from fewlabels.points import DTYPES, center_and_spread, center_of, relative_to, spread_about


@pytest.mark.parametrize("dtype", DTYPES)
def test_points_are_centred_before_they_are_rounded(dtype: type) -> None:
    points = np.array([[1, 250], [3, 200]]).astype(dtype)
    np.testing.assert_array_equal(relative_to(points, np.array([1.0, 0.0]), 2.0), [[0, 125], [1, 100]])
    assert spread_about(points, np.array([2.0, 225.0])) == 25


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_and_spread_of_one_pass_are_those_of_two(dtype: type) -> None:
    drawn = np.random.default_rng(0).gamma(2, 20, (2500, 7)) * [1, 1, 1, 2, 3, 5, 8]
    points = drawn.clip(0, 255).astype(dtype)
    center, spread = center_and_spread(points)
    np.testing.assert_array_equal(center, center_of(points))
    assert spread == spread_about(points, center)
