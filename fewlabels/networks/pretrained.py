"""A pretrained network's view of images as features: it has seen a million photographs, so few labels go far.

For natural pictures and drawings in colour. The network is EfficientNet-Lite0, one of keras.applications, or a file:
most embeddings of today (DINOv2, CLIP, SigLIP) are exported as ONNX. Networks are loaded when they are needed, once in
a process, and never saved with a model.
"""

import hashlib
import multiprocessing
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from tqdm import tqdm

from fewlabels.arrays import Floats, evenly_spaced
from fewlabels.estimators import over_pools
from fewlabels.features.scaled_pca import ScaledPCA
from fewlabels.parameters import WholeNumber
from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import current
from fewlabels.threads import thread_count

DEFAULT = "efficientnet-lite0"
SIDE = 224
"""Height and width of what networks see that were trained on ImageNet."""
SCALES: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "0..255": ((0.0,), (1.0,)),
    "0..1": ((0.0,), (255.0,)),
    "-1..1": ((127.5,), (127.5,)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "clip": ((122.7709, 116.7460, 104.0937), (68.5005, 66.6322, 70.3232)),
}
"""What is subtracted from the pixels of red, green and blue, and what they are then divided by."""
BATCH = 8
"""Images at a time. The last batch is filled up, so that an image is always computed with in the same way.

With 32, EfficientNet-Lite0 takes as long on a processor, and 230 MiB more: too much for a worker of 1.5 GB.
"""
SAMPLE = 12_000
"""Images at most that the principal components are computed from."""


class Network(NamedTuple):
    """A network that is ready to look at pictures.

    Attributes
    ----------
    size : int
        Height and width of what it takes, in pixels.
    batch : int
        How many pictures it takes at once.
    numbers : callable
        From uint8 pixels of shape (batch, size, size, 3), in the order red, green, blue, to an array of shape
        (batch, d).

    Examples
    --------
    >>> Network(8, 2, lambda batch: batch.mean(axis=(1, 2))).numbers(np.zeros((2, 8, 8, 3), np.uint8)).shape
    (2, 3)
    """

    size: int
    batch: int
    numbers: Callable[[NDArray[np.uint8]], NDArray[Any]]


class PretrainedEmbedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What a pretrained network sees in an image, reduced to its principal components.

    Where all of the network's numbers are 0 or more, as after ReLU, their square roots are taken first: so the few
    large ones count less. The components are scaled as those of `HOG`, so that the same kernel suits both. A saved
    transformer names the network and has none of its weights.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
        Height and width of an image, in pixels; grey, or red, green and blue.
    model : str, default="efficientnet-lite0"
        That, the name of a network of keras.applications, or the path of a .keras or .onnx file.
    size : int, optional
        Height and width of what the network takes, where its file does not say.
    scale : {"0..255", "0..1", "-1..1", "imagenet", "clip"}, optional
        How a file's network takes pixels. The other networks need none.
    n_components : int, default=300
        Numbers kept for each image; fewer where the data have fewer.

    Attributes
    ----------
    pca_ : ScaledPCA
        Fitted to what the network sees in at most 12,000 of the images, evenly spaced.
    square_root_ : bool
        Whether square roots are taken.
    sha256_ : str
        Of the network's file; empty for a network that is no file.
    n_features_in_ : int
        Pixels of an image, three numbers for each where there are colours.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (5, 64), dtype=np.uint8)
    >>> PretrainedEmbedding((8, 8)).fit_transform(images).shape
    (5, 5)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "image_shape": ["array-like"],
        "model": [str],
        "size": [WholeNumber(1), None],
        "scale": [StrOptions({*SCALES}), None],
        "n_components": [WholeNumber(1)],
    }

    def __init__(
        self,
        image_shape: Sequence[int],
        model: str = DEFAULT,
        size: int | None = None,
        scale: str | None = None,
        n_components: int = 300,
    ) -> None:
        self.image_shape = image_shape
        self.model = model
        self.size = size
        self.scale = scale
        self.n_components = n_components

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike | Pool, y: object = None) -> Self:
        """Find the principal components of what the network sees.

        Parameters
        ----------
        X : array-like or Pool of uint8, shape (n, pixels)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range, X is not of that shape, or the network cannot be used: as `check`.
        """
        images = self._checked(X, reset=True)
        return self.fit_numbers(self._seen(as_pool(images).take(evenly_spaced(len(images), SAMPLE))))

    def fit_numbers(self, numbers: Rows) -> Self:
        """Find the principal components of what the network has seen before.

        Parameters
        ----------
        numbers : ndarray or Pool of float32, shape (n, d)
            As from `embedding_of`.

        Returns
        -------
        self
        """
        sample = as_pool(numbers).take(evenly_spaced(len(numbers), SAMPLE))
        self.square_root_ = bool(np.all(sample >= 0))
        self.sha256_ = _version(self.model)
        self.n_features_in_ = int(np.prod(self.image_shape))
        self.pca_ = ScaledPCA(self.n_components).fit(self._rooted(sample))
        self._n_features_out = self.pca_.components_.shape[1]
        return self

    def transform(self, X: ArrayLike | Pool) -> Rows:
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
            If X is not of that shape, or the network is not there, or its file is not the one it was fitted with.
        """
        check_is_fitted(self)
        images = self._checked(X, reset=False)
        if self.sha256_ and _sha256(self.model) != self.sha256_:
            raise ValueError(f"{self.model}: another network than the one that this classifier was trained with")
        features: Rows = self.transform_numbers(self._seen(images))
        return features

    @over_pools("features")
    def transform_numbers(self, numbers: Rows) -> Rows:
        """Compute the features of images from what the network has seen before.

        Parameters
        ----------
        numbers : ndarray or Pool of float32, shape (n, d)
            As from `embedding_of`.

        Returns
        -------
        ndarray or Pool of float32, shape (n, n_components)
        """
        check_is_fitted(self)
        reduced: Rows = self.pca_.transform(self._rooted(numbers))
        return reduced

    def _rooted(self, numbers: Any) -> Any:
        return np.sqrt(np.maximum(numbers, 0)) if self.square_root_ else numbers

    def _seen(self, images: Rows) -> Rows:
        seen: Rows = embedding_of(images, self.image_shape, self.model, self.size, self.scale)
        return seen

    def _checked(self, X: ArrayLike | Pool, reset: bool) -> Rows:
        """Check images; of a pool the first one, for all have its shape."""
        _check_shape(self.image_shape)
        first = X.take(np.arange(min(1, len(X)))) if isinstance(X, Pool) else X
        images: NDArray[np.uint8] = validate_data(self, first, reset=reset, dtype=np.uint8)
        if images.shape[1] != np.prod(self.image_shape):
            raise ValueError(f"X: images of shape {images.shape} are not rows of {_text(self.image_shape)} pixels")
        return X if isinstance(X, Pool) else images

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.positive_only = True
        return tags


def embedding_of(
    images: Rows,
    image_shape: Sequence[int],
    model: str = DEFAULT,
    size: int | None = None,
    scale: str | None = None,
    *,
    rows: NDArray[np.int64] | None = None,
) -> Any:
    """Compute what a pretrained network sees in each image, some images at a time.

    Images of another size than the network takes are resized by Pillow, bicubic and without aliasing, which is the same
    on every machine. Grey images have three equal colours.

    A pool is looked at where the current run computes, a chunk at a time. All batches are of one size, which the last
    bits of the numbers depend on; those of a network whose batch does not divide a chunk may differ from what it sees
    in the same images as one array. How many threads there are changes no bit.

    Parameters
    ----------
    images : ndarray or Pool of uint8, shape (n, pixels)
        May be mapped into memory: only a batch is read at once.
    image_shape, model, size, scale
        As of `PretrainedEmbedding`.
    rows : ndarray of int64, shape (m,), optional
        The images to look at; all if not given.

    Returns
    -------
    ndarray or Pool of float32, shape (n, d), or ndarray, shape (m, d)

    Raises
    ------
    ValueError
        As of `check`.

    Examples
    --------
    >>> embedding_of(np.zeros((2, 64), np.uint8), (8, 8)).shape
    (2, 1280)
    """
    how: dict[str, Any] = {"image_shape": tuple(image_shape), "model": _place(model), "size": size, "scale": scale}
    if rows is None and isinstance(images, Pool):
        how |= {"version": _version(model), "in_parts": not images.in_memory}
        return current().map(_look, images, label=f"{model} looks", slow=True, **how)
    asked = np.arange(len(images)) if rows is None else rows
    return _look(slice(0, len(asked)), images, asked=asked, **how)


def _look(
    rows: slice,
    images: Rows,
    *,
    image_shape: Sequence[int],
    model: str,
    size: int | None,
    scale: str | None,
    asked: NDArray[np.int64] | None = None,
    in_parts: bool = False,
    version: str = "",  # so that what another file under the same name gave is not taken for this one's
) -> Floats:
    """Look at all images, or those that are asked for; of a part, the bar is that of all parts."""
    network, shown_of = _network(model, size, scale), as_pool(images).take
    every = np.arange(len(images)) if asked is None else asked
    found = np.empty((0, 0), np.float32)
    # Workers share a terminal with whoever waits.
    hidden = True if in_parts or multiprocessing.parent_process() is not None else None
    with tqdm(total=len(every), desc=f"{model} looks", unit="picture", leave=None, disable=hidden) as bar:
        for start in range(0, max(1, len(every)), network.batch):
            shown = shown_of(every[start : start + network.batch])
            batch = np.zeros((network.batch, network.size, network.size, 3), np.uint8)
            for place, image in enumerate(shown):
                batch[place] = _resized(image.reshape(image_shape), network.size)
            numbers = np.asarray(network.numbers(batch), np.float32)
            if numbers.ndim != 2:
                raise ValueError(
                    f"{model}: its output has {numbers.ndim} dimensions in place of 2, pictures and numbers"
                )
            if not np.isfinite(numbers[: len(shown)]).all():
                raise ValueError(f"{model}: it gives numbers that are not finite: is embedding.scale right?")
            if not start:
                found = np.empty((len(every), numbers.shape[1]), np.float32)
            found[start : start + len(shown)] = numbers[: len(shown)]
            bar.update(len(shown))
    return found


def check(image_shape: Sequence[int], model: str, size: int | None, scale: str | None) -> None:
    """Refuse a network that cannot be used, before anything is computed.

    Parameters
    ----------
    image_shape, model, size, scale
        As of `PretrainedEmbedding`.

    Raises
    ------
    ValueError
        With one line: if the model is unknown, its file or its weights are not there, it is no network of pictures with
        one output, takes another size, or needs a size or a scale that is not given.

    Examples
    --------
    >>> check((28, 28), "efficientnet-lite0", None, None)
    >>> check((28, 28), "efficientnet-lite0", 64, None)
    Traceback (most recent call last):
    ValueError: size: efficientnet-lite0 takes 224 pixels, not 64
    """
    _check_shape(image_shape)
    _network(_place(model), size, scale)


def _check_shape(image_shape: Sequence[int]) -> None:
    sides = tuple(image_shape)
    if len(sides) not in (2, 3) or sides[2:] not in ((), (3,)):
        raise ValueError(f"image_shape: {_text(sides)} is not height and width, and 3 where there are colours")


def _text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if image.shape[:2] != (size, size):
        image = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
    return image if image.ndim == 3 else image[:, :, None]  # numpy repeats a single colour


def _is_file(model: str) -> bool:
    return Path(model).suffix in (".keras", ".onnx")


@cache
def _digest(path: str, modified: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _sha256(model: str) -> str:
    return _digest(model, _there(model).stat().st_mtime_ns)


def _version(model: str) -> str:
    return _sha256(model) if _is_file(model) else ""


def _place(model: str) -> str:
    """Name a network such that a worker, which may be in another folder, finds its file."""
    return str(Path(model).expanduser().absolute()) if _is_file(model) else model


def _there(model: str) -> Path:
    path = Path(model).expanduser()
    if not path.is_file():
        raise ValueError(f"{model}: there is no such file, and this embedding needs it")
    return path


def _network(model: str, size: int | None, scale: str | None) -> Network:
    return _loaded(model, size, scale, _version(model))


@lru_cache(maxsize=1)
def _loaded(model: str, size: int | None, scale: str | None, version: str) -> Network:
    """Load a network, once; a worker lives longer than a run, and the file may be another one by then."""
    if _is_file(model):
        if scale is None:
            raise ValueError(f"scale: {model} does not say how it takes pixels: one of {', '.join(SCALES)}")
        return _from_onnx(model, size, scale) if model.endswith(".onnx") else _from_keras(model, size, scale)
    if scale is not None:
        raise ValueError(f"scale: {model} has its own: null")
    if model == DEFAULT:
        return _efficientnet_lite0(size)
    return _application(model, size or SIDE)


def _efficientnet_lite0(size: int | None) -> Network:
    from fewlabels.networks import efficientnet_lite0

    if size not in (None, SIDE):
        raise ValueError(f"size: {DEFAULT} takes {SIDE} pixels, not {size}")
    return Network(SIDE, BATCH, efficientnet_lite0.efficientnet_lite0().predict_on_batch)


def _application(name: str, size: int) -> Network:
    import sys

    from fewlabels.networks.quiet_keras import keras

    known = sorted(one for one in dir(keras.applications) if callable(getattr(keras.applications, one)))
    if name not in known:
        raise ValueError(f"{name}: none of {DEFAULT}, a .keras or .onnx file, {', '.join(known)}")
    build = getattr(keras.applications, name)
    prepared = sys.modules[build.__module__].preprocess_input
    try:
        network = build(include_top=False, weights="imagenet", pooling="avg", input_shape=(size, size, 3))
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{name}: its weights are neither in ~/.keras/models nor can they be fetched ({why}): run this once where "
            f"there is internet and copy that folder, or take {DEFAULT}, which needs neither"
        ) from None
    return Network(size, BATCH, lambda batch: network.predict_on_batch(prepared(batch.astype(np.float32))))


def _from_keras(model: str, size: int | None, scale: str) -> Network:
    from fewlabels.networks.quiet_keras import keras

    try:
        network = keras.models.load_model(Path(model).expanduser(), compile=False)
    except Exception as error:
        raise _no_network(model, error) from None
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            f"{model}: {len(network.inputs)} inputs and {len(network.outputs)} outputs in place of one each"
        )
    if len(network.output_shape) != 2:
        raise ValueError(f"{model}: its output has the shape {network.output_shape}, not (pictures, numbers)")
    side, first = _side(model, network.input_shape[1:], size)
    return Network(side, BATCH, lambda batch: network.predict_on_batch(_scaled(batch, scale, first)))


def _from_onnx(model: str, size: int | None, scale: str) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if thread_count() == 1:  # in a worker; otherwise it takes all cores
        options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(Path(model).expanduser(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _no_network(model, error) from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"{model}: {len(inputs)} inputs and {len(outputs)} outputs in place of one each")
    if inputs[0].type != "tensor(float)":
        raise ValueError(f"{model}: it takes {inputs[0].type}, not tensor(float)")
    if outputs[0].shape and len(outputs[0].shape) != 2:
        raise ValueError(f"{model}: its output has the shape {outputs[0].shape}, not (pictures, numbers)")
    count, *sides = [one if isinstance(one, int) else None for one in inputs[0].shape]
    side, first = _side(model, sides, size)
    name = inputs[0].name
    return Network(
        side, count or BATCH, lambda batch: np.asarray(session.run(None, {name: _scaled(batch, scale, first)})[0])
    )


def _no_network(model: str, error: Exception) -> ValueError:
    return ValueError(f"{model}: no network: {' '.join(str(error).split())[:200]}")


def _side(model: str, shape: Sequence[int | None], size: int | None) -> tuple[int, bool]:
    """Find height and width of a network's input, and whether the colours come first."""
    if len(shape) != 3 or 3 not in (shape[0], shape[2]):
        raise ValueError(
            f"{model}: its input has the shape {tuple(shape)} for a picture, not height, width and 3 colours"
        )
    first = shape[2] != 3
    height, width = shape[1:] if first else shape[:2]
    if height != width:
        raise ValueError(f"{model}: it takes {height} x {width} pixels, which is no square")
    if size is not None and height not in (None, size):
        raise ValueError(f"size: {model} takes {height} pixels, not {size}")
    if height is None and size is None:
        raise ValueError(f"size: {model} does not say how many pixels it takes")
    return int(height or size or 0), first


def _scaled(batch: NDArray[np.uint8], scale: str, colours_first: bool) -> Floats:
    less, divisor = (np.array(values, np.float32) for values in SCALES[scale])
    scaled = (batch - less) / divisor
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2) if colours_first else scaled, np.float32)
