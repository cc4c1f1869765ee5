"""The training stages without DVC: what they refuse to train, and who votes in an ensemble."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from synthetic import BARS as SHAPE
from synthetic import bars

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.label_set import CannotTrainError, LabelSet
from fewlabels.run import EngineError
from stages import (
    engine,
    ensemble,
    files,
    label_sets,
    params,
    students,
    train_lr,
    train_lr_distances,
    train_nn,
    train_ridge,
    trainer,
)

IMAGES, LABELS = bars(90)
ROWS = np.arange(0, 90, 3)


def _scaled(images: Any) -> Any:
    return (images / 2000).astype(np.float32)


FEATURES = _scaled(IMAGES)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    """Those of params.yaml, for three classes of small images, and a student that is soon trained."""
    monkeypatch.chdir(tmp_path)
    files.save_array("data/flat/train_images.npy", IMAGES)
    files.save_json("data/flat/classes.json", ["up", "level", "none"])
    files.save_array("data/features/train.npy", FEATURES)
    files.save_object("data/features/transformer.joblib", FunctionTransformer(_scaled))
    given = params.load(PROJECT / "params.yaml")
    quick = given.network.student.model_copy(update={"generations": 1})
    return given.model_copy(
        update={
            "data": given.data.model_copy(update={"image_shape": list(SHAPE)}),
            "network": given.network.model_copy(update={"student": quick, "batch_size": 30}),
        }
    )


LEAST = {train_lr: 2, train_lr_distances: 2, train_ridge: 1, train_nn: 2, ensemble: 1}
"""Labels, or classes, that each stage needs."""


@pytest.mark.parametrize("stage", LEAST, ids=lambda stage: stage.__name__)
def test_what_cannot_be_trained_is_named(stage: Any, settings: params.Params) -> None:
    with pytest.raises(CannotTrainError, match="no labels"):
        stage.train(settings, "random", LabelSet.from_bought([], []))
    if LEAST[stage] > 1:
        with pytest.raises(CannotTrainError, match=r"one class only: 1 image of class 2|1 label is too few"):
            stage.train(settings, "random", LabelSet.from_bought([5], [2]))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_kernel_ridge_regression_is_trained_on_any_label(count: int, settings: params.Params) -> None:
    bought = LabelSet.from_bought(np.arange(count), np.full(count, 2))
    probabilities = train_ridge.train(settings, "random", bought).model.predict_proba(IMAGES)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


class Answers(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A student that is always right about what it has seen, or always wrong."""

    def __init__(self, right: bool) -> None:
        self.right, self.classes_, self.network = right, np.arange(3), None

    def predict_proba(self, X: Any) -> Any:
        places = [int(np.flatnonzero((image == IMAGES).all(axis=1))[0]) for image in X]
        return np.eye(3, dtype=np.float32)[(LABELS[places] + (not self.right)) % 3]

    def fit(self, X: Any, y: Any) -> "Answers":
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True


@pytest.fixture
def stored(settings: params.Params) -> Iterator[Callable[[bool], dict[str, Any]]]:
    """What the ensemble reads: teacher, features, neighbours, bought labels. The second image judges models."""
    label_sets.save("active", LabelSet.from_bought(ROWS, LABELS[ROWS]))
    files.save_array("data/features/neighbours.npy", nearest_neighbours(FEATURES))
    files.save_array("data/features/originals.npy", np.where(np.arange(90) == 4, 1, np.arange(90)))
    files.save_array(label_sets.AUDIT_ROWS, np.array([1]))
    teacher = make_pipeline(KernelRidgeClassifier(gamma=1e-6, classes=range(3))).fit(IMAGES[ROWS], LABELS[ROWS])

    def members(right: bool) -> dict[str, Any]:
        return {"ridge": teacher, "student": Answers(right), "ridge_on_student": Answers(right)}

    yield members


def soft() -> LabelSet:
    probabilities = np.full((90, 3), 0.1, np.float32)
    probabilities[np.arange(90), LABELS] = 0.8
    return LabelSet(np.arange(90), LABELS, np.isin(np.arange(90), ROWS), probabilities)


@pytest.mark.parametrize("right", [True, False])
def test_with_many_images_a_student_that_is_worse_on_labels_it_has_seen_does_not_vote(
    right: bool, stored: Callable[[bool], dict[str, Any]], settings: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fewlabels.networks import student

    monkeypatch.setattr(student, "LEAST_STEPS", 1)
    members = stored(right)
    assert ensemble._voters(settings, soft(), members) == (list(members) if right else ["ridge"])


def test_with_few_images_students_that_have_not_seen_the_labels_are_asked(
    stored: Callable[[bool], dict[str, Any]], settings: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fewlabels.networks import held_out, student

    monkeypatch.setattr(student, "LEAST_STEPS", 5)
    asked = []

    def predicted(images: Any, bought: LabelSet, *rest: Any, **more: Any) -> dict[str, Any]:
        asked.append((bought.rows, rest[-1], more))
        certain = np.eye(3, dtype=np.float32)
        return {name: certain[(bought.labels + (name == "ridge")) % 3] for name in held_out.MEMBERS}

    monkeypatch.setattr(held_out, "cross_validated", predicted)
    spreading = settings.label_spreading.model_copy(update={"neighbour_weights": [0.3]})
    given = settings.model_copy(update={"confidence": 0.7, "seed": 5, "label_spreading": spreading})
    assert ensemble._voters(given, soft(), stored(False)) == ["student", "ridge_on_student"]
    [(rows, trained_on, how)] = asked
    np.testing.assert_array_equal(rows, ROWS)
    np.testing.assert_array_equal(np.flatnonzero(~trained_on), [1, 4], "what judges, and its copy")
    assert how == {
        "neighbour_weights": [0.3],
        "confidence": 0.7,
        "seed": 5,
        "image_shape": list(SHAPE),
        "n_classes": 3,
        "settings": students.settings(settings.network),
    }


def test_students_are_not_trained_again_on_a_pile_that_is_larger_than_what_one_sees(
    stored: Callable[[bool], dict[str, Any]], settings: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pile may be more than memory holds: the student of a sample of it is judged by the labels it has seen."""
    from fewlabels.networks import held_out

    monkeypatch.setattr(held_out, "cross_validated", lambda *_, **__: pytest.fail("all images are read"))
    student = settings.network.student.model_copy(update={"images": 89})
    network = settings.network.model_copy(update={"student": student})
    bounded = settings.model_copy(update={"network": network})
    assert ensemble._voters(bounded, soft(), stored(False)) == ["ridge"]


@pytest.mark.parametrize("voting", [["student"], ["ridge_on_student"], ["ridge"], ["ridge", "student"]])
def test_any_of_them_votes_alone(
    voting: list[str],
    stored: Callable[[bool], dict[str, Any]],
    settings: params.Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fewlabels.networks import ensemble as members_of

    certain = np.eye(3, dtype=np.float32)
    files.save_object("data/models/ridge/active.joblib", stored(True)["ridge"])
    files.save_object("data/models/nn/propagated_soft.joblib", Answers(True))
    monkeypatch.setattr(ensemble, "_voters", lambda *_: voting)
    monkeypatch.setattr(members_of, "classifier_on_embedding", lambda *_: Answers(False))
    monkeypatch.setattr(
        members_of, "predicted_together", lambda _, images: (certain[LABELS[:2]], certain[(LABELS[:2] + 1) % 3])
    )
    trained = ensemble.train(settings, "propagated_soft", soft())
    wanted = {
        "student": certain[LABELS[:2]],
        "ridge_on_student": certain[(LABELS[:2] + 1) % 3],
        "ridge": stored(True)["ridge"][-1].predict_proba(FEATURES[:2]),
    }
    expected = np.mean([wanted[one] for one in voting], axis=0)
    np.testing.assert_allclose(trained.probabilities("train", np.arange(2)), expected, atol=1e-6)


@pytest.mark.parametrize(("classifier", "asked"), [("ridge", True), ("ensemble", False), ("nn", False)])
def test_the_engine_is_reached_before_the_training_by_what_computes_on_it(
    classifier: str, asked: bool, settings: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler that has gone must not cost an hour of training; networks are trained and used in this process."""

    def refused(*_: object, **__: object) -> None:
        raise EngineError("engine.scheduler: tcp://127.0.0.1:1: cannot be reached")

    def train(*_: object) -> Any:
        raise CannotTrainError("trained")

    there = settings.engine.model_copy(update={"scheduler": "tcp://127.0.0.1:1"})
    name = "active" if classifier == "ridge" else "propagated_soft"
    label_sets.save(name, soft())
    monkeypatch.setattr(engine, "connected", refused)
    monkeypatch.setattr(params, "load", lambda: settings.model_copy(update={"engine": there}))
    monkeypatch.setattr(sys, "argv", ["stage", name])
    if asked:
        with pytest.raises(SystemExit, match="cannot be reached"):
            trainer.run(classifier, lambda *_: pytest.fail("it is trained"))
    else:
        assert trainer.run(classifier, train) == (name, None)


def test_one_label_tells_nothing(stored: Callable[[bool], dict[str, Any]], settings: params.Params) -> None:
    members = stored(False)
    label_sets.save("active", LabelSet.from_bought([0], [0]))
    assert ensemble._voters(settings, soft(), members) == list(members)
