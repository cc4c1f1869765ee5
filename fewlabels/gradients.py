"""Features that see shapes rather than pixels: where in an image edges run in which direction.

Histograms of oriented gradients (N. Dalal and B. Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR
2005), with edges shared between neighbouring directions and between neighbouring cells, so that a small shift or turn
of an image changes them little; then the principal components, as many as matter.
"""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fewlabels.threads import each

ORIENTATIONS = 8
"""Directions told apart, in the full circle: from dark to light is not from light to dark."""
CELLS = 9
"""Cells along a side of 28 pixels, 3 pixels apart."""
FLOOR = 0.01
"""Added to the edges in a block, so that the noise of an empty one is not made large."""
SAMPLE = 12_000
"""Images that the principal components are computed from."""
CHUNK = 512
"""Images at a time, so that memory stays bounded: some 10 MB for each thread."""

Floats = NDArray[np.float32]


class Gradients(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Oriented gradients of images, reduced to their principal components.

    Not whitened: directions of large variance count for more. One number scales all of them, such that the mean squared
    norm of the images fitted to is 1, and one kernel width suits all data.

    Parameters
    ----------
    image_shape : (int, int)
        Height and width of an image, in pixels.
    components : int, default=300
        Numbers kept for each image; fewer where the data have fewer.

    Attributes
    ----------
    mean_ : ndarray of float32, shape (f,)
        Mean of the oriented gradients.
    components_ : ndarray of float32, shape (f, components)
        The principal directions, divided by the scale.
    n_features_in_ : int
        Pixels of an image.
    """

    def __init__(self, image_shape: Sequence[int], components: int = 300) -> None:
        self.image_shape = image_shape
        self.components = components

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the principal components.

        Parameters
        ----------
        X : array-like of uint8, shape (n, height * width)
        y : ignored

        Returns
        -------
        self
        """
        images = _checked(X, self.image_shape)
        rows = np.linspace(0, len(images) - 1, min(len(images), SAMPLE)).astype(np.int64)
        features = _in_chunks(images[rows], lambda chunk: oriented_gradients(chunk, self.image_shape))
        self.mean_ = features.mean(axis=0)
        features -= self.mean_
        count = min(self.components, len(rows), features.shape[1])
        last = features.shape[1] - 1
        variances, directions = eigh(features.T @ features / len(rows), subset_by_index=(last + 1 - count, last))
        scale = np.sqrt(max(variances.sum(), np.finfo(np.float32).tiny))
        self.components_ = np.ascontiguousarray(directions[:, ::-1] / scale, np.float32)
        self.n_features_in_ = images.shape[1]
        self._n_features_out = count
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Describe images.

        Parameters
        ----------
        X : array-like of uint8, shape (n, height * width)

        Returns
        -------
        ndarray of float32, shape (n, components)
        """
        check_is_fitted(self)
        images = _checked(X, self.image_shape)
        return _in_chunks(
            images, lambda chunk: (oriented_gradients(chunk, self.image_shape) - self.mean_) @ self.components_
        )


def oriented_gradients(images: NDArray[np.uint8], image_shape: Sequence[int]) -> Floats:
    """Compute how strong edges are in each direction, about each place of a grid.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height * width)
    image_shape : (int, int)

    Returns
    -------
    ndarray of float32, shape (n, f)
        For each block of 2 x 2 neighbouring cells, row by row, its cells' strengths in each direction, with their sum
        scaled to about 1, then the square root. 2,048 numbers for 28 x 28 pixels.
    """
    height, width = image_shape
    pixels = np.sqrt(images.reshape(-1, height, width) * np.float32(1 / 255))
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1)))
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = np.hypot(across, down)
    direction = np.arctan2(down, across) * np.float32(ORIENTATIONS / (2 * np.pi)) % ORIENTATIONS
    rows, columns = _pooling(height), _pooling(width)
    cells = np.empty((len(pixels), len(rows), len(columns), ORIENTATIONS), np.float32)
    for orientation in range(ORIENTATIONS):
        apart = np.abs(direction - orientation)
        share = np.maximum(1 - np.minimum(apart, ORIENTATIONS - apart), 0)
        cells[..., orientation] = rows @ ((strength * share) @ columns.T)
    blocks = np.lib.stride_tricks.sliding_window_view(cells, (2, 2), axis=(1, 2))
    blocks = blocks.reshape(len(pixels), (len(rows) - 1) * (len(columns) - 1), -1)
    shares = np.sqrt(blocks / (blocks.sum(axis=2, keepdims=True) + np.float32(FLOOR)))
    return np.asarray(shares.reshape(len(pixels), -1), np.float32)


def _pooling(size: int) -> Floats:
    """Give the weight of each pixel in each cell along a side: Gaussians that overlap, each with a sum of 1."""
    cells = int(np.clip(round(size * CELLS / 28), 4, CELLS))
    margin = 1.5 * size / 28
    centres = np.linspace(margin, size - 1 - margin, cells)
    spacing = centres[1] - centres[0]
    weights = np.exp(-0.5 * ((np.arange(size) - centres[:, None]) / (spacing / 2)) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _checked(X: ArrayLike, image_shape: Sequence[int]) -> NDArray[np.uint8]:
    images = np.asarray(X)
    if images.ndim != 2 or images.shape[1] != np.prod(image_shape):
        raise ValueError(f"images of shape {images.shape} are not rows of {' x '.join(map(str, image_shape))} pixels")
    return images


def _in_chunks(images: NDArray[np.uint8], describe: Callable[[NDArray[np.uint8]], Floats]) -> Floats:
    first = describe(images[:1])
    out = np.empty((len(images), first.shape[1]), np.float32)

    def fill(rows: slice) -> None:
        out[rows] = describe(images[rows])

    each(fill, len(images), CHUNK)
    return out
