"""Who votes in an ensemble: what bought labels that nobody has seen say about each member."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import bars

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.label_set import LabelSet
from fewlabels.networks import held_out
from fewlabels.networks.held_out import MEMBERS, cross_validated, voters
from fewlabels.spreading.graph import neighbour_graph


def answers(right: list[int]) -> NDArray[np.float32]:
    """Probabilities of two classes, of which the first is right: 1 for an answer that is, 0 for one that is not."""
    return np.where(np.array(right)[:, None] == 1, [0.9, 0.1], [0.2, 0.8]).astype(np.float32)


LABELS = np.zeros(12, np.uint8)


@pytest.mark.parametrize("best", ["ridge", "student", "ridge_on_student"])
def test_those_that_are_worse_than_the_best_are_left_out(best: str) -> None:
    predicted = {name: answers([1] * 12 if name == best else [1] * 4 + [0] * 8) for name in MEMBERS}
    assert voters(predicted, LABELS) == [best]
    assert voters(predicted | {"ridge": predicted[best]}, LABELS) == [
        name for name in MEMBERS if name in {"ridge", best}
    ]


def test_those_that_err_differently_vote_together() -> None:
    assert voters({"ridge": answers([1, 0] * 6), "student": answers([0, 1] * 6)}, LABELS) == ["ridge", "student"]


@pytest.mark.parametrize(("wrong", "kept"), [(0, True), (3, True), (4, False)])
def test_a_difference_within_two_standard_errors_is_none(wrong: int, kept: bool) -> None:
    """Of 100 labels 3 more are missed: 0.03 and a standard error of 0.017; of 4 more it is 0.04 and 0.0196."""
    predicted = {"ridge": answers([1] * 100), "student": answers([0] * wrong + [1] * (100 - wrong))}
    assert ("student" in voters(predicted, np.zeros(100, np.uint8))) is kept


def test_how_sure_an_answer_is_does_not_count() -> None:
    sure, unsure = np.tile(np.float32([0.99, 0.01]), (12, 1)), np.tile(np.float32([0.51, 0.49]), (12, 1))
    assert voters({"ridge": sure, "student": unsure}, LABELS) == ["ridge", "student"]


def test_nobody_is_chosen_without_members_or_labels() -> None:
    with pytest.raises(ValueError, match=r"^predicted: there is no member$"):
        voters({}, LABELS)
    with pytest.raises(ValueError, match=r"^labels: there is none$"):
        voters({"ridge": answers([])}, LABELS[:0])


class Repeats:
    """Answers with the soft labels that it was given."""

    network = None

    def __init__(self, label_set: LabelSet) -> None:
        self.label_set = label_set

    def predict_proba(self, X: Any) -> Any:
        return self.label_set.probabilities[X[:, 0]]  # the first pixel is the number of the image


TRUTH = (np.arange(120) % 3).astype(np.uint8)
FEATURES = (0.1 * np.random.default_rng(0).normal(size=(120, 3)) + 2 * np.eye(3)[TRUTH]).astype(np.float32)
IMAGES = np.column_stack([np.arange(120), *(255 * (label == TRUTH) for label in range(3))]).astype(np.uint8)
ROWS = np.arange(0, 120, 5)
HOW: dict[str, Any] = {
    "features": FEATURES,
    "graph": neighbour_graph(nearest_neighbours(FEATURES)),
    "classifier": KernelRidgeClassifier(classes=range(3)),
    "neighbour_weights": [0.5],
}


def test_none_has_seen_the_label_that_it_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teacher, soft labels and student are made without it; one of the labels is wrong, and nobody repeats that."""
    given: list[LabelSet] = []

    def student(images: Any, label_set: LabelSet, *rest: Any, **how: Any) -> Repeats:
        assert how == {"seed": 3, "n_classes": 3}
        given.append(label_set)
        return Repeats(label_set)

    monkeypatch.setattr(held_out, "train_student", student)
    monkeypatch.setattr(held_out, "classifier_on_embedding", lambda network, images, soft, classifier: Repeats(soft))
    monkeypatch.setattr(held_out, "predicted_together", lambda both, images: [both.predict_proba(images)] * 2)
    labels = TRUTH[ROWS].copy()
    labels[4] = (labels[4] + 1) % 3
    bought = LabelSet.from_bought(ROWS, labels)
    predicted = cross_validated(IMAGES, bought, **HOW, confidence=0, seed=3, n_classes=3)
    assert tuple(predicted) == MEMBERS
    for probabilities in predicted.values():
        np.testing.assert_array_equal(probabilities.argmax(axis=1), TRUTH[ROWS])
    used = [label_set.rows[label_set.bought] for label_set in given]
    assert sorted(np.concatenate(used)) == sorted(ROWS), "each label is used once, by the student of the other half"
    assert abs(len(used[0]) - len(used[1])) <= 1
    for label_set, mine in zip(given, used, strict=True):
        hidden = np.isin(ROWS, mine, invert=True)
        np.testing.assert_array_equal(predicted["student"][hidden], label_set.probabilities[ROWS[hidden]])
        np.testing.assert_array_equal(label_set.labels[mine], labels[~hidden])
        teacher = KernelRidgeClassifier(classes=range(3)).fit(FEATURES[mine], labels[~hidden])
        np.testing.assert_array_equal(predicted["ridge"][hidden], teacher.predict_proba(FEATURES[ROWS[hidden]]))


def test_another_seed_divides_the_labels_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    halves: list[NDArray[np.int64]] = []
    monkeypatch.setattr(
        held_out, "train_student", lambda _, soft, *rest, **how: halves.append(soft.rows[soft.bought]) or Repeats(soft)
    )
    monkeypatch.setattr(held_out, "classifier_on_embedding", lambda *_: None)
    monkeypatch.setattr(held_out, "predicted_together", lambda _, images: [np.zeros((len(images), 3))] * 2)
    for seed in (3, 3, 4):
        cross_validated(IMAGES, LabelSet.from_bought(ROWS, TRUTH[ROWS]), **HOW, confidence=0, seed=seed)
    first, _, again, _, other, _ = halves
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_they_learn_from_the_images_that_the_student_that_votes_learns_from(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[LabelSet] = []
    monkeypatch.setattr(held_out, "train_student", lambda _, soft, *rest, **how: given.append(soft) or Repeats(soft))
    monkeypatch.setattr(held_out, "classifier_on_embedding", lambda *_: None)
    monkeypatch.setattr(held_out, "predicted_together", lambda _, images: [np.zeros((len(images), 3))] * 2)
    bought = LabelSet.from_bought(ROWS, TRUTH[ROWS])
    cross_validated(IMAGES, bought, **HOW, confidence=0, seed=3)
    everything = given.pop(0)
    assert len(everything) == len(IMAGES)
    assert everything.probabilities is not None
    likeliest = everything.probabilities.max(axis=1)
    given.clear()
    cross_validated(IMAGES, bought, **HOW, confidence=np.median(likeliest), seed=3)
    wanted = everything.bought | (likeliest >= np.median(likeliest))
    np.testing.assert_array_equal(given[0].rows, everything.rows[wanted])
    assert len(given[0]) < len(IMAGES)
    given.clear()
    cross_validated(IMAGES, bought, **HOW, trained_on=np.arange(120) < 60, confidence=0, seed=3)
    np.testing.assert_array_equal(given[0].rows, everything.rows[everything.bought | (np.arange(120) < 60)])


def test_labels_that_were_not_bought_are_refused() -> None:
    images, _ = bars(6)
    spread = LabelSet(np.arange(6), np.zeros(6, np.uint8), np.arange(6) < 3)
    for label_set, message in (
        (spread, "3 of 6 labels were bought"),
        (LabelSet.from_bought([0], [0]), "1 of 1 labels"),
    ):
        with pytest.raises(ValueError, match=message):
            cross_validated(images, label_set, images, None, None, neighbour_weights=[0.5], confidence=0, seed=0)
