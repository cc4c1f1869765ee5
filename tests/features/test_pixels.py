"""Pixels scaled to 0..1."""

import numpy as np

from fewlabels.features.pixels import scale_pixels


def test_pixels_are_scaled_and_raised_to_a_power() -> None:
    images = np.array([[0, 51, 255]], np.uint8)
    assert scale_pixels(images).dtype == np.float32
    np.testing.assert_allclose(scale_pixels(images), [[0, 0.2, 1]], rtol=1e-6)
    np.testing.assert_allclose(scale_pixels(images, 0.5), [[0, 0.2**0.5, 1]], rtol=1e-6)
    np.testing.assert_array_equal(images, [[0, 51, 255]])


def test_a_power_above_one_makes_less_of_the_faint_parts() -> None:
    np.testing.assert_allclose(scale_pixels([[0, 51, 255]], 2), [[0, 0.04, 1]], rtol=1e-6)
