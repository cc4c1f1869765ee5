"""Training a network: what it learns, when it stops, and what is done about a collapse."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import STRIPES as SHAPE
from synthetic import striped

from fewlabels.label_set import CannotTrainError, LabelSet
from fewlabels.networks import training
from fewlabels.networks.architectures import ARCHITECTURES
from fewlabels.networks.classifier import NetworkClassifier
from fewlabels.networks.quiet_keras import keras

pytestmark = pytest.mark.slow
CLASSES = 3


# ---- networks that learn


def train(images: NDArray[np.uint8], label_set: LabelSet, seed: int = 1, **changes: Any) -> NetworkClassifier:
    settings = {"architecture": "compact", "steps": 60, "batch_size": 32, "validation_share": 0.2, "patience": 20}
    settings |= {"restarts": 0} | changes
    return training.train(
        images,
        label_set,
        image_shape=SHAPE,
        n_classes=CLASSES,
        settings=training.TrainingSettings(**settings),
        seed=seed,
    )


def train_on_every_other() -> NetworkClassifier:
    """On the odd rows: the even ones are noise, which would spoil it."""
    images = np.random.default_rng(0).integers(0, 256, (480, 96), np.uint8)
    images[1::2], labels = striped(240)
    return train(images, LabelSet.from_bought(np.arange(1, 480, 2), labels))


@pytest.fixture(scope="module")
def learned() -> NetworkClassifier:
    return train_on_every_other()


def test_a_compact_network_learns_from_bytes(learned: NetworkClassifier) -> None:
    images, truth = striped(300, seed=1)
    scores = learned.network.predict(images, verbose=0)
    assert scores.shape == (300, CLASSES)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(scores.argmax(axis=1) == truth) > 0.9
    assert (learned.collapsed_starts, learned.collapsed) == (0, False)


def test_the_curves_have_a_row_for_each_check(learned: NetworkClassifier) -> None:
    assert [row["step"] for row in learned.curves] == list(range(3, 61, 3))
    assert {row["start"] for row in learned.curves} == {0}
    assert learned.curves[-1]["loss"] < learned.curves[0]["loss"]
    assert max(row["validation_accuracy"] for row in learned.curves) > 0.9


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras 3.15, with numpy 2
def test_a_saved_network_predicts_the_same(learned: NetworkClassifier, tmp_path: Path) -> None:
    learned.network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = striped(50, seed=1)[0]
    wanted = learned.network.predict(images, verbose=0)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), wanted, atol=1e-6)


def test_steps_at_once_are_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of 7 steps, one by one and seven at once; six at once do not divide them."""
    images, labels = striped(240)
    how: dict[str, Any] = {"steps": 140, "patience": 2, "architecture": "edges"}
    given, compile_with = [], training.compile_with

    def spy(optimizer: Any, network: keras.Model, **how: Any) -> None:
        given.append(network)
        compile_with(optimizer, network, **how)

    monkeypatch.setattr(training, "compile_with", spy)
    weights = []
    for at_once in (1, 6, 7):
        monkeypatch.setattr(training, "STEPS_AT_ONCE", at_once)
        weights.append(train(images, LabelSet.from_bought(np.arange(240), labels), **how).network.get_weights())
        assert given[-1].steps_per_execution == (7 if at_once == 7 else 1)
    for others in weights[1:]:
        for one, other in zip(weights[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_seed_gives_the_same_weights_again(learned: NetworkClassifier) -> None:
    """In one process too, where other trainings have used up random numbers."""
    keras.utils.set_random_seed(99)
    again = train_on_every_other()
    assert again.curves == learned.curves
    for one, other in zip(again.network.get_weights(), learned.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras 3.15, with numpy 2
def test_a_network_of_edges_learns_with_muon_and_loads_without_our_code(tmp_path: Path) -> None:
    images, labels = striped(240)
    unseen, truth = striped(300, seed=1)
    model = train(images, LabelSet.from_bought(np.arange(240), labels), architecture="edges").network
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
ALL = LabelSet.from_bought(np.arange(120), STRIPES)


def use(monkeypatch: pytest.MonkeyPatch, *builders: Callable[[Sequence[int], int], Any]) -> None:
    """Let the architecture `test` be each of these once."""
    left = iter(builders)
    monkeypatch.setitem(ARCHITECTURES, "test", lambda *arguments: next(left)(*arguments))


def test_a_collapsed_network_is_started_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DEAD, LIVE)
    trained = train(STRIPED, ALL, architecture="test", steps=10, learning_rate=0.1, restarts=3)
    assert (trained.collapsed_starts, trained.collapsed) == (1, False)
    assert not training.has_collapsed(trained.network, STRIPED)
    assert [row["start"] for row in trained.curves] == 10 * [0] + 10 * [1]


def test_a_network_that_always_collapses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DEAD, DEAD, DEAD)
    trained = train(STRIPED, ALL, architecture="test", steps=1, restarts=2)
    assert (trained.collapsed_starts, trained.collapsed) == (3, True)
    assert training.has_collapsed(trained.network, STRIPED)
    assert [row["start"] for row in trained.curves] == [0, 1, 2]


@pytest.mark.parametrize(
    ("starts", "restarts", "collapsed", "same_as"),
    [
        ((LIVE, LIVE), 0, 0, [0, 1]),
        ((DEAD, LIVE, DEAD, LIVE), 2, 2, [1, 3]),
        ((LIVE, DEAD, DEAD), 1, 2, [0]),
    ],
    ids=["both live", "one is started again, then the other", "one is left"],
)
def test_networks_are_joined(
    starts: list[Callable[..., Any]], restarts: int, collapsed: int, same_as: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    use(monkeypatch, *(lambda *arguments, start=start: made.append(start(*arguments)) or made[-1] for start in starts))
    trained = train(STRIPED, ALL, architecture="test", steps=2, learning_rate=0.1, restarts=restarts, networks=2)
    assert len(made) == len(starts)
    assert (trained.collapsed_starts, trained.collapsed) == (collapsed, False)
    assert [row["start"] for row in trained.curves[::2]] == list(range(len(starts)))
    scores = [np.log(made[number].predict(STRIPED, verbose=0)) for number in same_as]
    shares = np.exp(np.mean(scores, axis=0))
    np.testing.assert_allclose(trained.predict_proba(STRIPED), shares / shares.sum(axis=1, keepdims=True), rtol=1e-4)
    assert len(same_as) == 1 or np.abs(scores[0] - scores[1]).max() > 0.01, "of initialisations of their own"


@pytest.mark.parametrize("shift", [0, 1])
def test_images_are_shifted_where_that_is_asked_for(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never those held back."""
    shown = []

    def keep(model: keras.Model, batches: Any, held_out: Any, *rest: Any) -> list[dict[str, float]]:
        shown.append(([images.numpy() for images, _ in batches.take(8)], held_out[0]))
        return [{}]

    monkeypatch.setattr(training, "_train_once", keep)
    train(STRIPED, ALL, shift=shift)
    [(batches, held_out)] = shown
    known = {image.tobytes() for image in STRIPED}
    assert {image.tobytes() for image in held_out} <= known
    unchanged = np.mean([image.tobytes() in known for batch in batches for image in batch])
    assert unchanged == 1 if shift == 0 else unchanged < 0.3


def test_one_class_is_no_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DEAD)
    one_class = LabelSet.from_bought(np.arange(120), np.ones(120, np.uint8))
    trained = train(STRIPED, one_class, architecture="test", steps=1)
    assert (trained.collapsed_starts, trained.collapsed) == (0, False)


def test_images_sorted_by_class_are_no_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right answer to more than a thousand images in a row is the same."""
    use(monkeypatch, LIVE)
    images = np.repeat(np.array([[0], [255]], np.uint8), [1100, 300], axis=0).repeat(96, axis=1)
    trained = train(
        images,
        LabelSet.from_bought(np.arange(1400), images[:, 0] // 255),
        architecture="test",
        steps=5,
        learning_rate=0.1,
    )
    assert trained.curves[-1]["validation_accuracy"] == 1
    assert (trained.collapsed_starts, trained.collapsed) == (0, False)


def test_training_stops_early_and_keeps_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """All images are equal, so what the network answers to one of them gives the loss on any data held back."""
    use(monkeypatch, LIVE)
    images = np.full((100, 96), 128, np.uint8)
    halves = LabelSet.from_bought(np.arange(100), (np.arange(100) % 2).astype(np.uint8))
    trained = train(images, halves, architecture="test", steps=100, batch_size=5, learning_rate=0.3, patience=3)
    losses = [row["validation_loss"] for row in trained.curves]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3
    assert trained.curves[-1]["step"] < 100
    shares = trained.network.predict(images[:1], verbose=0)[0]
    assert -np.log(shares[:2]).mean() == pytest.approx(losses[best], rel=1e-4)


def test_the_steps_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more than it takes to end with a look at the validation data."""
    use(monkeypatch, LIVE)
    monkeypatch.setattr(training, "CHECKS", 4)
    trained = train(STRIPED, ALL, architecture="test", steps=7, patience=100)
    assert 7 <= trained.curves[-1]["step"] < 7 + trained.curves[0]["step"]


def test_no_more_is_held_back_than_tells_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "HELD_BACK", 7)
    held = []
    monkeypatch.setattr(training, "_train_once", lambda model, batches, held_out, *rest: held.append(held_out) or [{}])
    train(STRIPED, ALL, validation_share=0.9)
    assert [len(values) for values in held[0]] == [7, 7]


@pytest.mark.parametrize(
    ("count", "share", "message"),
    [
        (0, 0.1, "no labels"),
        (1, 0.1, "1 label is too few to hold back 1 for validation"),
        (3, 0.9, "3 labels are too few to hold back 3 for validation"),
    ],
)
def test_too_few_labels_to_hold_some_back(count: int, share: float, message: str) -> None:
    few = LabelSet.from_bought(np.arange(count), STRIPES[:count])
    with pytest.raises(CannotTrainError, match=message):
        train(STRIPED, few, validation_share=share)


@pytest.mark.parametrize("labels", [[0, 0], [0, 1], [0, 0, 0], [0, 1, 2]])
def test_two_or_three_labels_are_trained_on(labels: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, *[LIVE] * 4)
    few = LabelSet.from_bought(np.arange(len(labels)), labels)
    trained = train(STRIPED, few, architecture="test", steps=2, restarts=3)
    assert np.isfinite(trained.predict_proba(STRIPED)).all()
    assert np.isfinite([row["validation_loss"] for row in trained.curves]).all()


def test_two_labels_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, LIVE)
    trained = train(
        STRIPED, LabelSet.from_bought(np.array([3, 5]), np.array([0, 1], np.uint8)), architecture="test", steps=1
    )
    assert len(trained.curves) == 1


def test_a_network_right_on_images_stored_by_class_has_not_collapsed() -> None:
    """The first thousand images are of one class."""
    inputs = keras.Input((2,), dtype="uint8")
    right = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs))
    images = np.repeat(np.eye(2, dtype=np.uint8), [2000, 500], axis=0)
    assert not training.has_collapsed(right, images)
    assert training.has_collapsed(right, images[:2000])
