"""Embeddings of pretrained networks: the numbers they give, each fault in one line, and what is saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from shards import shards
from sklearn.base import clone

from fewlabels.dask_cluster import connected
from fewlabels.features.scaled_pca import ScaledPCA
from fewlabels.networks import pretrained
from fewlabels.networks.pretrained import BATCH, DEFAULT, SCALES, PretrainedEmbedding, check, embedding_of
from fewlabels.networks.quiet_keras import keras

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (70, 192)).astype(np.uint8)
MEANS = IMAGES.reshape(70, 64, 3).mean(axis=1)


def keras_mean(path: Path, side: int | None = 8, outputs: int = 1) -> str:
    """A network that gives the mean of each colour."""
    inputs = keras.Input((side, side, 3))
    means = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, [means] * outputs if outputs > 1 else means).save(path)
    return str(path)


def onnx_mean(
    path: Path,
    side: int | str = 8,
    first: bool = True,
    outputs: int = 1,
    count: int | str = "n",
    keep: int = 0,
    kind: str = "Mean",
) -> str:
    """The same as ONNX, with the colours first or last; or another kind of mean."""
    shape = [count, 3, side, side] if first else [count, side, side, 3]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3] if first else [1, 2])
    names = [f"means{number}" for number in range(outputs)]
    nodes = [helper.make_node(f"Reduce{kind}", ["pixels", "axes"], [name], keepdims=keep) for name in names]
    out_shape = None if keep else [count, 3]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, out_shape) for name in names],
        [axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)
    return str(path)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["keras", "colours first", "colours last"])
def test_a_file_sees_pixels_as_its_scale_says(kind: str, scale: str, tmp_path: Path) -> None:
    path = tmp_path / ("mean.keras" if kind == "keras" else "mean.onnx")
    model = keras_mean(path) if kind == "keras" else onnx_mean(path, first=kind == "colours first")
    less, divisor = SCALES[scale]
    numbers = embedding_of(IMAGES, SHAPE, model, None, scale)
    np.testing.assert_allclose(numbers, (MEANS - less) / divisor, rtol=1e-4, atol=1e-4)


def test_grey_is_repeated_and_another_size_is_resized(tmp_path: Path) -> None:
    model = onnx_mean(tmp_path / "mean.onnx", side="any")
    grey = np.repeat(np.arange(0, 250, 50, dtype=np.uint8)[:, None], 24, axis=1)
    numbers = embedding_of(grey, (4, 6), model, 16, "0..255")
    np.testing.assert_allclose(numbers, np.repeat(grey[:, :1], 3, axis=1), atol=0.5)


def test_an_image_is_seen_alike_whatever_is_beside_it(tmp_path: Path) -> None:
    every = embedding_of(IMAGES[:5], SHAPE)
    np.testing.assert_array_equal(embedding_of(IMAGES, SHAPE, rows=np.array([3, 1])), every[[3, 1]])
    one_at_a_time = onnx_mean(tmp_path / "one.onnx", count=1)
    np.testing.assert_allclose(embedding_of(IMAGES, SHAPE, one_at_a_time, None, "0..255"), MEANS, rtol=1e-5)
    assert embedding_of(IMAGES[:0], SHAPE).shape == (0, 1280)


def test_a_file_that_was_replaced_is_loaded_anew(tmp_path: Path) -> None:
    model = onnx_mean(tmp_path / "m.onnx")
    mean = embedding_of(IMAGES, SHAPE, model, None, "0..255")
    onnx_mean(tmp_path / "m.onnx", kind="Max")
    most = embedding_of(IMAGES, SHAPE, model, None, "0..255")
    np.testing.assert_array_equal(most, IMAGES.reshape(70, 64, 3).max(axis=1))
    assert (mean < most).all()


def photographs(count: int) -> NDArray[np.uint8]:
    """Images in which a network sees more than in noise: a few waves each."""
    random = np.random.default_rng(0)
    waves = np.cos(np.arange(32) * random.uniform(0.1, 0.8, (count, 3, 1)))
    return np.uint8(127 * (1 + waves[:, :, :, None] * waves[:, ::-1, None, :])).transpose(0, 2, 3, 1).reshape(count, -1)


@pytest.mark.slow
def test_two_workers_see_what_one_process_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, though each has one thread; files are named from where this process is."""
    monkeypatch.chdir(tmp_path)
    images, shape = photographs(4 * BATCH + 5), (32, 32, 3)
    networks = [
        (DEFAULT, None),
        (keras_mean(Path("mean.keras"), side=32), "0..1"),
        (onnx_mean(Path("mean.onnx"), side=32), "clip"),
    ]
    here = [embedding_of(images, shape, model, None, scale) for model, scale in networks]
    pool = shards(tmp_path / "images", images, 2 * BATCH)
    monkeypatch.setattr(pretrained, "_loaded", lambda *_: pytest.fail("is left to the workers"))
    with connected("local", tmp_path / "scratch", workers=2) as run:
        there = [embedding_of(pool, shape, model, None, scale).array() for model, scale in networks]
        states = run.client.run(lambda: Path("/proc/self/status").read_text(encoding="utf-8"))
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other)
    # The system's other count of a peak, ru_maxrss, begins with that of the process which started the worker.
    peak = max(int(state.partition("VmHWM:")[2].split()[0]) for state in states.values()) / 2**20
    print(f"{peak:.2f} GiB in a worker")
    assert peak < 1.3, "of 1.4 GiB, which are 1.5 GB"


def test_the_components_are_those_of_the_numbers(tmp_path: Path) -> None:
    model = keras_mean(tmp_path / "mean.keras")
    for scale, root in (("0..1", True), ("-1..1", False)):
        embedding = PretrainedEmbedding(SHAPE, model, scale=scale, n_components=2)
        reduced = embedding.fit_transform(IMAGES)
        numbers = embedding_of(IMAGES, SHAPE, model, None, scale)
        assert embedding.square_root_ == root
        wanted = ScaledPCA(2).fit_transform(np.sqrt(numbers) if root else numbers)
        np.testing.assert_allclose(reduced, wanted, atol=1e-5)
        again = clone(embedding).fit_numbers(numbers)
        np.testing.assert_array_equal(again.transform_numbers(numbers), reduced)
        assert list(embedding.get_feature_names_out()) == ["pretrainedembedding0", "pretrainedembedding1"]


def test_what_is_saved_has_no_weights_and_names_its_file(tmp_path: Path) -> None:
    model = keras_mean(tmp_path / "mean.keras")
    embedding = PretrainedEmbedding(SHAPE, model, scale="0..1", n_components=2).fit(IMAGES)
    joblib.dump(embedding, tmp_path / "saved.joblib")
    assert (tmp_path / "saved.joblib").stat().st_size < 20_000
    loaded = joblib.load(tmp_path / "saved.joblib")
    np.testing.assert_array_equal(loaded.transform(IMAGES), embedding.transform(IMAGES))
    keras_mean(tmp_path / "mean.keras", side=None)
    with pytest.raises(ValueError, match=r"mean\.keras: another network than the one"):
        loaded.transform(IMAGES)
    (tmp_path / "mean.keras").unlink()
    with pytest.raises(ValueError, match=r"mean\.keras: there is no such file, and this embedding needs it"):
        loaded.transform(IMAGES)


# ---- faults


def broken(path: Path) -> str:
    path.write_bytes(b"no network at all")
    return str(path)


@pytest.mark.parametrize(
    ("make", "size", "scale", "message"),
    [
        (lambda at: "resnet50", None, None, "^resnet50: none of efficientnet-lite0, .*ResNet50,"),
        (lambda at: "efficientnet-lite0", 64, None, r"^size: efficientnet-lite0 takes 224 pixels, not 64$"),
        (lambda at: "efficientnet-lite0", None, "0..1", r"^scale: efficientnet-lite0 has its own: null$"),
        (lambda at: str(at / "no.onnx"), None, "0..1", r"no\.onnx: there is no such file, and this"),
        (lambda at: broken(at / "b.onnx"), None, "0..1", r"b\.onnx: no network: "),
        (lambda at: broken(at / "b.keras"), None, "0..1", r"b\.keras: no network: "),
        (lambda at: onnx_mean(at / "m.onnx"), None, None, r"^scale: .*m\.onnx does not say how it takes pix"),
        (lambda at: onnx_mean(at / "m.onnx"), 16, "0..1", r"^size: .*m\.onnx takes 8 pixels, not 16$"),
        (lambda at: keras_mean(at / "m.keras"), 16, "0..1", r"^size: .*m\.keras takes 8 pixels, not 16$"),
        (lambda at: onnx_mean(at / "m.onnx", side="s"), None, "0..1", r"^size: .*m\.onnx does not say how many"),
        (lambda at: onnx_mean(at / "m.onnx", outputs=2), None, "0..1", r"m\.onnx: 1 inputs and 2 outputs"),
        (lambda at: keras_mean(at / "m.keras", outputs=2), None, "0..1", r"m\.keras: 1 inputs and 2 outputs"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_used_is_named_before_anything_is_computed(
    make: Callable[[Path], str], size: int | None, scale: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as end:
        check(SHAPE, make(tmp_path), size, scale)
    assert "\n" not in str(end.value)


def test_an_output_that_is_no_row_of_numbers_is_named(tmp_path: Path) -> None:
    model = onnx_mean(tmp_path / "m.onnx", keep=1)
    with pytest.raises(ValueError, match=r"m\.onnx: its output has 4 dimensions in place of 2|has the shape"):
        embedding_of(IMAGES, SHAPE, model, None, "0..1")


def test_without_internet_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_internet(**_: Any) -> None:
        raise Exception("URL fetch failure on https://example.org:\nno route to host")

    no_internet.__module__ = "keras.src.applications.mobilenet"
    pytest.importorskip("keras.src.applications.mobilenet")
    monkeypatch.setattr(keras.applications, "MobileNet", no_internet)
    with pytest.raises(ValueError, match=r"^MobileNet: its weights are neither in .* \(URL fetch .*\): run this"):
        check(SHAPE, "MobileNet", 64, None)


def test_a_network_of_keras_is_given_what_it_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """MobileNet takes pixels from -1 to 1. Without its weights, but with its own scaling."""
    from keras.src.applications import mobilenet

    def small(**how: Any) -> keras.Model:
        assert how == {"include_top": False, "weights": "imagenet", "pooling": "avg", "input_shape": (32, 32, 3)}
        inputs = keras.Input(how["input_shape"])
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))

    small.__module__ = mobilenet.__name__
    monkeypatch.setattr(keras.applications, "MobileNet", small)
    white = np.full((1, 192), 255, np.uint8)
    pretrained._loaded.cache_clear()
    np.testing.assert_allclose(embedding_of(white, SHAPE, "MobileNet", 32), [[1, 1, 1]], atol=1e-6)
    pretrained._loaded.cache_clear()


@pytest.mark.parametrize("shape", [(8,), (8, 8, 4), (8, 8, 3, 1)])
def test_a_shape_that_is_none_of_an_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="is not height and width, and 3 where there are colours"):
        check(shape, "efficientnet-lite0", None, None)


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="are not rows of 4 x 4 x 3 pixels"):
        PretrainedEmbedding((4, 4, 3)).fit(IMAGES)
