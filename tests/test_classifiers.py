"""Logistic regression against scikit-learn's on features made by hand, and networks that learn, stop and collapse."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.pipeline import Pipeline

from fewlabels import network
from fewlabels.label_set import LabelSet
from fewlabels.logistic import logistic_regression
from fewlabels.muon import ConvolutionMuon
from fewlabels.pixels import scaled
from fewlabels.quiet_keras import keras

SHAPE = (12, 8)
CLASSES = 3


def striped(n: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Noise with a bright stripe: its height tells the class."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % CLASSES).astype(np.uint8)
    images = random.integers(0, 100, (n, *SHAPE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 + 3 * label : 5 + 3 * label] += 100
    return images.reshape(n, -1), labels


def bought(
    rows: NDArray[np.int64], labels: NDArray[np.uint8], centroids: NDArray[np.float32] | None = None
) -> LabelSet:
    return LabelSet(rows, labels, np.ones(len(rows), bool), centroids)


# ---- pixels


def test_pixels_are_scaled_and_raised_to_a_power() -> None:
    images = np.array([[0, 51, 255]], np.uint8)
    assert scaled(images).dtype == np.float32
    np.testing.assert_allclose(scaled(images), [[0, 0.2, 1]], rtol=1e-6)
    np.testing.assert_allclose(scaled(images, 0.5), [[0, 0.2**0.5, 1]], rtol=1e-6)
    np.testing.assert_array_equal(images, [[0, 51, 255]])


# ---- logistic regression

FEW = bought(np.arange(60), striped(60)[1])
CENTROIDS = np.random.default_rng(0).random((15, 96), np.float32)
WITH_CENTROIDS = bought(FEW.rows, FEW.labels, CENTROIDS)


def regression(label_set: LabelSet, C: float = 0.1, pixel_power: float = 0.5) -> Pipeline:
    model = logistic_regression(label_set, C=C, max_iterations=300, pixel_power=pixel_power)
    return model.fit(striped(60)[0], label_set.labels)


@pytest.mark.parametrize("C", [0.001, 0.1])
@pytest.mark.parametrize("power", [0.5, 1])
def test_regression_on_pixels_is_scikit_learns(C: float, power: float) -> None:
    train, test = striped(60)[0], striped(30, seed=1)[0]
    reference = LogisticRegression(C=C, max_iter=300).fit((train / 255) ** power, FEW.labels)
    model = regression(FEW, C, power)
    wanted = reference.predict_proba((test / 255) ** power)
    np.testing.assert_allclose(model.predict_proba(test), wanted, atol=2e-3)
    np.testing.assert_array_equal(model.predict(test), reference.predict((test / 255) ** power))


def test_regression_on_distances_is_scikit_learns() -> None:
    train, test = (euclidean_distances(striped(n, seed)[0] / 255, CENTROIDS) for n, seed in ((60, 0), (30, 1)))
    scaler = PCA(1 - 1e-5, whiten=True).fit(train)
    reference = LogisticRegression(C=0.1, max_iter=300).fit(scaler.transform(train), FEW.labels)
    model = regression(WITH_CENTROIDS)
    wanted = reference.predict_proba(scaler.transform(test))
    np.testing.assert_allclose(model.predict_proba(striped(30, seed=1)[0]), wanted, atol=2e-3)


def test_distances_are_taken_among_unchanged_pixels() -> None:
    test = striped(30, seed=1)[0]
    one, other = (regression(WITH_CENTROIDS, pixel_power=power).predict_proba(test) for power in (0.5, 1))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("label_set", [FEW, WITH_CENTROIDS], ids=["pixels", "distances"])
def test_regression_learns_from_bytes_and_survives_joblib(label_set: LabelSet, tmp_path: Path) -> None:
    model = regression(label_set, C=10)
    test, truth = striped(90, seed=1)
    test.flags.writeable = False
    assert model.predict(test).dtype == np.uint8
    assert model.score(test, truth) > 0.9
    joblib.dump(model, tmp_path / "model.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model.joblib").predict_proba(test), model.predict_proba(test))


def test_regression_needs_two_classes() -> None:
    one_class = bought(np.arange(60), np.full(60, 2, np.uint8))
    with pytest.raises(ValueError, match="only one class"):
        regression(one_class)


# ---- networks that learn


def train(images: NDArray[np.uint8], label_set: LabelSet, **changes: Any) -> network.Training:
    settings = {
        "image_shape": SHAPE,
        "classes": CLASSES,
        "architecture": "compact",
        "steps": 60,
        "batch_size": 32,
        "learning_rate": 0.003,
        "validation_share": 0.2,
        "patience": 20,
        "restarts": 0,
        "seed": 1,
    }
    return network.train(images, label_set, **(settings | changes))


def train_on_every_other() -> network.Training:
    """On the odd rows: the even ones are noise, which would spoil it."""
    images = np.random.default_rng(0).integers(0, 256, (480, 96), np.uint8)
    images[1::2], labels = striped(240)
    return train(images, bought(np.arange(1, 480, 2), labels))


@pytest.fixture(scope="module")
def learned() -> network.Training:
    return train_on_every_other()


def test_a_compact_network_learns_from_bytes(learned: network.Training) -> None:
    images, truth = striped(300, seed=1)
    scores = learned.model.predict(images, verbose=0)
    assert scores.shape == (300, CLASSES)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(scores.argmax(axis=1) == truth) > 0.9
    assert (learned.collapsed_starts, learned.collapsed) == (0, False)


def test_the_curves_have_a_row_for_each_check(learned: network.Training) -> None:
    assert [row["step"] for row in learned.curves] == list(range(3, 61, 3))
    assert {row["start"] for row in learned.curves} == {0}
    assert learned.curves[-1]["loss"] < learned.curves[0]["loss"]
    assert max(row["validation_accuracy"] for row in learned.curves) > 0.9


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras 3.15, with numpy 2
def test_a_saved_network_predicts_the_same(learned: network.Training, tmp_path: Path) -> None:
    learned.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = striped(50, seed=1)[0]
    wanted = learned.model.predict(images, verbose=0)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), wanted, atol=1e-6)


def test_a_seed_gives_the_same_weights_again(learned: network.Training) -> None:
    """In one process too, where other trainings have used up random numbers."""
    keras.utils.set_random_seed(99)
    again = train_on_every_other()
    assert again.curves == learned.curves
    for one, other in zip(again.model.get_weights(), learned.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("architecture", network.ARCHITECTURES)
@pytest.mark.parametrize("shape", [(8, 8), (9, 21), (28, 28)])
def test_images_of_any_shape_fit(architecture: str, shape: tuple[int, int]) -> None:
    model = network.ARCHITECTURES[architecture](shape, 4)
    images = np.random.default_rng(0).integers(0, 256, (2, shape[0] * shape[1]), np.uint8)
    scores = model(images).numpy()
    assert scores.shape == (2, 4)
    assert np.isfinite(scores).all()
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert tuple(first.input.shape) == (None, *shape, 1)


def test_fixed_filters_find_edges_by_direction() -> None:
    """From dark on the left to bright on the right, an edge points right, and half of it to either side."""
    model = network.edges((8, 8), 4)
    images = np.zeros((1, 8, 8), np.uint8)
    images[:, :, 4:] = 255
    towards = keras.Model(model.inputs, model.get_layer("towards").output).predict(images.reshape(1, -1), verbose=0)[0]
    expected = np.zeros((6, 8, network.DIRECTIONS), np.float32)
    expected[:, 3:5] = np.maximum(np.cos(np.arange(network.DIRECTIONS) * np.pi / 4), 0)
    np.testing.assert_allclose(towards[1:-1, :7], expected[:, :7], atol=1e-6)
    assert [weight.name for weight in model.get_layer("towards").trainable_weights] == []


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras 3.15, with numpy 2
def test_a_network_of_edges_learns_with_muon_and_loads_without_our_code(tmp_path: Path) -> None:
    images, labels = striped(240)
    unseen, truth = striped(300, seed=1)
    model = train(images, bought(np.arange(240), labels), architecture="edges").model
    scores = model.predict(unseen, verbose=0)
    assert np.mean(scores.argmax(axis=1) == truth) > 0.9
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "unseen.npy", unseen)
    load = """
import keras, numpy as np
model = keras.models.load_model("model.keras")
np.save("scores.npy", model.predict(np.load("unseen.npy"), verbose=0))
"""
    subprocess.run([sys.executable, "-c", load], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), scores, atol=1e-5)


def test_a_step_of_muon_turns_all_directions_equally_far() -> None:
    """The update of a kernel is near an orthogonal matrix, whatever the gradient's singular values."""
    kernel = keras.Variable(np.zeros((3, 3, 2, 8), np.float32))
    optimizer = ConvolutionMuon(1.0)
    optimizer.build([kernel])
    gradient = np.random.default_rng(0).normal(size=(18, 8)) @ np.diag(np.geomspace(1, 10, 8))
    optimizer.apply([keras.ops.convert_to_tensor(gradient.reshape(3, 3, 2, 8).astype(np.float32))], [kernel])
    lengths = np.linalg.svd(kernel.numpy().reshape(18, 8), compute_uv=False) / (0.2 * np.sqrt(18))
    assert lengths.min() > 0.6
    assert lengths.max() < 1.3


def test_the_study_network_has_the_studys_layers() -> None:
    model = network.ARCHITECTURES["study"]((28, 28), 10)
    convolutions = [
        (layer.filters, layer.kernel_size, layer.strides, layer.padding, layer.activation.__name__, layer.use_bias)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert convolutions == [
        (32, (3, 3), (1, 1), "valid", "relu", True),
        (64, (3, 3), (1, 1), "valid", "relu", True),
        (128, (3, 3), (1, 1), "valid", "relu", True),
        (1, (1, 1), (1, 1), "valid", "relu", True),
    ]
    dense = [
        (layer.units, layer.activation.__name__) for layer in model.layers if isinstance(layer, keras.layers.Dense)
    ]
    assert dense == [(64, "relu"), (10, "sigmoid")]
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Rescaling", "Reshape", *["Conv2D"] * 4, "Flatten", "Dense", "Dense"]
    # Convolutions, the 22 x 22 positions of the one channel, and the answer.
    assert model.count_params() == 320 + 18_496 + 73_856 + 129 + (22 * 22 + 1) * 64 + 65 * 10


# ---- networks that do not, and small ones to try the training itself


def linear(brightness: float) -> Callable[[Sequence[int], int], Any]:
    """Build networks of one layer; without brightness all images look the same to them."""

    def build(image_shape: Sequence[int], classes: int) -> keras.Model:
        inputs = keras.Input((image_shape[0] * image_shape[1],), dtype="uint8")
        x = keras.layers.Rescaling(brightness / 255)(inputs)
        return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))

    return build


LIVE, DEAD = linear(1), linear(0)
STRIPED, STRIPES = striped(120)
ALL = bought(np.arange(120), STRIPES)


def use(monkeypatch: pytest.MonkeyPatch, *builders: Callable[[Sequence[int], int], Any]) -> None:
    """Let the architecture `test` be each of these once."""
    left = iter(builders)
    monkeypatch.setitem(network.ARCHITECTURES, "test", lambda *arguments: next(left)(*arguments))


def test_a_collapsed_network_is_started_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DEAD, LIVE)
    training = train(STRIPED, ALL, architecture="test", steps=10, learning_rate=0.1, restarts=3)
    assert (training.collapsed_starts, training.collapsed) == (1, False)
    assert not network.has_collapsed(training.model, STRIPED)
    assert [row["start"] for row in training.curves] == 10 * [0] + 10 * [1]


def test_a_network_that_always_collapses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DEAD, DEAD, DEAD)
    training = train(STRIPED, ALL, architecture="test", steps=1, restarts=2)
    assert (training.collapsed_starts, training.collapsed) == (3, True)
    assert network.has_collapsed(training.model, STRIPED)
    assert [row["start"] for row in training.curves] == [0, 1, 2]


def test_one_class_is_no_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DEAD)
    one_class = bought(np.arange(120), np.ones(120, np.uint8))
    training = train(STRIPED, one_class, architecture="test", steps=1)
    assert (training.collapsed_starts, training.collapsed) == (0, False)


def test_images_sorted_by_class_are_no_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right answer to more than a thousand images in a row is the same."""
    use(monkeypatch, LIVE)
    images = np.repeat(np.array([[0], [255]], np.uint8), [1100, 300], axis=0).repeat(96, axis=1)
    training = train(
        images, bought(np.arange(1400), images[:, 0] // 255), architecture="test", steps=5, learning_rate=0.1
    )
    assert training.curves[-1]["validation_accuracy"] == 1
    assert (training.collapsed_starts, training.collapsed) == (0, False)


def test_training_stops_early_and_keeps_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """All images are equal, so what the network answers to one of them gives the loss on any data held back."""
    use(monkeypatch, LIVE)
    images = np.full((100, 96), 128, np.uint8)
    halves = bought(np.arange(100), (np.arange(100) % 2).astype(np.uint8))
    training = train(images, halves, architecture="test", steps=100, batch_size=5, learning_rate=0.3, patience=3)
    losses = [row["validation_loss"] for row in training.curves]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3
    assert training.curves[-1]["step"] < 100
    shares = training.model.predict(images[:1], verbose=0)[0]
    assert -np.log(shares[:2]).mean() == pytest.approx(losses[best], rel=1e-4)


def test_the_steps_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more than it takes to end with a look at the validation data."""
    use(monkeypatch, LIVE)
    monkeypatch.setattr(network, "CHECKS", 4)
    training = train(STRIPED, ALL, architecture="test", steps=7, patience=100)
    assert 7 <= training.curves[-1]["step"] < 7 + training.curves[0]["step"]


def test_no_more_is_held_back_than_tells_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "HELD_BACK", 7)
    held = []
    monkeypatch.setattr(network, "_train_once", lambda model, batches, held_out, *rest: held.append(held_out) or [{}])
    train(STRIPED, ALL, validation_share=0.9)
    assert [len(values) for values in held[0]] == [7, 7]


@pytest.mark.parametrize(("count", "share", "held_back"), [(0, 0.1, 0), (1, 0.1, 1), (3, 0.9, 3)])
def test_too_few_labels_to_hold_some_back(count: int, share: float, held_back: int) -> None:
    few = bought(np.arange(count), STRIPES[:count])
    with pytest.raises(ValueError, match=f"{count} labels are too few to hold back {held_back} for validation"):
        train(STRIPED, few, validation_share=share)


def test_two_labels_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, LIVE)
    training = train(STRIPED, bought(np.array([3, 5]), np.array([0, 1], np.uint8)), architecture="test", steps=1)
    assert len(training.curves) == 1
