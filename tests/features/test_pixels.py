"""Pixels scaled to 0..1."""

from pathlib import Path

import numpy as np

from fewlabels.features.pixels import scale_pixels
from fewlabels.pool import Pool, write
from fewlabels.run import Local


def test_pixels_are_scaled_and_raised_to_a_power() -> None:
    images = np.array([[0, 51, 255]], np.uint8)
    assert scale_pixels(images).dtype == np.float32
    np.testing.assert_allclose(scale_pixels(images), [[0, 0.2, 1]], rtol=1e-6)
    np.testing.assert_allclose(scale_pixels(images, 0.5), [[0, 0.2**0.5, 1]], rtol=1e-6)
    np.testing.assert_array_equal(images, [[0, 51, 255]])


def test_a_power_above_one_makes_less_of_the_faint_parts() -> None:
    np.testing.assert_allclose(scale_pixels([[0, 51, 255]], 2), [[0, 0.04, 1]], rtol=1e-6)


def test_a_pool_gives_a_pool(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4), np.uint8)
    for number, chunk in enumerate((images[:3], images[3:])):
        write(tmp_path / "images", number, chunk)
    with Local(tmp_path / "scratch"):
        scaled = scale_pixels(Pool(tmp_path / "images"), 0.5)
        assert scaled.chunk == 3
        np.testing.assert_array_equal(scaled.array(), scale_pixels(images, 0.5))
