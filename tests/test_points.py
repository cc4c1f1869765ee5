"""Points in float32, seen from an origin, against known answers."""

import warnings

import numpy as np
import pytest

from fewlabels.points import AT_ONCE, DTYPES, center_and_spread, center_of, relative_to, spread_about


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


@pytest.mark.parametrize("dtype", DTYPES)
def test_differences_are_taken_in_float64_and_rounded_once(dtype: type) -> None:
    """More points than are float64 at once, against the whole in float64; in place where the result may be."""
    points = np.random.default_rng(0).uniform(0, 255, (AT_ONCE // 7 + 100, 7)).astype(dtype)
    origin, unit = center_of(points), 3.0
    apart = points.astype(np.float64) - origin
    expected = (apart * (1 / unit)).astype(np.float32)
    np.testing.assert_array_equal(relative_to(points, origin, unit), expected)
    assert spread_about(points, origin) == np.abs(apart).max()
    given = points.copy()
    result = relative_to(given, origin, unit, out=given)
    np.testing.assert_array_equal(result, expected)
    assert (result is given) == (dtype is np.float32)
    np.testing.assert_array_equal(given, expected if dtype is np.float32 else points)


def test_a_difference_of_rounding_is_no_spread() -> None:
    origin = np.array([1e15, 0.5])
    assert spread_about(np.array([[1e15 + 1, 0.5], [1e15, 0.5]]), origin) == 0
    assert spread_about(np.array([[1e15 + 8, 0.5], [1e15, 0.5]]), origin) == 8
    assert spread_about(np.array([[np.finfo(float).max, 0.0]]), np.array([-np.finfo(float).max, 0.0])) == np.inf


def test_what_float32_cannot_hold_is_infinite_without_a_warning() -> None:
    points = np.array([[np.finfo(float).max, 1e100, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert relative_to(points, np.array([-np.finfo(float).max, 0, 0])).tolist() == [[np.inf, np.inf, 1]]


def test_of_no_points_there_is_no_spread() -> None:
    assert spread_about(np.empty((0, 2)), np.zeros(2)) == 0
    assert relative_to(np.empty((0, 2)), np.zeros(2)).shape == (0, 2)
