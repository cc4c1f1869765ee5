"""A student network: the batches it sees, what it learns from soft labels, and how it corrects them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import BARS as SHAPE
from synthetic import bars

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.label_set import CannotTrainError, LabelSet
from fewlabels.networks import student
from fewlabels.networks.classifier import NetworkClassifier
from fewlabels.networks.quiet_keras import keras, tf
from fewlabels.networks.student import StudentSettings, train_student

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_least_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generation takes the steps of its images, so that tests are fast."""
    monkeypatch.setattr(student, "LEAST_STEPS", 1)


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that TensorFlow prepares in a quarter of the time, where it does not matter what is trained."""
    layers = keras.layers

    def network(shape: tuple[int, ...], n_classes: int, dropout: float) -> keras.Model:
        inputs = keras.Input((int(np.prod(shape)),), dtype="uint8")
        hidden = layers.Dense(4, activation="relu")(layers.Rescaling(1 / 255)(inputs))
        return keras.Model(inputs, layers.Dense(n_classes, activation="softmax")(layers.Dropout(dropout)(hidden)))

    monkeypatch.setattr(student, "edges", network)


ORDER = np.array([0, 1, 2, 3, 4, 4])
RIDGE = KernelRidgeClassifier(classes=range(3))


def train(pixels: NDArray[np.uint8], label_set: LabelSet, seed: int = 0, **changes: float) -> NetworkClassifier:
    how = {"generations": 2, "epochs": 3, "batch_size": 30, "learning_rate": 0.01, "dropout": 0.2, "repeats": 1}
    settings = StudentSettings(**(how | changes))
    return train_student(pixels, label_set, RIDGE, image_shape=SHAPE, n_classes=3, settings=settings, seed=seed)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("networks", [0, 1.5]),
        ("generations", [0, -1, 1.5, True, "1", None]),
        ("epochs", [0, 1.5]),
        ("batch_size", [0, -1, "128"]),
        ("learning_rate", [0, -1, np.nan, "x"]),
        ("dropout", [-0.1, 1, np.nan, None]),
        ("repeats", [0, 1.5]),
        ("shift", [-1, 0.5, True]),
        ("views", [0, 6, 1.5, True]),
        ("images", [0, 0.5]),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"^The '{field}' parameter of StudentSettings must be"):
            StudentSettings(**{field: value})


def test_the_least_settings_are_taken() -> None:
    assert StudentSettings(1, 1, 1, 1, 1e-9, 0, 1, 0).shift == 0


def unsure(labels: NDArray[np.uint8], certainty: float) -> LabelSet:
    """Soft labels: the right class with that probability, the others with equal ones; a tenth is bought."""
    probabilities = np.full((len(labels), 3), (1 - certainty) / 2, np.float32)
    probabilities[np.arange(len(labels)), labels] = certainty
    return LabelSet(np.arange(len(labels)), labels, np.arange(len(labels)) % 10 == 0, probabilities=probabilities)


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_each_image_is_shown_shifted_with_its_own_probabilities(shift: int) -> None:
    images = np.random.default_rng(0).integers(1, 256, (5, SHAPE[0] * SHAPE[1])).astype(np.uint8)
    targets = np.eye(5, dtype=np.float32)
    shown, moves = [], set()
    for pixels, target in student._batches(tf.constant(images), targets, ORDER, SHAPE, 3, shift, seed=0).take(100):
        for image, row in zip(pixels.numpy().reshape(-1, *SHAPE), target.numpy().argmax(axis=1), strict=True):
            original = np.pad(images[row].reshape(SHAPE), shift)
            views = np.lib.stride_tricks.sliding_window_view(original, SHAPE)
            [found] = np.argwhere((views == image).all(axis=(2, 3)))
            moves.add(tuple(found))
            shown.append(row)
    assert len(moves) == (2 * shift + 1) ** 2, "every shift comes up"
    counts = np.bincount(shown)
    np.testing.assert_array_equal(counts, [50, 50, 50, 50, 100])


def test_a_student_learns_and_is_as_unsure_as_its_soft_labels() -> None:
    images, labels = bars(600)
    unseen, answers = bars(300, seed=1)
    trained = train(images, unsure(labels, 0.7))
    probabilities = trained.predict_proba(unseen)
    assert np.mean(probabilities.argmax(axis=1) == answers) > 0.9
    assert 0.55 < np.median(probabilities.max(axis=1)) < 0.85
    assert [row["step"] for row in trained.curves] == [20, 40, 60, 80, 100, 120]
    assert (trained.collapsed, trained.collapsed_starts) == (False, 0)


def test_the_same_seed_trains_the_same_network() -> None:
    images, labels = bars(90)
    how = {"repeats": 2, "epochs": 1}
    one, other = (train(images, unsure(labels, 0.9), 1, **how) for _ in range(2))
    np.testing.assert_array_equal(one.predict_proba(images), other.predict_proba(images))
    assert one.curves == other.curves
    third = train(images, unsure(labels, 0.9), 2, generations=1, **how)
    assert one.curves[0] != third.curves[0], "that of the first generation"


@pytest.mark.usefixtures("small_network")
def test_the_highest_seed_trains_two() -> None:
    images, labels = bars(30)
    trained = train(images, unsure(labels, 0.9), seed=2**32 - 1, networks=2, generations=1, epochs=1)
    assert [row["start"] for row in trained.curves] == [0, 1]


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize(
    ("constant", "collapsed_starts", "collapsed", "answers"),
    [([False, False], 0, False, [0, 1]), ([True, False], 1, False, [1]), ([True, True], 2, True, [0])],
)
def test_a_student_that_predicts_one_class_is_left_out(
    constant: list[bool],
    collapsed_starts: int,
    collapsed: bool,
    answers: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[keras.Model] = []

    def has_collapsed(network: keras.Model, images: NDArray[np.uint8]) -> bool:
        looked_at.append(network)
        return constant[len(looked_at) - 1]

    monkeypatch.setattr(student, "has_collapsed", has_collapsed)
    images, labels = bars(30)
    trained = train(images, unsure(labels, 0.9), networks=2, generations=1, epochs=1)
    assert (trained.collapsed_starts, trained.collapsed) == (collapsed_starts, collapsed)
    logs = [np.log(NetworkClassifier(looked_at[number]).predict_proba(images)) for number in answers]
    wanted = np.exp(np.mean(logs, axis=0))
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(trained.predict_proba(images), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("small_network")
def test_a_student_that_predicts_one_class_corrects_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two, the first is such after the first generation, and not in the end."""
    constant, corrections = iter([True, False, False, False]), []
    original = student.corrected

    def corrected(label_set: LabelSet, network: keras.Model, *others: Any) -> Any:
        corrections.append(network)
        return original(label_set, network, *others)

    monkeypatch.setattr(student, "has_collapsed", lambda *_: next(constant))
    monkeypatch.setattr(student, "corrected", corrected)
    images, labels = bars(30)
    trained = train(images, unsure(labels, 0.9), networks=2, generations=2, epochs=1)
    assert [network.layers[-1].input.shape[1] for network in (*corrections, trained.network)] == [4, 8]
    assert (trained.collapsed_starts, trained.collapsed) == (0, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_classes": 4}, "n_classes: 4, and the label set has probabilities of 3"),
        ({"image_shape": (3, 3)}, r"image_shape: \(3, 3\), and an image has 72 numbers"),
    ],
)
def test_images_and_classes_of_another_number_are_refused(changes: dict[str, Any], message: str) -> None:
    images, labels = bars(30)
    how = {"image_shape": SHAPE, "n_classes": 3, "settings": StudentSettings(), "seed": 0} | changes
    with pytest.raises(ValueError, match=f"^{message}$"):
        train_student(images, unsure(labels, 0.9), RIDGE, **how)


def test_without_bought_labels_nothing_is_corrected() -> None:
    images, labels = bars(30)
    soft = replace(unsure(labels, 0.9), bought=np.zeros(30, bool))
    with pytest.raises(ValueError, match=r"^the label set has no bought labels$"):
        student.corrected(soft, student.edges(SHAPE, 3), images, RIDGE)


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize(("count", "steps"), [(20, 1), (61, 2)])
def test_a_batch_is_no_larger_than_the_images_are_many(count: int, steps: int) -> None:
    """Bought labels that count repeatedly make an epoch longer, not a batch larger."""
    images, labels = bars(count)
    shapes = []
    original = student._batches

    def spy(*arguments: Any) -> Any:
        shapes.append(arguments[4])
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student, "_batches", spy)
        trained = train(images, unsure(labels, 0.9), generations=1, epochs=1)
    assert shapes == [min(count, 30)]
    assert [row["step"] for row in trained.curves] == [steps]
    assert np.isfinite(trained.predict_proba(images)).all()


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize(("epochs", "steps"), [(1, [7]), (2, [4, 8]), (10, list(range(3, 31, 3)))])
def test_a_generation_of_few_images_has_a_least_number_of_steps(
    epochs: int, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 90 images an epoch has 3 batches; at least 7 steps are divided by the epochs."""
    monkeypatch.setattr(student, "LEAST_STEPS", 7)
    images, labels = bars(90)
    assert [row["step"] for row in train(images, unsure(labels, 0.9), generations=1, epochs=epochs).curves] == steps


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize(("images_at_most", "steps"), [(90, [3]), (89, [2]), (30, [1]), (1, [1]), (10**6, [7])])
def test_the_images_of_a_generation_bound_its_steps(
    images_at_most: int, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches of 30, whatever the least number of steps, 7, asks for."""
    monkeypatch.setattr(student, "LEAST_STEPS", 7)
    images, labels = bars(90)
    trained = train(images, unsure(labels, 0.9), generations=1, epochs=1, images=images_at_most)
    assert [row["step"] for row in trained.curves] == steps


def test_a_student_of_coloured_images_learns() -> None:
    images, labels = bars(90)
    coloured = np.stack([images // 2, images, images // 3], axis=-1).reshape(90, -1)
    settings = StudentSettings(generations=2, epochs=20, batch_size=30, learning_rate=0.01)
    how: dict[str, Any] = {"image_shape": (*SHAPE, 3), "n_classes": 3, "settings": settings, "seed": 0}
    trained = train_student(coloured, unsure(labels, 0.9), RIDGE, **how)
    assert np.mean(trained.predict(coloured) == labels) > 0.8


def test_the_least_number_of_steps_does_not_bind_for_fashion_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert student.LEAST_STEPS == 200
    few, many = (LabelSet.from_bought(np.arange(n), np.zeros(n, int)) for n in (25_599, 60_000))
    assert student.sees_repeatedly(few, StudentSettings())
    assert not student.sees_repeatedly(many, StudentSettings())
    assert not student.sees_repeatedly(few, StudentSettings(epochs=2))


@pytest.mark.parametrize(("count", "one_class"), [(1, False), (2, True), (3, False)])
def test_few_images_and_one_class_are_enough(count: int, one_class: bool) -> None:
    images, labels = bars(count)
    label_set = unsure(labels, 0.9)
    if one_class:
        certain = np.eye(3, dtype=np.float32)[[0] * count]
        label_set = LabelSet(np.arange(count), np.zeros(count, np.uint8), np.arange(count) == 0, certain)
    probabilities = train(images, label_set, generations=1 + (count == 1), epochs=1).predict_proba(images)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.usefixtures("small_network")
def test_bought_labels_count_repeatedly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of thirty images, five times each in an epoch of 42."""
    orders = []
    original = student._batches

    def spy(*arguments: Any) -> Any:
        orders.append(arguments[2])
        return original(*arguments)

    monkeypatch.setattr(student, "_batches", spy)
    images, labels = bars(30)
    train(images, unsure(labels, 0.9), generations=1, epochs=1, repeats=5)
    np.testing.assert_array_equal(np.bincount(orders[0]), np.where(np.arange(30) % 10 == 0, 5, 1))


@pytest.mark.usefixtures("small_network")
def test_each_generation_but_the_first_is_trained_on_corrected_soft_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = bars(60)
    soft = unsure(labels, 0.6)
    given, corrections = [], []
    original, correct = student._batches, student.corrected

    def spy(*arguments: Any) -> Any:
        given.append(arguments[1])
        return original(*arguments)

    def noted(*arguments: Any) -> Any:
        corrections.append(correct(*arguments))
        return corrections[-1]

    monkeypatch.setattr(student, "_batches", spy)
    monkeypatch.setattr(student, "corrected", noted)
    train(images, soft, generations=3, epochs=1)
    np.testing.assert_array_equal(given[0], soft.probabilities)
    assert len(corrections) == 2
    for targets, wanted in zip(given[1:], corrections, strict=True):
        np.testing.assert_array_equal(targets, wanted)
        assert np.abs(targets - soft.probabilities).max() > 0.01


@pytest.mark.usefixtures("small_network")
def test_several_views_correct_the_soft_labels_and_are_what_is_predicted_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = bars(60)
    asked: list[int] = []
    correct = student.corrected

    def noted(label_set: LabelSet, network: keras.Model, *rest: Any) -> Any:
        asked.append(network.layers[-1].input.shape[1])
        return correct(label_set, network, *rest)

    monkeypatch.setattr(student, "corrected", noted)
    trained = train(images, unsure(labels, 0.6), networks=2, views=3, epochs=1)
    assert [*asked, trained.network.layers[-1].input.shape[1]] == [2 * 3 * 4] * 2, "each network has four last features"
    joblib.dump(trained, tmp_path / "student.joblib")
    loaded = joblib.load(tmp_path / "student.joblib")
    np.testing.assert_allclose(loaded.predict_proba(images), trained.predict_proba(images), atol=1e-6)


@pytest.mark.usefixtures("small_network")
def test_a_student_takes_several_steps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 images and none repeated, twenty batches of three: an epoch is run whole."""
    networks, compile_with = [], student.compile_with

    def spy(optimizer: Any, network: Any, **how: Any) -> None:
        networks.append(network)
        compile_with(optimizer, network, **how)

    monkeypatch.setattr(student, "compile_with", spy)
    images, labels = bars(60)
    train(images, unsure(labels, 0.9), generations=1, epochs=1, batch_size=3)
    assert [network.steps_per_execution for network in networks] == [20]


@pytest.mark.usefixtures("small_network")
def test_two_students_correct_together_and_are_one_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both learn from the same soft labels, and the four last features of each are features of the whole."""
    images, labels = bars(60)
    given = []
    original = student._batches

    def spy(*arguments: Any) -> Any:
        given.append((arguments[1], arguments[-1]))
        return original(*arguments)

    monkeypatch.setattr(student, "_batches", spy)
    trained = train(images, unsure(labels, 0.6), seed=5, networks=2, generations=2, epochs=1)
    assert [seed for _, seed in given] == [5, 10_012, 6, 10_013]
    one, other, corrected_one, corrected_other = (targets for targets, _ in given)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(corrected_one, corrected_other)
    assert np.abs(one - corrected_one).max() > 0.01
    assert [(row["start"], row["step"]) for row in trained.curves] == [(0, 2), (0, 4), (1, 2), (1, 4)]
    assert trained.curves[0]["loss"] != trained.curves[2]["loss"]
    [weights, _] = trained.network.layers[-1].get_weights()
    assert weights.shape == (8, 3)
    assert np.abs(weights[:4] - weights[4:]).max() > 0.01


@pytest.mark.usefixtures("small_network")
def test_each_generation_starts_with_a_fresh_optimiser_and_none_compiles_the_network_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tracing a step of the real network takes TensorFlow seconds."""
    traced: list[int] = []
    before: list[list[Any]] = []

    class Spied(student.ConvolutionMuon):
        def apply(self, *arguments: Any, **named: Any) -> Any:
            traced.append(1)
            return super().apply(*arguments, **named)

    class Noted(keras.callbacks.Callback):
        def __init__(self, **_: Any) -> None:
            super().__init__()

        def on_train_begin(self, logs: Any = None) -> None:
            before.append([variable.numpy() for variable in optimizers[0].variables])

    optimizers: list[Any] = []
    monkeypatch.setattr(student, "ConvolutionMuon", lambda rate: optimizers.append(Spied(rate)) or optimizers[0])
    monkeypatch.setattr(student, "TqdmCallback", Noted)
    images, labels = bars(90)
    train(images, unsure(labels, 0.9), generations=3, epochs=1, repeats=1)
    assert sum(traced) == 1
    assert len(before) == 3
    for later in before[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(before[0], later, strict=True))
    assert int(optimizers[0].iterations) == 3


def test_what_it_cannot_learn_from_is_refused() -> None:
    images, labels = bars(20)
    with pytest.raises(ValueError, match="no probabilities"):
        train(images, LabelSet.from_bought(range(20), labels))
    nothing_bought = LabelSet(**(unsure(labels, 0.9).arrays() | {"bought": np.zeros(20, bool)}))
    with pytest.raises(ValueError, match="no bought labels"):
        train(images, nothing_bought)
    with pytest.raises(CannotTrainError, match="no labels"):
        train(images, LabelSet.from_bought([], []))


def test_a_generation_corrects_soft_labels_that_are_wrong() -> None:
    """A fifth of the soft labels are wrong, with confidence; what is bought is right and stays so."""
    images, labels = bars(600)
    soft = unsure(np.where(np.arange(600) % 5 == 3, (labels + 1) % 3, labels).astype(np.uint8), 0.8)
    soft.probabilities[soft.bought] = np.eye(3)[labels[soft.bought]]
    likeliest = soft.probabilities.argmax(axis=1).astype(np.uint8)
    soft = LabelSet(soft.rows, likeliest, soft.bought, soft.probabilities)
    network = train(images, soft, repeats=3, generations=1, epochs=4).network
    corrected = student.corrected(soft, network, images, RIDGE)
    np.testing.assert_allclose(corrected.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(corrected[soft.bought], soft.probabilities[soft.bought])
    assert np.mean(soft.labels == labels) < 0.85
    assert np.mean(corrected.argmax(axis=1) == labels) > 0.95


def test_the_ridge_of_the_correction_is_the_one_given() -> None:
    """Its penalty so large that it predicts nothing, the mean of the three is that of the other two and a third."""
    images, labels = bars(90)
    soft = unsure(labels, 0.9)
    network = train(images, soft, generations=1, epochs=1).network
    numb = KernelRidgeClassifier(alpha=1e9, classes=range(3))
    corrected = student.corrected(soft, network, images, numb)[~soft.bought]
    own = NetworkClassifier(network).predict_proba(images)[~soft.bought]
    wanted = (soft.probabilities[~soft.bought] + own + 1 / 3) / 3
    np.testing.assert_allclose(corrected, wanted, atol=1e-3)
    assert np.abs(student.corrected(soft, network, images, RIDGE)[~soft.bought] - wanted).max() > 0.05
