"""Who votes in an ensemble: what bought labels that nobody has seen say about each member."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic import BARS as SHAPE
from synthetic import bars

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.features.neighbours import nearest_neighbours, neighbour_graph
from fewlabels.label_set import LabelSet
from fewlabels.networks import held_out, student
from fewlabels.networks.held_out import MEMBERS, cross_validated, voters
from fewlabels.networks.student import StudentSettings


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


def test_none_has_seen_the_label_that_it_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soft labels and student are made without it, and the other way round when it is their turn."""
    monkeypatch.setattr(student, "LEAST_STEPS", 30)
    trained_on = []
    original = held_out.train_student

    def noted(images: Any, label_set: LabelSet, *rest: Any, **more: Any) -> Any:
        trained_on.append(label_set)
        return original(images, label_set, *rest, **more)

    monkeypatch.setattr(held_out, "train_student", noted)
    images, labels = bars(120)
    features = (images / 255).astype(np.float32)
    rows = np.arange(0, 120, 5)
    wrong = (labels + 1) % 3  # an answer could come from nowhere else
    bought = LabelSet.from_bought(rows, np.where(rows == 10, wrong[rows], labels[rows]))
    how = StudentSettings(generations=2, batch_size=30, learning_rate=0.01)
    predicted = cross_validated(
        images,
        bought,
        features,
        neighbour_graph(nearest_neighbours(features)),
        KernelRidgeClassifier(gamma=0.2 / 255**2, classes=range(3)),
        KernelRidgeClassifier(gamma=0.2, classes=range(3)),
        neighbour_weight=0.5,
        seed=0,
        image_shape=SHAPE,
        n_classes=3,
        settings=how,
    )
    assert tuple(predicted) == MEMBERS
    for probabilities in predicted.values():
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        assert np.mean(probabilities.argmax(axis=1) == labels[rows]) > 0.6
        assert probabilities[2].argmax() != wrong[10]
    used = [set(label_set.rows[label_set.bought]) for label_set in trained_on]
    assert used[0] & used[1] == set()
    assert used[0] | used[1] == set(rows)
    for label_set, mine in zip(trained_on, used, strict=True):
        hidden = sorted(set(rows) - mine)
        assert label_set.probabilities[hidden].max() < 1
        assert np.all(label_set.probabilities[sorted(mine)].max(axis=1) == 1)


def test_labels_that_were_not_bought_are_refused() -> None:
    images, _ = bars(6)
    spread = LabelSet(np.arange(6), np.zeros(6, np.uint8), np.arange(6) < 3)
    for label_set, message in (
        (spread, "3 of 6 labels were bought"),
        (LabelSet.from_bought([0], [0]), "1 of 1 labels"),
    ):
        with pytest.raises(ValueError, match=message):
            cross_validated(images, label_set, images, None, None, None, neighbour_weight=0.5, seed=0)
