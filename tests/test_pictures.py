"""Figures, read back from matplotlib: which image, bar and word stands where."""

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewlabels.pictures import ROWS, accuracy_bars, contact_sheet, image_grid


def title_of(figure: Figure) -> str:
    return str(figure.get_suptitle() or figure.axes[0].get_title())


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (1, 1), (12, 1), (13, 2), (25, 3)])
def test_a_grid_has_twelve_images_in_a_row(count: int, rows: int) -> None:
    images = np.random.default_rng(0).integers(0, 200, (count, 4, 5)).astype(np.uint8)
    images[:, [0, -1]] = images[:, :, [0, -1]] = 0
    figure = image_grid(images, [f"number {number}" for number in range(count)], "Some images")
    assert title_of(figure) == "Some images"
    assert len(figure.axes) == 12 * rows
    assert figure.axes[0].get_subplotspec().get_geometry()[:2] == (rows, 12)
    for number, axis in enumerate(figure.axes):
        assert not axis.axison
        if number < count:
            [shown] = axis.get_images()
            np.testing.assert_array_equal(shown.get_array(), images[number])
            assert shown.get_clim() == (0, 255), "black and white mean the same in each image"
            assert shown.get_cmap().name == "gray_r"
            assert axis.get_title() == f"number {number}"
        else:
            assert not axis.get_images()


@pytest.mark.parametrize("count", [1, 26, 60])
def test_captions_do_not_overlap(count: int) -> None:
    """Two lines of ten letters, drawn as wide as an image is."""
    figure = image_grid(np.zeros((count, 8, 8), np.uint8), ["given: abcd\ntrue: abcd"] * count, "Captions")
    figure.draw_without_rendering()
    captions = [axis.title.get_window_extent() for axis in figure.axes[:count]]
    pictures = [axis.get_window_extent() for axis in figure.axes[:count]]
    heading = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
    for number, caption in enumerate(captions):
        others = [*captions[:number], *captions[number + 1 :], *pictures, heading]
        assert not any(caption.overlaps(other) for other in others)
        assert caption.x0 >= 0
        assert caption.x1 <= figure.bbox.x1
    assert min(picture.width for picture in pictures) > 70, "pixels, of 100 in an inch"


ACCURACIES = {"network": {"few": 0.8, "all": 0.9456}, "ridge": {"all": 0.7, "other": 0.25}}
COLOURS = {"network": "#112233", "ridge": "#445566"}


def test_bars_stand_at_their_label_set_one_below_the_other() -> None:
    """Two classifiers share a height of 0.8 about the place of each label set."""
    figure = accuracy_bars(ACCURACIES, COLOURS, "Accuracy")
    [axis] = figure.axes
    assert title_of(figure) == "Accuracy"
    assert [text.get_text() for text in axis.get_yticklabels()] == ["few", "all", "other"]
    assert axis.get_yticks().tolist() == [0, 1, 2]
    assert axis.yaxis_inverted()
    assert axis.get_xlabel() == "test accuracy, %"
    assert axis.get_xlim() == (0, 108)
    found = [
        (bar.get_y() + bar.get_height() / 2, bar.get_width(), bar.get_height(), to_hex(bar.get_facecolor()))
        for bar in axis.patches
    ]
    wanted = [
        (-0.2, 80, 0.4, "#112233"),
        (0.8, 94.56, 0.4, "#112233"),
        (1.2, 70, 0.4, "#445566"),
        (2.2, 25, 0.4, "#445566"),
    ]
    for bar, values in zip(found, wanted, strict=True):
        assert bar[:3] == pytest.approx(values[:3])
        assert bar[3] == values[3]
    assert [text.get_text() for text in axis.texts] == ["80.00", "94.56", "70.00", "25.00"]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["network", "ridge"]
    assert [axis.spines[side].get_visible() for side in ("top", "right", "left")] == [False, False, True]


def test_one_classifier_is_in_the_middle_of_its_label_set() -> None:
    [bar] = accuracy_bars({"ridge": {"all": 1.0}}, COLOURS, "Accuracy").axes[0].patches
    assert (bar.get_y(), bar.get_height()) == pytest.approx((-0.4, 0.8))


def test_no_classifier_has_no_bars_and_no_legend() -> None:
    figure = accuracy_bars({}, {}, "Nothing")
    assert not figure.axes[0].patches
    assert not figure.legends


@pytest.mark.parametrize("count", [1, 7])
def test_a_legend_and_values_overlap_nothing(count: int) -> None:
    names = [f"label set {number}" for number in range(count)]
    accuracies = {classifier: dict.fromkeys(names, 1.0) for classifier in COLOURS}
    figure = accuracy_bars(accuracies, COLOURS, "Accuracy")
    figure.draw_without_rendering()
    [axis], [legend] = figure.axes, figure.legends
    values = [text.get_window_extent() for text in axis.texts]
    assert not any(one.overlaps(other) for place, one in enumerate(values) for other in values[:place])
    assert all(value.x1 < axis.get_window_extent().x1 for value in values)
    box = legend.get_window_extent()
    assert box.y0 >= axis.get_window_extent().y1
    assert box.x1 <= figure.bbox.x1
    names_left = min(text.get_window_extent().x0 for text in axis.get_yticklabels())
    assert names_left >= 0


def sheet(images: NDArray[np.uint8], probabilities: NDArray[np.float32], classes: list[str], **rows: Any) -> Figure:
    predicted, confidence = probabilities.argmax(axis=1).astype(np.uint8), probabilities.max(axis=1, initial=0)
    pixels = images.reshape(len(images), int(np.prod(images.shape[1:])))
    return contact_sheet(pixels, images.shape[1:], predicted, confidence, classes, **rows)


@pytest.mark.parametrize(("border", "colours"), [(0, "gray_r"), (15, "gray_r"), (16, "gray"), (255, "gray")])
def test_white_on_black_is_inverted_and_a_photograph_is_not(border: int, colours: str) -> None:
    images = np.full((3, 6, 6), border, np.uint8)
    images[:, 2:4, 2:4] = 130
    for figure in (
        image_grid(images, ["a"] * 3, "Grey"),
        sheet(images, np.eye(3, dtype=np.float32), ["a", "b", "c"]),
    ):
        [shown] = figure.axes[0].get_images()
        assert shown.get_cmap().name == colours


def test_colours_are_shown_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    figure = image_grid(images, ["a", "b"], "Colours")
    np.testing.assert_array_equal(figure.axes[1].get_images()[0].get_array(), images[1])


def test_a_sheet_has_the_most_and_the_least_sure_of_each_class() -> None:
    """Class 0 has 20 images, the surest first; class 1 none; class 2 two."""
    sure = np.linspace(0.99, 0.5, 20)
    probabilities = np.zeros((22, 3), np.float32)
    probabilities[:20, 0], probabilities[:20, 1] = sure, 1 - sure
    probabilities[20:, 2] = 1
    images = np.arange(22, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    figure = sheet(images, probabilities, ["cat", "dog", "eel"])
    assert len(figure.axes) == 24
    shown = [int(axis.get_images()[0].get_array()[0, 0, 0]) if axis.get_images() else None for axis in figure.axes]
    assert shown == [*range(6), *range(14, 20), 20, 21, *[None] * 10]
    assert [axis.get_title() for axis in figure.axes[:2]] == ["cat 99 %", "96 %"]
    assert figure.axes[12].get_title() == "eel 100 %"


def test_a_sheet_shows_the_rows_that_the_probabilities_are_of() -> None:
    images = np.arange(9, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    figure = sheet(images, np.eye(2, dtype=np.float32), ["a", "b"], rows=np.array([7, 4]))
    assert [int(figure.axes[place].get_images()[0].get_array()[0, 0]) for place in (0, 12)] == [7, 4]


def test_a_sheet_of_many_classes_shows_the_most_frequent() -> None:
    labels = np.repeat(np.arange(200), 1 + (np.arange(200) >= 190))
    images = np.zeros((len(labels), 4, 4), np.uint8)
    figure = sheet(images, np.eye(200, dtype=np.float32)[labels], [f"class {one}" for one in range(200)])
    titles = [axis.get_title() for axis in figure.axes[::12]]
    assert len(titles) == ROWS
    assert titles[-10:] == [f"class {one} 100 %" for one in range(190, 200)]
    assert "30 most frequent classes" in title_of(figure)


def test_a_sheet_of_nothing_says_so() -> None:
    assert title_of(sheet(np.empty((0, 4, 4), np.uint8), np.empty((0, 2), np.float32), ["a", "b"])) == "No predictions"
