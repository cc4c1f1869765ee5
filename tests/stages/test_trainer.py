"""What a stage that trains writes: the model, what it predicts, what it cost; or why it could not be trained."""

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import yaml
from conftest import PROJECT
from sklearn.dummy import DummyClassifier

from fewlabels.arrays import evenly_spaced
from fewlabels.label_set import CannotTrainError, LabelSet
from stages import files, inputs, label_sets, predictions, trainer

TEST_IMAGES = np.zeros((3, 64), np.uint8)


@pytest.fixture
def bought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabelSet:
    """Images 1 and 3 of five, with classes 2 and 5, as the label set `random` of a folder with the project's params."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", "random"])
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    files.save_array("data/flat/train_images.npy", np.arange(5 * 64, dtype=np.uint8).reshape(5, 64))
    files.save_array("data/flat/test_images.npy", TEST_IMAGES)
    files.save_json("data/flat/classes.json", ["a", "b", "c", "d", "e", "f"])
    label_set = LabelSet.from_bought([3, 1], [5, 2])
    label_sets.save("random", label_set)
    files.save_array(label_sets.AUDIT_ROWS, np.array([0, 4]))
    return label_set


def most_frequent(settings: Any, name: str, label_set: LabelSet) -> trainer.Trained:
    images = inputs.images("train")
    return trainer.on_images(DummyClassifier().fit(images[label_set.rows], label_set.labels))


def test_only_images_without_a_bought_label_count_as_unlabelled() -> None:
    label_set = LabelSet(np.array([0, 2, 3]), np.zeros(3, np.uint8), np.array([True, False, True]))
    np.testing.assert_array_equal(trainer.unlabelled(label_set, 5), [1, 2, 4])


def test_unlabelled_images_are_limited_and_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "UNLABELLED", 3)
    np.testing.assert_array_equal(trainer.unlabelled(LabelSet.from_bought([0], [0]), 10), [1, 5, 9])


@pytest.mark.parametrize("count", [1, 2, 9, 64, 1000])
@pytest.mark.parametrize("most", [1, 7, 10_000])
def test_unlabelled_images_are_those_that_are_left_when_the_bought_are_taken_out(
    count: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether none is bought, all are, all but one, or some; those of other labels are not bought. In any order."""
    monkeypatch.setattr(trainer, "UNLABELLED", most)
    random = np.random.default_rng(count)
    for bought in {0, 1, count // 3, count // 2, count - 1, count}:
        rows = random.permutation(count)[:bought]
        everywhere = LabelSet(np.arange(count), np.zeros(count, np.uint8), np.isin(np.arange(count), rows))
        left = np.setdiff1d(np.arange(count), rows)
        wanted = left[evenly_spaced(len(left), most)]
        for label_set in (LabelSet.from_bought(rows, np.zeros(bought, int)), everywhere):
            np.testing.assert_array_equal(trainer.unlabelled(label_set, count), wanted, strict=True)


def test_a_model_comes_with_its_predictions_and_its_cost(bought: LabelSet) -> None:
    name, _ = trainer.run("lr", most_frequent)
    assert name == "random"
    assert joblib.load("data/models/lr/random.joblib").predict(TEST_IMAGES).tolist() == [2, 2, 2]
    predicted = predictions.load("lr", "random")
    assert predicted["classes"].tolist() == [2, 5]
    assert predicted["probabilities"].tolist() == [[0.5, 0.5]] * 3
    assert predicted["audit"].tolist() == [[0.5, 0.5]] * 2
    assert predicted["rows"].tolist() == [0, 2, 4]
    assert predicted["labels"].tolist() == [2, 2, 2]
    assert predicted["confidence"].tolist() == [0.5, 0.5, 0.5]
    assert {name: values.dtype for name, values in predicted.items()} == {
        "classes": np.uint8,
        "audit": np.float32,
        "probabilities": np.float32,
        "rows": np.int64,
        "labels": np.uint8,
        "confidence": np.float32,
    }
    assert set(json.loads(Path("data/costs/lr_random.json").read_text(encoding="utf-8"))) == {
        "seconds",
        "peak_memory_gib",
        "machine",
    }


def test_what_cannot_be_trained_says_why_and_the_run_goes_on(
    bought: LabelSet, capsys: pytest.CaptureFixture[str]
) -> None:
    def impossible(*_: Any) -> Any:
        raise CannotTrainError("one class only")

    assert trainer.run("lr", impossible) == ("random", None)
    assert joblib.load("data/models/lr/random.joblib") is None
    predicted = predictions.load("lr", "random")
    assert list(predicted) == ["untrained"]
    assert str(predicted["untrained"]) == "one class only"
    assert capsys.readouterr().err == "WARNING: lr on random cannot be trained: one class only\n"
    assert Path("data/costs/lr_random.json").is_file()


def test_another_fault_ends_the_stage_in_one_line_that_names_the_label_set(bought: LabelSet) -> None:
    def wrong(*_: Any) -> Any:
        raise ValueError("gamma is too large")

    with pytest.raises(SystemExit, match=r"^data/labels/random\.npz: gamma is too large$"):
        trainer.run("lr", wrong)
    assert not Path("data/models").exists()


def test_a_label_set_that_the_classifier_does_not_take_is_refused(
    bought: LabelSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", "all"])
    with pytest.raises(SystemExit) as ended:
        trainer.run("ridge", most_frequent)
    assert ended.value.code == 2
    assert "invalid choice: 'all'" in capsys.readouterr().err
