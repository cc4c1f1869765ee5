"""What a training passes on: seeds, the split, steps, curves. Nothing is trained for longer than a step or two."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from fewlabels.networks import training
from fewlabels.networks.architectures import ARCHITECTURES
from fewlabels.networks.batches import checked_pixels, ordered_batches, predict_in_batches, shuffled_batches
from fewlabels.networks.classifier import NetworkClassifier
from fewlabels.networks.embedding import Embedding, without_last_layer
from fewlabels.networks.ensemble import classifier_on_embedding, joined
from fewlabels.networks.quiet_keras import keras

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (120, 6), np.uint8)
LABELS = (np.arange(120) % 3).astype(np.uint8)


def linear(image_shape: Sequence[int], n_classes: int, brightness: float = 1) -> keras.Model:
    inputs = keras.Input((image_shape[0] * image_shape[1],), dtype="uint8")
    x = keras.layers.Rescaling(brightness / 255)(inputs)
    return keras.Model(inputs, keras.layers.Dense(n_classes, activation="softmax")(x), name="linear")


def train(label_set: LabelSet, seed: int = 1, **changes: Any) -> NetworkClassifier:
    how = {"architecture": "test", "steps": 1, "batch_size": 5, "validation_share": 0.25, "restarts": 0} | changes
    return training.train(
        IMAGES, label_set, image_shape=(2, 3), n_classes=3, settings=training.TrainingSettings(**how), seed=seed
    )


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("architecture", ["x", None]),
        ("steps", [0, -1, 1.5, True, "1", None]),
        ("batch_size", [0, -1, "128"]),
        ("learning_rate", [0, -1, np.nan, "x"]),
        ("validation_share", [0, 1, -0.1, np.nan, None]),
        ("patience", [0, 1.5]),
        ("restarts", [-1, 0.5]),
        ("networks", [0, 1.5]),
        ("shift", [-1, 0.5]),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"^The '{field}' parameter of TrainingSettings must be"):
            training.TrainingSettings(**{field: value})


def test_the_least_settings_are_taken() -> None:
    assert training.TrainingSettings("edges", 1, 1, 1e-9, 1e-9, 1, 0, 1, 0).restarts == 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Instead of training, a list of what a training would have been given."""
    noted: list[dict[str, Any]] = []

    def note(model: Any, batches: Any, held_out: Any, optimizer: Any, settings: Any, start: int) -> list[Any]:
        weights = model.get_weights()[0]
        first = next(iter(batches.as_numpy_iterator()))
        noted.append({"weights": weights, "batch": first, "held_out": held_out, "optimizer": optimizer, "start": start})
        return [{"start": start}]

    monkeypatch.setattr(training, "_train_once", note)
    monkeypatch.setitem(ARCHITECTURES, "test", linear)
    return noted


def test_each_start_has_an_initialisation_of_its_own(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "has_collapsed", lambda *_: True)
    every = LabelSet.from_bought(range(120), LABELS)
    trained = train(every, seed=4, restarts=2)
    assert [call["start"] for call in calls] == [0, 1, 2]
    assert (trained.collapsed_starts, trained.collapsed) == (3, True)
    assert trained.curves == [{"start": 0}, {"start": 1}, {"start": 2}]
    train(every, seed=5)
    np.testing.assert_array_equal(calls[1]["weights"], calls[3]["weights"])
    assert not np.array_equal(calls[0]["weights"], calls[1]["weights"])
    train(every, seed=2**32 - 1, restarts=1)
    train(every, seed=0)
    np.testing.assert_array_equal(calls[5]["weights"], calls[6]["weights"])


def test_a_quarter_of_each_class_is_held_back_and_no_image_is_in_both_parts(calls: list[dict[str, Any]]) -> None:
    rows = np.arange(10, 90)
    train(LabelSet.from_bought(rows, LABELS[rows]), batch_size=60)
    images, labels = calls[0]["held_out"]
    assert sorted(np.bincount(labels)) == [6, 7, 7]
    shown, its_labels = calls[0]["batch"]
    held = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    seen = {image.tobytes(): label for image, label in zip(shown, its_labels, strict=True)}
    truth = {image.tobytes(): label for image, label in zip(IMAGES[rows], LABELS[rows], strict=True)}
    assert held.keys().isdisjoint(seen)
    assert held | seen == truth
    train(LabelSet.from_bought(rows, LABELS[rows]), seed=2)
    assert not np.array_equal(calls[1]["held_out"][0], images), "another seed, another split"


@pytest.mark.parametrize(
    "labels",
    [[0, 0, 0, 0, 0, 1], [0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2, 0, 1]],
    ids=["one label of a class", "fewer held back than classes", "as many"],
)
def test_a_split_need_not_have_every_class(labels: list[int], calls: list[dict[str, Any]]) -> None:
    train(LabelSet.from_bought(range(len(labels)), labels), validation_share=0.3, batch_size=2)
    assert len(calls[0]["held_out"][1]) == int(np.ceil(0.3 * len(labels)))


def test_the_optimiser_is_that_of_the_architecture(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    every = LabelSet.from_bought(range(120), LABELS)
    train(every)
    monkeypatch.setitem(training.OPTIMIZERS, "test", keras.optimizers.SGD)
    train(every)
    assert [call["optimizer"] for call in calls] == [keras.optimizers.Adam, keras.optimizers.SGD]


@pytest.mark.parametrize(("steps", "interval", "checks"), [(1, 1, 1), (29, 1, 29), (30, 2, 15), (200, 10, 20)])
def test_a_twentieth_of_the_steps_lies_between_two_evaluations(
    steps: int, interval: int, checks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Keras is given, and that the rate is zero after the last step."""
    given: dict[str, Any] = {}
    model = linear((2, 3), 3)

    history = SimpleNamespace(
        history={name: [0.5] * checks for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    )
    monkeypatch.setattr(model, "fit", lambda batches, **how: given.update(how) or history)
    held_out = IMAGES[:7], LABELS[:7]
    settings = training.TrainingSettings(steps=steps, learning_rate=0.25, patience=6)
    curves = training._train_once(model, None, held_out, keras.optimizers.SGD, settings, start=3)
    assert (given["steps_per_epoch"], given["epochs"], given["verbose"]) == (interval, checks, 0)
    rate = model.optimizer._learning_rate
    assert float(rate(checks * interval)) == pytest.approx(0.25 if steps == 1 else 0, abs=1e-7)
    assert steps == 1 or float(rate(checks * interval - 1)) > 0
    [stop] = [one for one in given["callbacks"] if isinstance(one, keras.callbacks.EarlyStopping)]
    assert (stop.monitor, stop.patience, stop.restore_best_weights) == ("val_loss", 6, True)
    np.testing.assert_array_equal(np.concatenate([images for images, _ in given["validation_data"]]), IMAGES[:7])
    assert [row["step"] for row in curves] == list(range(interval, checks * interval + 1, interval))
    assert curves[0] == {
        "start": 3,
        "step": interval,
        "loss": 0.5,
        "accuracy": 0.5,
        "validation_loss": 0.5,
        "validation_accuracy": 0.5,
    }


def test_batches_are_shuffled_by_their_seed() -> None:
    def first(seed: int) -> list[int]:
        [(numbers, _)] = shuffled_batches(30, 30, seed, lambda rows: (rows, rows)).take(1).as_numpy_iterator()
        return numbers.tolist()

    keras.utils.set_random_seed(0)
    one = first(1)
    keras.utils.set_random_seed(0)
    assert first(1) == one
    keras.utils.set_random_seed(0)
    assert first(2) != one
    assert one != sorted(one)


def asked(network: keras.Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images at a time the network is asked about, of 1,100."""
    outputs, sizes = network.output_shape[-1], []

    def note(X: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(len(X))
        return np.zeros((len(X), outputs), np.float32)

    monkeypatch.setattr(network, "predict_on_batch", note)
    assert predict_in_batches(network, np.zeros((1100, 6), np.uint8)).shape == (1100, outputs)
    return sizes


@pytest.mark.parametrize(
    ("networks", "views", "wanted"),
    [(1, 1, [1024, 76]), (2, 1, [512, 512, 76]), (1, 2, [512, 512, 76]), (2, 2, [256] * 4 + [76])],
)
def test_a_network_is_asked_in_batches_of_1024_and_a_joined_one_in_parts_of_that(
    networks: int, views: int, wanted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = joined([linear((2, 3), 3) for _ in range(networks)], (2, 3), views=views)
    assert asked(network, monkeypatch) == wanted
    assert asked(without_last_layer(network), monkeypatch) == wanted


def test_a_network_that_has_another_as_a_layer_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that a user adds may begin with a network that was trained elsewhere."""
    inputs = keras.Input((6,), dtype="uint8")
    within = linear((2, 3), 3)(inputs)
    for outputs in (within, keras.layers.Concatenate()([within, keras.layers.Dense(2)(within)])):
        assert asked(keras.Model(inputs, outputs), monkeypatch) == [1024, 76]


def test_validation_images_come_in_batches_of_1024() -> None:
    batches = ordered_batches(np.zeros((1025, 6), np.uint8), np.zeros(1025, np.uint8))
    assert [len(X) for X, _ in batches] == [1024, 1]


@pytest.mark.parametrize("values", [[0, 1, 255], [0.0, 1.0, 255.0]])
def test_whole_numbers_are_pixels_whatever_their_type(values: list[float]) -> None:
    network = NetworkClassifier(linear((1, 3), 2))
    found: NDArray[np.uint8] = checked_pixels(network, [values])
    np.testing.assert_array_equal(found, np.array([[0, 1, 255]], np.uint8), strict=True)


@pytest.mark.parametrize("wrong", [256.0, -1.0, 0.5])
def test_what_is_no_pixel_is_named(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"X: {wrong} is no pixel, a whole number from 0 to 255"):
        checked_pixels(NetworkClassifier(linear((1, 3), 2)), [[3.0, wrong, 7.0]])
    with pytest.raises(ValueError, match=r"^X has 2 features, but NetworkClassifier is expecting 3 features as input"):
        checked_pixels(NetworkClassifier(linear((1, 3), 2)), [[3, 4]])


def test_an_embedding_is_the_scaled_principal_components_of_the_last_layers_input() -> None:
    """That of a linear network is its pixels, from 0 to 1."""
    network = linear((2, 3), 3)
    embedding = Embedding(network, n_components=4).fit(IMAGES)
    np.testing.assert_allclose(embedding.last_features(IMAGES), IMAGES / 255, rtol=1e-5)
    assert (embedding.n_features_in_, len(embedding.get_feature_names_out())) == (6, 4)
    from sklearn.decomposition import PCA

    reference = PCA(4).fit_transform(IMAGES / 255)
    reference /= np.sqrt(np.square(reference).sum(axis=1).mean())
    found = embedding.transform(IMAGES)
    np.testing.assert_allclose(np.abs(found), np.abs(reference), atol=1e-3)
    assert Embedding(network).n_components == 100


def test_the_classifier_on_an_embedding_sees_bought_labels_only() -> None:
    """The principal components are those of all images."""
    from sklearn.neighbors import KNeighborsClassifier

    network = linear((2, 3), 3)
    few = LabelSet(np.arange(120), LABELS, np.arange(120) < 9)
    embedding, trained = classifier_on_embedding(network, IMAGES, few, KNeighborsClassifier(1))
    reference = Embedding(network).fit(IMAGES)
    np.testing.assert_allclose(embedding.transform(IMAGES[:5]), reference.transform(IMAGES[:5]), atol=1e-5)
    assert trained.n_samples_fit_ == 9
    np.testing.assert_array_equal(trained.predict(embedding.transform(IMAGES[:9])), LABELS[:9])
