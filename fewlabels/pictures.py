"""Figures for a person to look at: grids of labelled images, and the accuracy of each classifier as bars."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

COLUMNS = 12
"""Images in one row of a grid."""


def image_grid(images: NDArray[np.uint8], captions: Sequence[str], title: str) -> Figure:
    """Draw a grid of images, each with a caption.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height, width)
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
    rows = max(1, ceil(len(images) / COLUMNS))
    figure = Figure(figsize=(1.15 * COLUMNS, 1.5 * rows + 0.6), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, caption in zip(axes, images, captions, strict=False):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axis.set_title(caption, fontsize=8)
    return figure


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
