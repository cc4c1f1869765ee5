"""A network on soft labels: what it is shown, that it learns from it, and that it does so the same way twice."""

from pathlib import Path

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels import student
from fewlabels.embedding import Embedding
from fewlabels.ensemble import Ensemble
from fewlabels.kernel_ridge import KernelRidgeClassifier
from fewlabels.label_set import LabelSet

SHAPE = (8, 9)
SETTINGS = {
    "image_shape": SHAPE,
    "classes": 3,
    "generations": 2,
    "epochs": 3,
    "batch_size": 30,
    "learning_rate": 0.01,
    "dropout": 0.2,
}


def bars(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images with a bright bar, upright, level or none, somewhere in the middle, under noise."""
    random = np.random.default_rng(seed)
    images, labels = random.integers(0, 120, (count, *SHAPE)), np.arange(count) % 3
    for image, label, place in zip(images, labels, random.integers(2, 6, count), strict=True):
        if label == 0:
            image[:, place] = 255
        if label == 1:
            image[place] = 255
    return images.reshape(count, -1).astype(np.uint8), labels.astype(np.uint8)


def unsure(labels: NDArray[np.uint8], certainty: float) -> LabelSet:
    """The right class with that probability, the others with equal ones; a tenth is bought."""
    probabilities = np.full((len(labels), 3), (1 - certainty) / 2, np.float32)
    probabilities[np.arange(len(labels)), labels] = certainty
    return LabelSet(np.arange(len(labels)), labels, np.arange(len(labels)) % 10 == 0, probabilities=probabilities)


def test_each_image_is_shown_shifted_with_its_own_probabilities() -> None:
    images = np.random.default_rng(0).integers(1, 256, (5, SHAPE[0] * SHAPE[1])).astype(np.uint8)
    targets = np.eye(5, dtype=np.float32)
    shown, moves = [], set()
    for pixels, target in student._batches(images, targets, np.array([0, 1, 2, 3, 4, 4]), SHAPE, 3, seed=0).take(40):
        for image, row in zip(pixels.numpy().reshape(-1, *SHAPE), target.numpy().argmax(axis=1), strict=True):
            original = np.pad(images[row].reshape(SHAPE), student.SHIFT)
            views = np.lib.stride_tricks.sliding_window_view(original, SHAPE)
            [found] = np.argwhere((views == image).all(axis=(2, 3)))
            moves.add(tuple(found))
            shown.append(row)
    assert len(moves) == (2 * student.SHIFT + 1) ** 2, "every shift comes up"
    counts = np.bincount(shown)
    np.testing.assert_array_equal(counts, [20, 20, 20, 20, 40])


def test_a_student_learns_and_is_as_unsure_as_it_was_told() -> None:
    images, labels = bars(600)
    unseen, answers = bars(300, seed=1)
    training = student.train(images, unsure(labels, 0.7), repeats=1, seed=0, **SETTINGS)
    probabilities = training.model.predict(unseen, verbose=0)
    assert np.mean(probabilities.argmax(axis=1) == answers) > 0.9
    assert 0.55 < np.median(probabilities.max(axis=1)) < 0.85
    assert [row["step"] for row in training.curves] == [20, 40, 60, 80, 100, 120]
    assert (training.collapsed, training.collapsed_starts) == (False, 0)


def test_the_same_seed_trains_the_same_network() -> None:
    images, labels = bars(90)
    one, other, third = (
        student.train(images, unsure(labels, 0.9), repeats=2, seed=seed, **(SETTINGS | {"epochs": 1})).model.predict(
            images, verbose=0
        )
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)


def test_what_it_cannot_learn_from_is_refused() -> None:
    images, labels = bars(20)
    with pytest.raises(ValueError, match="no probabilities"):
        student.train(images, LabelSet(np.arange(20), labels, np.ones(20, bool)), repeats=1, seed=0, **SETTINGS)
    with pytest.raises(ValueError, match="20 images are fewer than one batch of 30"):
        student.train(images, unsure(labels, 0.9), repeats=1, seed=0, **SETTINGS)
    nothing_bought = LabelSet(**(unsure(labels, 0.9).arrays() | {"bought": np.zeros(20, bool)}))
    with pytest.raises(ValueError, match="no bought labels"):
        student.train(images, nothing_bought, repeats=1, seed=0, **SETTINGS)


def test_a_generation_corrects_what_the_first_was_told_wrong() -> None:
    """A fifth of the soft labels are wrong, with confidence; what is bought is right and stays so."""
    images, labels = bars(600)
    told = unsure(np.where(np.arange(600) % 5 == 3, (labels + 1) % 3, labels).astype(np.uint8), 0.8)
    told.probabilities[told.bought] = np.eye(3)[labels[told.bought]]
    told = LabelSet(
        told.rows, told.probabilities.argmax(axis=1).astype(np.uint8), told.bought, None, told.probabilities
    )
    model = student.train(images, told, repeats=3, seed=0, **(SETTINGS | {"generations": 1, "epochs": 4})).model
    corrected = student._corrected(told.probabilities, told, model, images)
    np.testing.assert_allclose(corrected.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(corrected[told.bought], told.probabilities[told.bought])
    assert np.mean(told.labels == labels) < 0.85
    assert np.mean(corrected.argmax(axis=1) == labels) > 0.95


def test_an_embedding_is_scaled_and_tells_classes_apart() -> None:
    images, labels = bars(300)
    network = student.train(images, unsure(labels, 0.9), repeats=1, seed=0, **SETTINGS).model
    embedding = Embedding(network, components=20).fit(images)
    features = embedding.transform(images)
    assert features.shape == (300, 20)
    assert np.square(features - features.mean(axis=0)).sum(axis=1).mean() == pytest.approx(1, rel=0.01)
    unseen, answers = bars(300, seed=1)
    label_set = LabelSet(np.arange(300), labels, np.arange(300) < 30)
    assert student.on_embedding(network, images, label_set).score(unseen, answers) > 0.9


def test_an_ensemble_says_the_mean_of_what_its_models_say(tmp_path: Path) -> None:
    images, labels = bars(90)
    ridge = KernelRidgeClassifier(gamma=1e-5, classes=range(3)).fit(images, labels)
    network = student.train(images, unsure(labels, 0.9), repeats=1, seed=0, **(SETTINGS | {"epochs": 1})).model
    joblib.dump(Ensemble([ridge, network]), tmp_path / "ensemble.joblib")
    loaded = joblib.load(tmp_path / "ensemble.joblib")
    wanted = (ridge.predict_proba(images) + network.predict(images, verbose=0)) / 2
    np.testing.assert_allclose(loaded.predict_proba(images), wanted, atol=1e-5)
    np.testing.assert_array_equal(loaded.predict(images), wanted.argmax(axis=1))
    assert loaded.score(images, labels) == np.mean(wanted.argmax(axis=1) == labels)
    assert loaded.classes_.tolist() == [0, 1, 2]
