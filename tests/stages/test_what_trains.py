"""What the training stages pass on, and what train-nn writes besides: nothing is trained."""

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT

from fewlabels.label_set import LabelSet
from stages import (
    ensemble,
    files,
    params,
    predictions,
    ridge,
    train_lr,
    train_lr_distances,
    train_nn,
    train_ridge,
    trainer,
)

BOUGHT = LabelSet.from_bought(range(40), np.arange(40) % 10)
SOFT = LabelSet(BOUGHT.rows, BOUGHT.labels, BOUGHT.bought, np.eye(10, dtype=np.float32)[BOUGHT.labels])
IMAGES = np.zeros((40, 784), np.uint8)


@pytest.mark.parametrize(
    ("stage", "classifier"),
    [(train_lr, "lr"), (train_lr_distances, "lr_distances"), (train_ridge, "ridge"), (ensemble, "ensemble")],
)
def test_a_stage_trains_the_classifier_of_its_name(
    stage: ModuleType, classifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(trainer, "run", lambda *arguments: asked.append(arguments))
    stage.main()
    assert asked == [(classifier, stage.train)]


@pytest.mark.parametrize(
    ("starts", "collapsed", "said"),
    [
        (0, False, ""),
        (2, False, "WARNING: random: 2 starts collapsed to a constant prediction\n"),
        (
            3,
            True,
            "WARNING: random: 3 starts collapsed to a constant prediction\n"
            "WARNING: random: every start did; its accuracy means nothing\n",
        ),
    ],
)
def test_a_collapse_is_said_and_network_and_curves_are_written(
    starts: int,
    collapsed: bool,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = SimpleNamespace(
        collapsed_starts=starts,
        collapsed=collapsed,
        curves=[{"start": 0, "step": 5}],
        network=SimpleNamespace(save=lambda path: Path(path).write_text("network", encoding="utf-8")),
    )
    asked: list[Any] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trainer, "run", lambda *arguments: asked.append(arguments) or ("random", model))
    train_nn.main()
    assert asked == [("nn", train_nn.train)]
    assert capsys.readouterr().err == said
    assert Path("data/models/nn/random.keras").read_text(encoding="utf-8") == "network"
    assert files.load_json(predictions.curves_of("random")) == model.curves


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    monkeypatch.chdir(tmp_path)
    files.save_array("data/flat/train_images.npy", IMAGES)
    files.save_json("data/flat/classes.json", [str(label) for label in range(10)])
    return params.load(PROJECT / "params.yaml")


def test_hard_labels_train_the_network_of_the_parameters(
    settings: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fewlabels.networks import training

    given: list[Any] = []
    monkeypatch.setattr(training, "train", lambda *rest, **named: given.append((rest, named)))
    train_nn.train(settings, "random", BOUGHT)
    [(rest, named)] = given
    np.testing.assert_array_equal(rest[0], IMAGES)
    assert rest[1] is BOUGHT
    network = settings.network
    assert named == {
        "image_shape": settings.data.image_shape,
        "n_classes": 10,
        "seed": settings.seed,
        "settings": training.TrainingSettings(
            network.architecture,
            network.few.steps,
            network.batch_size,
            network.learning_rate,
            network.validation_share,
            network.patience,
            network.restarts,
            network.networks,
            network.shift,
        ),
    }


def test_soft_labels_train_a_student(settings: params.Params, monkeypatch: pytest.MonkeyPatch) -> None:
    from fewlabels.networks import student

    given: list[Any] = []
    monkeypatch.setattr(student, "train_student", lambda *rest, **named: given.append((rest, named)))
    train_nn.train(settings, "propagated_soft", SOFT)
    [(rest, named)] = given
    np.testing.assert_array_equal(rest[0], IMAGES)
    assert rest[1] is SOFT
    assert rest[2].get_params() == ridge.untrained(settings, 10).get_params()
    how = settings.network.student
    assert named == {
        "image_shape": settings.data.image_shape,
        "n_classes": 10,
        "seed": settings.seed,
        "settings": student.StudentSettings(
            how.networks,
            how.generations,
            how.epochs,
            settings.network.batch_size,
            settings.network.learning_rate,
            how.dropout,
            how.repeats,
            how.shift,
            how.views,
            how.images,
        ),
    }


def test_what_cannot_be_trained_has_an_empty_network_and_no_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trainer, "run", lambda *arguments: ("random", None))
    train_nn.main()
    assert Path("data/models/nn/random.keras").read_bytes() == b""
    assert files.load_json(predictions.curves_of("random")) == []
