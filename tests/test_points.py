"""Points in float32, seen from an origin, against known answers."""

import numpy as np
import pytest

from fewlabels.points import DTYPES, relative_to, spread_about


@pytest.mark.parametrize("dtype", DTYPES)
def test_points_are_centred_before_they_are_rounded(dtype: type) -> None:
    points = np.array([[1, 250], [3, 200]]).astype(dtype)
    np.testing.assert_array_equal(relative_to(points, np.array([1.0, 0.0]), 2.0), [[0, 125], [1, 100]])
    assert spread_about(points, np.array([2.0, 225.0])) == 25
