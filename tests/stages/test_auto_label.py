"""The pile, labelled: a row for each picture, where its label is from, and which bought labels look wrong."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT, NotedRun
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from stages import auto_label, files, label_sets, predictions
from stages.registry import CLASSIFIERS

CLASSES = ["cat", "dog, or wolf", "null"]
PILE = np.array(
    [[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]]
)


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def pile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six training pictures, row 2 a copy of 1, row 5 of 3; 0 and 1 were bought; one test picture, one unreadable."""
    monkeypatch.chdir(tmp_path)
    configure({"ridge": ["active"]})
    Path("data/flat").mkdir(parents=True)
    names = ["b.png", "a b.png", "ü/c.png", "d#.png", "e%.png", "f?.png"]
    Path("data/flat/names.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    files.save_json("data/flat/test_names.json", ["test/t.png"])
    files.save_json("data/flat/classes.json", CLASSES)
    files.save_table("data/flat/rejected.csv", [{"file": "broken.jpg", "reason": "truncated"}])
    files.save_array("data/flat/train_images.npy", np.arange(6 * 64, dtype=np.uint8).reshape(6, 64))
    files.save_array("data/features/originals.npy", np.array([0, 1, 1, 3, 4, 3]))
    bought = np.array([True, True, False])
    label_sets.save("active", LabelSet(np.array([0, 1, 2]), np.array([2, 1, 1], np.uint8), bought))
    label_sets.save("audit", LabelSet.from_bought([], []))
    left_out = np.array([[1, 0, 0], [0.1, 0.8, 0.1]], np.float32)
    left_out_labels = {"left_out_rows": np.array([0, 1]), "left_out_labels": np.array([2, 1], np.uint8)}
    predict("ridge", "active", PILE.astype(np.float32), left_out=left_out, **left_out_labels)


def predict(classifier: str, name: str, everywhere: NDArray[np.float32], **others: NDArray[Any]) -> None:
    """Write what a model predicts, the same for the one test picture."""
    files.save_rows(predictions.everywhere_of(classifier, name), everywhere)
    predictions.save(classifier, name, {"probabilities": np.array([[0.3, 0.1, 0.6]], np.float32)} | others)


def configure(trained: dict[str, list[str]], confidence: float = 0.5) -> None:
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings |= {"confidence": confidence, "label_sets": {name: [] for name in CLASSIFIERS} | {"lr": ["all"]} | trained}
    settings["data"]["image_shape"] = [8, 8]
    Path("params.yaml").write_text(json.dumps(settings), encoding="utf-8")


def test_every_picture_has_one_row_that_says_where_its_label_is_from(
    pile: None, capsys: pytest.CaptureFixture[str]
) -> None:
    auto_label.main()
    rows = {row["file"]: tuple(row.values())[1:] for row in table("data/pile.csv")}
    assert rows == {
        "a b.png": ("dog, or wolf", "1.0000", "bought", ""),
        "b.png": ("null", "1.0000", "bought", ""),
        "broken.jpg": ("", "", "left out", "truncated"),
        "d#.png": ("cat", "0.4000", "unsure", ""),
        "e%.png": ("null", "0.8000", "model", ""),
        "f?.png": ("cat", "0.4000", "unsure", ""),
        "test/t.png": ("null", "0.6000", "model", ""),
        "ü/c.png": ("dog, or wolf", "1.0000", "copy", ""),
    }
    assert list(rows) == sorted(rows)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "data/pile.csv: 8 pictures: 2 bought, 1 copy, 2 model, 2 unsure, 1 left out",
        "data/suspects.csv: 1 of 2 bought labels look wrong",
    ]
    assert Path("data/contact_sheet.png").read_bytes().startswith(b"\x89PNG")


def test_the_pile_is_labelled_on_the_engine(pile: None, noted: NotedRun) -> None:
    settings = json.loads(Path("params.yaml").read_text(encoding="utf-8"))
    settings["engine"]["scheduler"] = "tcp://there:8786"
    Path("params.yaml").write_text(json.dumps(settings), encoding="utf-8")
    auto_label.main()
    assert noted.asked == ["tcp://there:8786"]
    assert noted.rows == [6, 6, 1], "the training pictures, what are copies of audited ones, the test pictures"
    assert len(table("data/pile.csv")) == 8


def test_what_people_said_of_audited_pictures_is_in_the_pile(pile: None) -> None:
    label_sets.save("audit", LabelSet.from_bought([4], [0]))
    auto_label.main()
    rows = {row["file"]: (row["label"], row["confidence"], row["source"]) for row in table("data/pile.csv")}
    assert rows["e%.png"] == ("cat", "1.0000", "audit")
    label_sets.save("audit", LabelSet.from_bought([3], [1]))
    auto_label.main()
    rows = {row["file"]: (row["label"], row["confidence"], row["source"]) for row in table("data/pile.csv")}
    assert rows["d#.png"] == ("dog, or wolf", "1.0000", "audit")
    assert rows["f?.png"] == ("dog, or wolf", "1.0000", "copy"), "so has a copy of it"


def test_a_copy_of_a_picture_that_the_model_labels_has_its_label(pile: None) -> None:
    configure({"ridge": ["active"]}, confidence=0)
    auto_label.main()
    rows = {row["file"]: (row["label"], row["confidence"], row["source"]) for row in table("data/pile.csv")}
    assert rows["d#.png"] == ("cat", "0.4000", "model")
    assert rows["f?.png"] == ("cat", "0.4000", "copy")


def test_suspects_are_the_labels_that_are_contradicted_when_left_out(pile: None) -> None:
    auto_label.main()
    assert table("data/suspects.csv") == [
        {"file": "b.png", "label": "null", "predicted": "cat", "confidence": "1.0000", "label_confidence": "0.0000"}
    ]


def test_the_ensemble_labels_where_there_is_one(pile: None) -> None:
    configure({"ridge": ["active"], "nn": ["propagated_soft"], "ensemble": ["propagated_soft"]})
    sure = np.eye(3, dtype=np.float32)[[1] * 6]
    predict("ensemble", "propagated_soft", sure)
    auto_label.main()
    rows = {row["file"]: row["label"] for row in table("data/pile.csv")}
    assert rows["e%.png"] == "dog, or wolf"
    assert rows["b.png"] == "null", "what was bought stays"
    assert [row["file"] for row in table("data/suspects.csv")] == ["b.png"]


@pytest.mark.parametrize("trained", [{}, {"ridge": ["active"]}])
def test_without_a_model_there_is_a_heading_and_the_reason(
    trained: dict[str, list[str]], pile: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(trained)
    files.save_rows(predictions.everywhere_of("ridge", "active"), np.empty((0, 0), np.float32))
    auto_label.main()
    assert Path("data/pile.csv").read_text(encoding="utf-8") == "file,label,confidence,source,reason\n"
    assert table("data/suspects.csv") == []
    assert "data/pile.csv: empty, because " in capsys.readouterr().out
