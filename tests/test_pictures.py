"""Figures, read back from matplotlib: which image, bar and word stands where."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fewlabels.pictures import accuracy_bars, image_grid


def title_of(figure: Figure) -> str:
    return str(figure.get_suptitle() or figure.axes[0].get_title())


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (1, 1), (12, 1), (13, 2), (25, 3)])
def test_a_grid_has_twelve_images_in_a_row(count: int, rows: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 5)).astype(np.uint8)
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


def test_captions_do_not_overlap() -> None:
    """Two lines of ten letters, drawn as wide as an image is."""
    figure = image_grid(np.zeros((26, 8, 8), np.uint8), ["given: abcd\ntrue: abcd"] * 26, "Captions")
    figure.draw_without_rendering()
    captions = [axis.title.get_window_extent() for axis in figure.axes[:26]]
    pictures = [axis.get_window_extent() for axis in figure.axes[:26]]
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
