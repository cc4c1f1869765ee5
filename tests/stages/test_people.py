"""The stages with people as the oracle: label sets from answers.csv, models judged by the audit, no true label read."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT
from numpy.typing import NDArray

from experiments import table
from fewlabels.label_set import LabelSet
from fewlabels.scores import accuracy_interval
from labelling import answers
from labelling.answers import Answer
from labelling.project import load
from labelling.session import Session
from stages import (
    auto_label,
    describe,
    evaluate,
    files,
    first_round,
    kmeans,
    label_sets,
    predictions,
    propagate,
    select_representatives,
    train_nn,
    train_ridge,
)

SHAPE, COUNT = (9, 8), 60
CLASSES = ["up", "level", "none"]
NAMES = [f"{number:02}.png" for number in range(COUNT)]


def striped() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Noise with a bright row, at a height of its own for each class."""
    random = np.random.default_rng(0)
    labels = (np.arange(COUNT) % 3).astype(np.uint8)
    images = random.integers(0, 90, (COUNT, *SHAPE))
    for image, label in zip(images, labels, strict=True):
        image[1 + 3 * label] += 130
    return images.reshape(COUNT, -1).astype(np.uint8), labels


IMAGES, TRUTH = striped()


def configure(**changes: Any) -> None:
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings |= {"oracle": "people", "audit": 12, "clusters": 10, "features": "hog"}
    settings["cluster_margin"] |= {"first_round": 6}
    settings["label_sets"] = {"lr": [], "lr_distances": [], "nn": [], "ridge": ["active"], "ensemble": []}
    settings["data"] |= {"image_shape": list(SHAPE), "source": "idx", "folder": "x", "classes": CLASSES}
    for name, value in changes.items():
        settings[name] = settings[name] | value if isinstance(value, dict) else value
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What flatten writes of sixty pictures, seen and clustered; and nobody's answers."""
    monkeypatch.chdir(tmp_path)
    configure()
    files.save_array("data/flat/train_images.npy", IMAGES)
    files.save_array("data/flat/train_labels.npy", TRUTH)
    files.save_array("data/flat/test_images.npy", IMAGES[:6])
    files.save_array("data/flat/test_labels.npy", TRUTH[:6])
    files.save_json("data/flat/classes.json", CLASSES)
    files.save_json("data/flat/test_names.json", [f"test {number}.png" for number in range(6)])
    files.save_table("data/flat/rejected.csv", [], ("file", "reason"))
    Path("data/flat/names.txt").write_text("".join(f"{name}\n" for name in NAMES), encoding="utf-8")
    Path("answers.csv").write_text(f"{','.join(answers.HEADING)}\n", encoding="utf-8")
    label_sets.save("first_round", LabelSet.from_bought([], []))
    for part in ("train", "test"):
        files.save_array(f"data/features/embedding_{part}.npy", np.empty((0, 0), np.float32))
    describe.main()
    kmeans.main()


def people_answer(most: int = 1000, truth: NDArray[np.uint8] = TRUTH) -> None:
    session = Session(load(), "ana")
    state = session.settled()
    while state["questions"] and most:
        row = state["questions"][0]["row"]
        session.answer([row], int(truth[row]))
        state, most = session.settled(), most - 1


def run(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the stages after the answers; give the metrics."""
    select_representatives.main()
    propagate.main()
    monkeypatch.setattr(sys, "argv", ["train", "active"])
    train_ridge.main()
    evaluate.main()
    auto_label.main()
    return json.loads(Path("metrics/metrics.json").read_text(encoding="utf-8"))


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def row_of(line: Answer) -> int:
    return NAMES.index(line.file)


def test_people_make_the_label_sets_and_the_audit_judges(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people_answer()
    metrics = run(monkeypatch)
    said = capsys.readouterr().out
    assert "active: 10 of 10 labels from people, the budget is spent\n0 pictures are tied, 0 skipped\n" in said
    assert "audit: 12 of 12 pictures have a label\n" in said
    given, _ = answers.read()
    active, audit = label_sets.load("active"), label_sets.load("audit")
    assert active.rows.tolist() == sorted(row_of(line) for line in given if line.why == "round")
    assert (active.labels == TRUTH[active.rows]).all()
    assert audit.rows.tolist() == sorted(row_of(line) for line in given if line.why == "audit")
    assert not set(active.rows) & set(audit.rows)
    np.testing.assert_array_equal(files.load_array(label_sets.AUDIT_ROWS), audit.rows)
    for name in ("all", "random", "representatives", "propagated"):
        assert len(label_sets.load(name)) == 0
    rounds = [(purchase["round"], int(purchase["row"])) for purchase in rows("data/labels/purchases.csv")]
    assert sorted(rounds) == sorted((str(line.round), row_of(line)) for line in given if line.why == "round")

    predicted = predictions.load("ridge", "active")
    right = int((predicted["audit"].argmax(axis=1) == audit.labels).sum())
    low, high = accuracy_interval(right, 12)
    assert metrics == {
        "audit": {
            "accuracy": {"ridge": {"active": right / 12}},
            "low": {"ridge": {"active": low}},
            "high": {"ridge": {"active": high}},
            "images": 12,
        },
        "bought": {"active": 10},
        "purity": {},
    }
    details = json.loads(Path("metrics/details.json").read_text(encoding="utf-8"))
    assert details["run"]["oracle"] == "people"
    assert "transductive_accuracy" not in details["ridge"]["active"]
    assert details["label_sets"]["active"]["purity"] is None
    assert details["kmeans"]["purity"] is None
    table.show(details)
    said = " ".join(capsys.readouterr().out.split())
    assert "accuracy on the 12 pictures of the audit, with its 95 % interval" in said
    assert f"{100 * right / 12:.2f} ({100 * low:.1f} to {100 * high:.1f})" in said
    sources = [row["source"] for row in rows("data/pile.csv")]
    assert (sources.count("bought"), sources.count("audit")) == (10, 12)


def test_no_true_label_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrambled true labels change nothing that is written."""
    people_answer()

    def everything() -> dict[str, bytes]:
        run(monkeypatch)
        written = [*Path("data").rglob("*"), *Path("metrics").rglob("*")]
        left_out = ("_labels.npy", ".joblib")
        return {
            str(path): path.read_bytes()
            for path in written
            if path.is_file() and not path.name.endswith(left_out) and path.parent.name != "costs"
        }

    first_round.main()
    before = everything()
    for part, labels in (("train", TRUTH), ("test", TRUTH[:6])):
        files.save_array(f"data/flat/{part}_labels.npy", (labels + 1) % 3)
    first_round.main()
    assert everything() == before


def test_a_class_has_a_recall_where_it_has_audited_pictures_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(audit=36)
    people_answer()
    run(monkeypatch)
    audit = label_sets.load("audit")
    counts = np.bincount(audit.labels, minlength=3)
    recall = json.loads(Path("metrics/details.json").read_text(encoding="utf-8"))["recall"]
    assert {one["class"]: one["images"] for one in recall} == {
        CLASSES[label]: count for label, count in enumerate(counts) if count >= 10
    }
    for one in recall:
        assert one["low"] <= one["recall"] <= one["high"]


def test_before_anybody_answers_the_run_goes_through_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(label_sets={"nn": ["propagated_soft"]})
    select_representatives.main()
    propagate.main()
    monkeypatch.setattr(sys, "argv", ["train", "active"])
    train_ridge.main()
    monkeypatch.setattr(sys, "argv", ["train", "propagated_soft"])
    train_nn.main()
    evaluate.main()
    auto_label.main()
    said = capsys.readouterr()
    assert "active: 0 of 10 labels from people, `make label` goes on" in said.out
    assert "ridge on active cannot be trained: no labels" in said.err
    assert "nn on propagated_soft cannot be trained: no labels" in said.err


def test_half_a_round_without_an_audit_is_scored_by_labels_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(audit=0)
    people_answer(8)
    metrics = run(monkeypatch)
    assert set(metrics) == {"leave_one_out_accuracy", "mean_confidence", "bought", "purity"}
    assert metrics["bought"] == {"active": 8}


def test_a_first_round_of_the_whole_budget_makes_representatives() -> None:
    configure(clusters=10, cluster_margin={"first_round": 10}, label_sets={"lr": ["representatives", "propagated"]})
    people_answer()
    select_representatives.main()
    propagate.main()
    chosen = label_sets.load("representatives")
    assert chosen.rows.tolist() == label_sets.load("active").rows.tolist()
    assignments = files.load_array("data/clusters/assignments.npy")
    assert len(np.unique(assignments[chosen.rows])) == len(chosen) == 10
    spread, judging = label_sets.load("propagated"), label_sets.load("audit")
    assert len(spread) == COUNT - 12
    assert not set(spread.rows) & set(judging.rows), "not even a spread label of what judges"


def test_features_auto_are_decided_by_the_first_round_of_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(features="auto", audit=3)
    for part, labels in (("train", TRUTH), ("test", TRUTH[:6])):
        numbers = np.repeat(np.eye(3, dtype=np.float32)[labels], 3, axis=1)
        files.save_array(f"data/features/embedding_{part}.npy", numbers)
    first_round.main()
    describe.main()
    assert "features auto: hog, until people have answered the first round" in capsys.readouterr().out
    people_answer()
    given, _ = answers.read()
    assert len(given) == 9, "then the pipeline has to decide"
    first_round.main()
    first = label_sets.load("first_round")
    assert first.rows.tolist() == sorted(row_of(line) for line in given if line.why == "round")
    describe.main()
    assert set(files.load_json("data/features/chosen.json")["left_out_log_loss"]) == {"hog", "embedding"}
    kmeans.main()
    people_answer()
    assert len(answers.read()[0]) == 13
    half = [line for line in given if line.why == "audit"]
    Path("answers.csv").unlink()
    answers.append([*half, *[line for line in given if line.why == "round"][:5]])
    first_round.main()
    assert len(label_sets.load("first_round")) == 0


def test_lines_that_do_not_count_are_said_and_the_others_count(capsys: pytest.CaptureFixture[str]) -> None:
    people_answer(14)
    with Path("answers.csv").open("a", encoding="utf-8") as file:
        file.write("gone.png,up,label,ana,2026-01-01T00:00:00Z,1,round\n00.p")
    select_representatives.main()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("answers.csv: line 17, cut off: ")
    assert said[1].startswith("answers.csv: line 16: 'gone.png' is not among the training pictures (any more)")
    assert "active: 2 of 10 labels from people, `make label` goes on" in said


def test_people_need_classes_to_choose_from() -> None:
    files.save_json("data/flat/classes.json", [])
    for begin in (select_representatives.main, load):
        with pytest.raises(SystemExit, match=r"^params.yaml: data.classes: people need the names of two classes at "):
            begin()
