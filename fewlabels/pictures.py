"""Figures for a person to look at: grids of labelled images, sheets of a pile, accuracies of classifiers as bars."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewlabels.arrays import Floats, evenly_spaced
from fewlabels.pool import Rows, as_pool

COLUMNS = 12
"""Images in one row of a grid."""
SIDE, GAP, CAPTION, TITLE = 1.05, 0.1, 0.45, 0.4
"""Inches: of an image and between two of them, of two lines above an image, of the line above all."""
ROWS = 30
"""Classes on a sheet at most."""
SAMPLE = 100
"""Images at most whose borders say how grey images are shown."""
BLACK = 16
"""Grey images with a border darker than this, such as white drawings on black, are shown inverted: paper is white."""


def image_grid(images: NDArray[np.uint8], captions: Sequence[str], title: str) -> Figure:
    """Draw a grid of images, each with a caption.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height, width) or (n, height, width, 3)
    captions : sequence of n str
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> len(image_grid(np.zeros((13, 8, 8), np.uint8), ["cat"] * 13, "Cats").axes)
    24
    """
    figure, axes = _grid(max(1, ceil(len(images) / COLUMNS)), title)
    colours = _colours(images)
    for axis, image, caption in zip(axes.ravel(), images, captions, strict=False):
        axis.imshow(image, cmap=colours, vmin=0, vmax=255)
        axis.set_title(caption, fontsize=8)
    return figure


def contact_sheet(
    images: Rows,
    image_shape: Sequence[int],
    predicted: NDArray[np.uint8],
    confidence: Floats,
    classes: Sequence[str],
    *,
    rows: NDArray[np.int64] | None = None,
) -> Figure:
    """Draw the images of which a model is most and least sure, a row for each class that it predicts.

    Parameters
    ----------
    images : ndarray or Pool of uint8, shape (n, pixels)
        Only what is shown is read.
    image_shape : (int, int) or (int, int, 3)
    predicted : ndarray of uint8, shape (m,)
        The likeliest class of each image.
    confidence : ndarray of float32, shape (m,)
        Its probability.
    classes : sequence of n_classes str
    rows : ndarray of int64, shape (m,), optional
        The images that the predictions are of; all if not given.

    Returns
    -------
    matplotlib.figure.Figure
        Six of the most sure on the left, six of the least sure on the right; of 30 classes, the most frequent, at most.

    Examples
    --------
    >>> images, predicted = np.zeros((3, 64), np.uint8), np.array([0, 0, 1], np.uint8)
    >>> figure = contact_sheet(images, (8, 8), predicted, np.array([0.9, 0.6, 0.8], np.float32), ["cat", "dog"])
    >>> [axis.get_title() for axis in figure.axes if axis.get_title()]
    ['cat 90 %', '60 %', 'dog 80 %']
    """
    pool = as_pool(images)
    counts = np.bincount(predicted, minlength=len(classes))
    shown = np.argsort(-counts, kind="stable")[: min(ROWS, np.count_nonzero(counts))]
    left_out = f"; the {len(shown)} most frequent classes" if len(shown) < np.count_nonzero(counts) else ""
    title = f"Most sure, and least sure, of each class{left_out}" if len(shown) else "No predictions"
    figure, axes = _grid(max(1, len(shown)), title)
    colours = _colours(pool.take(evenly_spaced(len(pool), SAMPLE)).reshape(-1, *image_shape))
    for row, label in zip(axes, np.sort(shown), strict=False):
        members = np.flatnonzero(predicted == label)
        order = members[np.argsort(-confidence[members], kind="stable")]
        most, least = order[: COLUMNS // 2], order[COLUMNS // 2 :][-COLUMNS // 2 :]
        for axis, image in zip([*row[: len(most)], *row[COLUMNS - len(least) :]], [*most, *least], strict=True):
            (pixels,) = pool.take([image if rows is None else rows[image]])
            axis.imshow(pixels.reshape(image_shape), cmap=colours, vmin=0, vmax=255)
            name = f"{classes[label]} " if image == order[0] else ""
            axis.set_title(f"{name}{100 * confidence[image]:.0f} %", fontsize=8)
    return figure


def _grid(rows: int, title: str) -> tuple[Figure, NDArray[np.object_]]:
    """Make places for images, with room for two lines above each; matplotlib takes a second to find such a layout."""
    width, height = COLUMNS * (SIDE + GAP), rows * (SIDE + CAPTION) + TITLE
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, y=1 - GAP / height, va="top")
    axes = figure.subplots(
        rows,
        COLUMNS,
        squeeze=False,
        gridspec_kw={
            "left": GAP / 2 / width,
            "right": 1 - GAP / 2 / width,
            "bottom": GAP / 2 / height,
            "top": 1 - (TITLE + CAPTION - GAP / 2) / height,
            "wspace": GAP / SIDE,
            "hspace": CAPTION / SIDE,
        },
    )
    for axis in axes.ravel():
        axis.set_axis_off()
    return figure, axes


def _colours(images: NDArray[np.uint8]) -> str:
    """Choose how grey images are shown, by the median of their borders."""
    if images.ndim == 4 or not images.size:
        return "gray"
    some = images[evenly_spaced(len(images), SAMPLE)]
    border = np.concatenate([some[:, [0, -1]].ravel(), some[:, :, [0, -1]].ravel()])
    return "gray_r" if np.median(border) < BLACK else "gray"


def accuracy_bars(accuracies: Mapping[str, Mapping[str, float]], colours: Mapping[str, str], title: str) -> Figure:
    """Draw the test accuracy of each classifier on each label set as bars.

    Parameters
    ----------
    accuracies : mapping of str to mapping of str to float
        `accuracies["network"]["random"]` is a fraction.
    colours : mapping of str to str
        A colour for each classifier.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = accuracy_bars({"network": {"random": 0.8, "all": 0.9}}, {"network": "black"}, "Few labels")
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ['random', 'all']
    """
    label_sets = list(dict.fromkeys(name for by_label_set in accuracies.values() for name in by_label_set))
    figure = Figure(figsize=(9, 1.2 + 0.6 * len(label_sets)), layout="constrained")
    axis = figure.subplots()
    height = 0.8 / max(1, len(accuracies))
    for place, (classifier, by_label_set) in enumerate(accuracies.items()):
        where = [label_sets.index(name) + (place - (len(accuracies) - 1) / 2) * height for name in by_label_set]
        values = [100 * value for value in by_label_set.values()]
        bars = axis.barh(where, values, height, color=colours[classifier], label=classifier)
        axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axis.set_yticks(range(len(label_sets)), label_sets)
    axis.invert_yaxis()
    axis.set_xlim(0, 108)
    axis.set_xlabel("test accuracy, %")
    axis.set_title(title)
    axis.spines[["top", "right"]].set_visible(False)
    if label_sets:
        figure.legend(loc="outside upper right", ncols=len(accuracies))
    return figure
