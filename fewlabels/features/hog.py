"""Histograms of oriented gradients (HOG): where in an image edges run in which direction.

They describe shapes better than pixels do. The method: N. Dalal and B. Triggs, "Histograms of Oriented
Gradients for Human Detection", CVPR 2005. Here each edge counts in the two nearest directions and in the neighbouring
cells, so that a small shift or turn of an image changes its features little; then come the principal components.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted, validate_data

from fewlabels.arrays import ComputedRows, Floats, evenly_spaced
from fewlabels.estimators import over_pools
from fewlabels.features.scaled_pca import ScaledPCA
from fewlabels.parameters import WholeNumber
from fewlabels.pool import Pool, as_pool
from fewlabels.threads import for_each_chunk

ORIENTATIONS = 8
"""Orientation bins over 360 degrees (signed gradients): from dark to light is not from light to dark."""
SIDE = 28
"""Height and width, in pixels, of the images that the number of cells suits."""
CELLS, FEWEST = 9, 4
"""Cells along a side of SIDE pixels or more; fewer in proportion along a shorter one, but at least FEWEST."""
FLOOR = 0.01
"""Added to the sum of a block before dividing by it, so that noise in an empty block stays small."""
SAMPLE = 12_000
"""Images at most that the principal components are computed from."""
CHUNK = 512
"""Images of 28 x 28 pixels at a time, fewer of larger ones: so memory stays bounded, some 10 MB for each thread.

Always a power of two, so that a chunk of a pool is a whole number of them: what a matrix product makes of a row may
differ, in its last bit, with how many rows there are.
"""


class HOG(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Histograms of oriented gradients, reduced to their principal components.

    The components are scaled by one number to a mean squared norm of 1, as `ScaledPCA` does, so that one kernel width
    suits images of every kind.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
        Height and width of an image, in pixels; grey, or red, green and blue.
    n_components : int, default=300
        Numbers kept for each image; fewer where the data have fewer.

    Attributes
    ----------
    pca_ : ScaledPCA
        Fitted to the histograms of at most 12,000 of the images, evenly spaced.
    n_features_in_ : int
        Pixels of an image, three numbers for each where there are colours.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (50, 64), dtype=np.uint8)
    >>> HOG((8, 8), n_components=10).fit_transform(images).shape
    (50, 10)
    """

    _parameter_constraints: ClassVar = {
        "image_shape": ["array-like"],
        "n_components": [WholeNumber(1)],
    }

    def __init__(self, image_shape: Sequence[int], n_components: int = 300) -> None:
        self.image_shape = image_shape
        self.n_components = n_components

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike | Pool, y: object = None) -> Self:
        """Find the principal components.

        Parameters
        ----------
        X : array-like or Pool of uint8, shape (n, pixels)
            Of a pool only the images fitted to are read.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError
            If image_shape is not two whole numbers above 1, and 3 where there are colours, or n_components is not one
            above 0.
        ValueError
            If X is not of that shape, or a pixel not between 0 and 255.
        """
        images = self._opened(X)
        return self._fit(images, evenly_spaced(len(images), SAMPLE))

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit_rows(self, X: ArrayLike | Pool, rows: NDArray[np.int64]) -> Self:
        """Find the principal components of some of the images, such as one of each that has copies.

        Parameters
        ----------
        X : array-like or Pool of uint8, shape (n, pixels)
            Of a pool only those fitted to are read, some at a time.
        rows : ndarray of int64, shape (m,)
            Of more than 12,000, so many are taken, evenly spaced.

        Returns
        -------
        self

        Raises
        ------
        InvalidParameterError, ValueError
            As of `fit`.
        """
        return self._fit(self._opened(X), rows)

    def _opened(self, X: ArrayLike | Pool) -> Pool:
        """Check images; of a pool the first one, for all have its shape."""
        if isinstance(X, Pool):
            self._checked(X.take(np.arange(min(1, len(X)))), reset=True)
            return X
        return as_pool(self._checked(X, reset=True))

    def _fit(self, images: Pool, rows: NDArray[np.int64]) -> Self:
        numbers = self._histograms(images.take(rows[:1])).shape[1]
        rows = rows[evenly_spaced(len(rows), SAMPLE)]
        chunk = max(1, _chunk_of(images.shape[1]) // 4)  # what a thread holds beside its part of the histograms

        def histograms(places: slice) -> Floats:
            taken = rows[places]
            out = np.empty((len(taken), numbers), np.float32)
            for start in range(0, len(taken), chunk):
                out[start : start + chunk] = self._histograms(images.take(taken[start : start + chunk]))
            return out

        seen = ComputedRows(histograms, (len(rows), numbers))
        self.pca_ = ScaledPCA(self.n_components).fit_computed(seen, kept=images.in_memory)
        self._n_features_out = self.pca_.components_.shape[1]
        return self

    @over_pools("features")
    def transform(self, X: ArrayLike | Pool) -> Floats | Pool:
        """Compute the features of images.

        Parameters
        ----------
        X : array-like or Pool of uint8, shape (n, pixels)

        Returns
        -------
        ndarray or Pool of float32, shape (n, n_components)

        Raises
        ------
        ValueError
            If X is not of that shape, or a pixel not between 0 and 255.
        """
        check_is_fitted(self)
        images = self._checked(X, reset=False)
        out = np.empty((len(images), self._n_features_out), np.float32)

        def fill(rows: slice) -> None:
            out[rows] = self.pca_.transform(self._histograms(images[rows]))

        for_each_chunk(fill, len(images), _chunk_of(images.shape[1]))
        return out

    def _checked(self, X: ArrayLike | Pool, reset: bool) -> NDArray[Any]:
        shape = tuple(self.image_shape)
        if shape[2:] not in ((), (3,)) or not all(WholeNumber(2).is_satisfied_by(side) for side in (*shape, 0, 0)[:2]):
            raise InvalidParameterError(
                f"The 'image_shape' parameter of HOG must be two whole numbers above 1, and 3 for colours, not {shape}"
            )
        images: NDArray[Any] = validate_data(self, X, reset=reset)
        if images.shape[1] != np.prod(shape):
            raise ValueError(f"X: images of shape {images.shape} are not rows of {' x '.join(map(str, shape))} pixels")
        if images.dtype != np.uint8 and (images.min() < 0 or images.max() > 255):
            raise ValueError(f"X: pixels from {images.min()} to {images.max()} are not between 0 and 255")
        return images

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.positive_only = True
        return tags

    def _histograms(self, images: NDArray[np.uint8]) -> Floats:
        return oriented_gradients(images, self.image_shape)


def oriented_gradients(images: NDArray[np.uint8], image_shape: Sequence[int]) -> Floats:
    """Compute histograms of oriented gradients: the strength of edges in each direction, in each cell of a grid.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, pixels)
    image_shape : (int, int) or (int, int, 3)
        Of colours, each pixel has the gradient of the one in which it is strongest, as Dalal and Triggs do.

    Returns
    -------
    ndarray of float32, shape (n, f)
        For each block of 2 x 2 neighbouring cells, row by row, its cells' strengths in each direction, with their sum
        scaled to about 1, then the square root. 2,048 numbers for 28 x 28 pixels.

    Examples
    --------
    >>> oriented_gradients(np.zeros((3, 784), np.uint8), (28, 28)).shape
    (3, 2048)
    """
    height, width = image_shape[:2]
    across, down, strength = _gradients(images.reshape(-1, *image_shape))
    direction = np.arctan2(down, across) * np.float32(ORIENTATIONS / (2 * np.pi)) % ORIENTATIONS
    rows, columns = _pooling(height), _pooling(width)
    strengths = np.empty((len(images), len(rows), len(columns), ORIENTATIONS), np.float32)
    for orientation in range(ORIENTATIONS):
        apart = np.abs(direction - orientation)
        weight = np.maximum(1 - np.minimum(apart, ORIENTATIONS - apart), 0)
        strengths[..., orientation] = rows @ ((strength * weight) @ columns.T)
    blocks = np.lib.stride_tricks.sliding_window_view(strengths, (2, 2), axis=(1, 2))
    blocks = blocks.reshape(len(images), (len(rows) - 1) * (len(columns) - 1), -1)
    normalised = np.sqrt(blocks / (blocks.sum(axis=2, keepdims=True) + np.float32(FLOOR)))
    return np.asarray(normalised.reshape(len(images), -1), np.float32)


def _gradients(images: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    """Compute how brightness changes across and down at each pixel, and how strongly."""
    pixels = np.sqrt(images * np.float32(1 / 255))
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0))[: pixels.ndim])
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strength = np.hypot(across, down)
    if strength.ndim == 4:
        strongest = strength.argmax(axis=-1)[..., None]
        across, down, strength = (np.take_along_axis(one, strongest, -1)[..., 0] for one in (across, down, strength))
    return across, down, strength


def _pooling(size: int) -> Floats:
    """Compute the weight of each pixel in each cell along a side: overlapping Gaussians, each with a sum of 1."""
    cells = int(np.clip(round(size * CELLS / SIDE), FEWEST, CELLS))
    margin = 1.5 * size / SIDE
    centres = np.linspace(margin, size - 1 - margin, cells)
    spacing = centres[1] - centres[0]
    weights = np.exp(-0.5 * ((np.arange(size) - centres[:, None]) / (spacing / 2)) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _chunk_of(n_pixels: int) -> int:
    """Choose how many images are described at a time: the more, the smaller they are."""
    most = max(1, min(CHUNK, CHUNK * 28 * 28 // n_pixels))
    return int(2 ** (most.bit_length() - 1))
