"""Oriented gradients against a reference written pixel by pixel, and what their components must keep."""

from collections.abc import Callable
from math import atan2, exp, hypot, pi, sqrt
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from shards import shards
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fewlabels import principal_axes
from fewlabels.features import hog as hog_module
from fewlabels.features.hog import HOG, oriented_gradients
from fewlabels.pool import Pool


def images(count: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, height * width)).astype(np.uint8)


def reference(image: NDArray[np.uint8], cells: int, margin: float, sigma: float) -> list[float]:
    """What the module says, one pixel at a time, for a square image."""
    size = len(image)
    brightness = [[sqrt(value / 255) for value in row] for row in image]

    def at(row: int, column: int) -> float:
        return brightness[row][column] if 0 <= row < size and 0 <= column < size else 0.0

    centres = [margin + cell * (size - 1 - 2 * margin) / (cells - 1) for cell in range(cells)]
    weights = [[exp(-0.5 * ((pixel - centre) / sigma) ** 2) for pixel in range(size)] for centre in centres]
    weights = [[weight / sum(row) for weight in row] for row in weights]
    pooled = np.zeros((cells, cells, 8))
    for row in range(size):
        for column in range(size):
            across = at(row, column + 1) - at(row, column - 1)
            down = at(row + 1, column) - at(row - 1, column)
            turned = atan2(down, across) / (2 * pi) * 8 % 8
            lower = int(turned) % 8
            for orientation, share in ((lower, 1 - turned % 1), ((lower + 1) % 8, turned % 1)):
                for i in range(cells):
                    for j in range(cells):
                        pooled[i, j, orientation] += weights[i][row] * weights[j][column] * share * hypot(across, down)
    described: list[float] = []
    for i in range(cells - 1):
        for j in range(cells - 1):
            block = pooled[i : i + 2, j : j + 2]
            described += sorted(np.sqrt(block / (block.sum() + 0.01)).ravel().tolist())
    return described


@pytest.mark.parametrize("kind", [np.asarray, Pool])
def test_some_rows_are_fitted_to_as_if_there_were_no_others(kind: Callable[[NDArray[np.uint8]], Any]) -> None:
    every, rows = images(40, 8, 8), np.arange(0, 40, 3)
    alone, among = HOG((8, 8), 5).fit(every[rows]), HOG((8, 8), 5).fit_rows(kind(every), rows)
    np.testing.assert_array_equal(among.pca_.components_, alone.pca_.components_)
    np.testing.assert_array_equal(among.transform(every), alone.transform(every))
    assert among.n_features_in_ == 64
    with pytest.raises(ValueError, match="not rows of 9 x 9 pixels"):
        HOG((9, 9)).fit_rows(kind(every), rows)


@pytest.mark.parametrize(
    ("size", "cells", "sigma"), [(28, 9, 1.5), (56, 9, 49 / 16), (20, 6, (19 - 15 / 7) / 10), (8, 4, (7 - 6 / 7) / 6)]
)
def test_gradients_are_those_of_the_reference(size: int, cells: int, sigma: float) -> None:
    """Within a block, the order of the numbers does not matter to any method: they are compared in rising order."""
    found = oriented_gradients(images(2, size, size), (size, size))
    assert found.shape == (2, (cells - 1) ** 2 * 32)
    for image, described in zip(images(2, size, size), found, strict=True):
        wanted = reference(image.reshape(size, size), cells, 1.5 * size / 28, sigma)
        in_order = np.sort(described.reshape(-1, 32), axis=1).ravel()
        np.testing.assert_allclose(in_order, wanted, atol=1e-5)


def test_of_a_pile_on_disk_few_histograms_are_in_memory_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fitted twice as slowly, to the same last bit: 128 images are described and 1,024 are multiplied at a time."""
    pixels = images(1500, 8, 8)
    wanted = HOG((8, 8), 5).fit(pixels)
    described, multiplied = [], []
    monkeypatch.setattr(
        hog_module, "oriented_gradients", lambda *given: described.append(len(given[0])) or oriented_gradients(*given)
    )
    products = principal_axes._products
    monkeypatch.setattr(principal_axes, "_products", lambda X: multiplied.append(X.shape[1]) or products(X))
    found = HOG((8, 8), 5).fit(shards(tmp_path, pixels))
    np.testing.assert_array_equal(found.pca_.components_, wanted.pca_.components_)
    assert (max(described), sum(described)) == (128, 1 + 2 * 1500)
    assert sorted(multiplied) == [476, 1024]


def test_an_image_without_edges_inside_has_none() -> None:
    inside = oriented_gradients(np.full((1, 28 * 28), 200, np.uint8), (28, 28)).reshape(8, 8, 32)[2:6, 2:6]
    assert inside.max() < 0.05


def test_from_dark_to_light_is_not_from_light_to_dark() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[:, 14:] = 255
    one, other = oriented_gradients(np.stack([image.ravel(), image[:, ::-1].ravel()]), (28, 28))
    assert np.abs(one - other).max() > 0.3


def test_components_are_scaled_to_a_mean_squared_norm_of_one() -> None:
    pixels = images(400, 12, 10)
    hog = HOG((12, 10), n_components=50).fit(pixels)
    described = hog.transform(pixels)
    assert described.shape == (400, 50)
    assert described.dtype == np.float32
    assert np.mean(np.sum(described**2, axis=1)) == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(described.mean(axis=0), 0, atol=1e-4)
    variances = described.var(axis=0)
    assert (np.diff(variances) <= 1e-6).all(), "the largest first"


def test_all_components_keep_all_distances() -> None:
    pixels = images(30, 8, 8)
    hog = HOG((8, 8)).fit(pixels)
    described, plain = hog.transform(pixels), oriented_gradients(pixels, (8, 8))
    assert described.shape == (30, 30), "no more than there are images"
    ratio = np.linalg.norm(plain[0] - plain[1:], axis=1) / np.linalg.norm(described[0] - described[1:], axis=1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_rows_do_not_depend_on_each_other_and_a_copy_does_the_same(tmp_path: object) -> None:
    pixels = images(1200, 8, 8)
    hog = HOG((8, 8), n_components=20).fit(pixels)
    joblib.dump(hog, f"{tmp_path}/hog.joblib")
    copy = joblib.load(f"{tmp_path}/hog.joblib")
    np.testing.assert_allclose(copy.transform(pixels)[700:703], hog.transform(pixels[700:703]), atol=1e-5)
    assert clone(hog).n_components == 20


def test_identical_images_have_finite_features() -> None:
    assert np.isfinite(HOG((8, 8)).fit_transform(np.zeros((20, 64), np.uint8))).all()


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="not rows of 8 x 8 pixels"):
        HOG((8, 8)).fit(images(5, 8, 9))


@pytest.mark.parametrize("image_shape", [(8,), (8, 8, 1), (8, 0), (1, 64), (8.0, 8.0), (True, 64), ("8", "8"), None, 8])
def test_an_image_shape_that_is_none_is_refused(image_shape: Any) -> None:
    with pytest.raises(InvalidParameterError, match="'image_shape' parameter of HOG must be"):
        HOG(image_shape).fit(images(5, 8, 8))


@pytest.mark.parametrize("n_components", [0, -1, 2.5, "3", True])
def test_a_number_of_components_that_is_none_is_refused(n_components: Any) -> None:
    with pytest.raises(InvalidParameterError, match="'n_components' parameter of HOG must be an int"):
        HOG((8, 8), n_components=n_components).fit(images(5, 8, 8))


@pytest.mark.parametrize(("value", "message"), [(-1, "from -1.0 to"), (256, "to 256.0 are"), (np.nan, "contains NaN")])
def test_pixels_that_are_none_are_refused(value: float, message: str) -> None:
    pixels = images(5, 8, 8).astype(np.float64)
    hog = HOG((8, 8)).fit(pixels)
    pixels[2, 3] = value
    for method in (hog.transform, HOG((8, 8)).fit):
        with pytest.raises(ValueError, match=message):
            method(pixels)


OTHER_SHAPES = """
    fit_score_takes_y estimators_overwrite_params dont_overwrite_parameters estimators_fit_returns_self
    readonly_memmap_input positive_only_tag_during_fit estimators_dtypes dtype_object pipeline_consistency
    estimators_nan_inf estimators_pickle f_contiguous_array_estimator transformer_data_not_an_array transformer_general
    transformer_preserve_dtypes methods_sample_order_invariance methods_subset_invariance fit2d_1sample fit2d_1feature
    dict_unchanged fit_idempotent fit_check_is_fitted n_features_in fit2d_predict1d
"""


@parametrize_with_checks(
    [HOG((2, 2), n_components=2)],
    expected_failed_checks=lambda _: dict.fromkeys(
        [f"check_{name}" for name in OTHER_SHAPES.split()], "its data are no rows of height x width pixels"
    ),
)
def test_it_keeps_the_conventions_of_scikit_learn(estimator: HOG, check: Callable[[HOG], None]) -> None:
    check(estimator)


def test_grey_images_are_seen_as_before_colours_were() -> None:
    """Sums of the histograms of three images, by the code that knew no colours."""
    found = oriented_gradients(images(3, 28, 28), (28, 28)).sum(axis=1, dtype=np.float64)
    np.testing.assert_allclose(found, GREY_SUMS, rtol=1e-5)


GREY_SUMS = [351.8268, 351.2406, 352.4169]


def test_of_colours_the_strongest_counts_at_each_pixel() -> None:
    grey = images(2, 12, 9).reshape(2, 12, 9)
    same = np.repeat(grey[..., None], 3, axis=-1)
    wanted = oriented_gradients(grey.reshape(2, -1), (12, 9))
    np.testing.assert_array_equal(oriented_gradients(same.reshape(2, -1), (12, 9, 3)), wanted)
    green = np.zeros((2, 12, 9, 3), np.uint8)
    green[..., 1] = grey
    np.testing.assert_array_equal(oriented_gradients(green.reshape(2, -1), (12, 9, 3)), wanted)


def test_an_edge_between_colours_of_the_same_brightness_is_seen() -> None:
    halves = np.zeros((1, 16, 16, 3), np.uint8)
    halves[:, :, :8, 0], halves[:, :, 8:, 1] = 200, 200
    assert oriented_gradients(halves.reshape(1, -1), (16, 16, 3)).max() > 0.5
    assert (
        oriented_gradients(halves.mean(axis=-1).astype(np.uint8).reshape(1, -1), (16, 16)).sum()
        < oriented_gradients(halves.reshape(1, -1), (16, 16, 3)).sum()
    )


@pytest.mark.parametrize("shape", [(8,), (8, 8, 4), (8, 8, 1), (1, 8, 3), (8, 8, 3, 3)])
def test_a_shape_with_other_colours_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidParameterError, match="two whole numbers above 1, and 3 for colours"):
        HOG(shape).fit(images(3, 8, 8))
