"""Scores from predictions that are written by hand: every figure is known. And what an earlier run left goes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import PROJECT, NotedRun

from experiments import table
from fewlabels.label_set import UNKNOWN, LabelSet
from stages import check, evaluate, files, label_sets, predictions
from stages.registry import CLASSIFIERS, LABEL_SETS

CLASSES = ["null", "1e3", "no"]
TRUE = np.array([0, 0, 1, 1, 2, 2], np.uint8)
CHOSEN = {"features": "hog", "left_out_log_loss": {}}
TEST = np.array([0, 1, 2, 2], np.uint8)


def load(path: str | Path) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_run() -> None:
    """Six training and four test images, two clusters; three models, and what another run left."""
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings |= {"clusters": 2, "percentile": 50, "seed": 7}
    settings["data"] |= {"image_shape": [8, 8], "source": "idx", "folder": "images/mine"}
    settings["label_sets"] = {name: [] for name in CLASSIFIERS} | {"ridge": ["random"], "nn": ["all"], "lr": ["random"]}
    Path("params.yaml").write_text(json.dumps(settings), encoding="utf-8")
    files.save_json("data/flat/classes.json", CLASSES)
    files.save_json("data/features/chosen.json", CHOSEN)
    files.save_array("data/flat/train_images.npy", np.zeros((6, 64), np.uint8))
    files.save_array("data/flat/train_labels.npy", TRUE)
    files.save_array("data/flat/test_labels.npy", TEST)
    files.save_array("data/clusters/assignments.npy", np.array([0, 0, 0, 1, 1, 1], np.int32))
    files.save_json("data/clusters/scores.json", {"inertia": 2.5, "iterations": 3, "distinct_nearest": 2})
    for name in LABEL_SETS:
        label_sets.save(name, LabelSet.from_bought([], []))
    label_sets.save("all", LabelSet.from_bought(range(6), TRUE))
    label_sets.save("random", LabelSet.from_bought([0, 2], [0, 1]))
    label_sets.save("representatives", LabelSet.from_bought([0, 4], [0, 2]))
    spread = np.isin(np.arange(6), [0, 4])
    label_sets.save("propagated", LabelSet(np.arange(6), np.array([0, 0, 0, 2, 2, 2], np.uint8), spread))
    predictions.save(
        "ridge",
        "random",
        {
            "classes": np.array([0, 1], np.uint8),  # it has never seen the third class
            "probabilities": np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], np.float32),
            "rows": np.array([1, 3, 4, 5]),
            "labels": np.array([0, 0, 1, 0], np.uint8),
            "confidence": np.array([0.5, 0.6, 0.8, 0.95], np.float32),
            "left_out": np.array([[0.9, 0.1], [0.8, 0.2]], np.float32),
            "left_out_rows": np.array([0, 2]),
            "left_out_labels": np.array([0, 1], np.uint8),
        },
    )
    predictions.save(
        "nn",
        "all",
        {
            "classes": np.arange(3, dtype=np.uint8),
            "probabilities": np.eye(3, dtype=np.float32)[[0, 1, 2, 0]],
            "rows": np.empty(0, np.int64),
            "labels": np.empty(0, np.uint8),
            "confidence": np.empty(0, np.float32),
            "collapsed": np.array(False),
            "collapsed_starts": np.array(2),
        },
    )
    files.save_json(predictions.curves_of("all"), [{"step": 5, "loss": 0.5}])
    predictions.save("lr", "random", {"untrained": np.array("one class only")})
    predictions.save("lr_distances", "all", {"classes": np.arange(3, dtype=np.uint8)})
    files.save_json(predictions.curves_of("random"), [{"step": 5, "loss": 99}])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run()


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_run()
        evaluate.main()
    return folder


def test_every_score_is_the_known_one(evaluated: Path) -> None:
    details = load(evaluated / "metrics/details.json")
    assert details["run"] == {
        "seed": 7,
        "clusters": 2,
        "percentile": 50,
        "fashion_mnist": False,
        "classes": CLASSES,
        "train_images": 6,
        "test_images": 4,
        "oracle": "labels",
        "audit_images": 0,
        "features": CHOSEN,
    }
    assert details["kmeans"] == {"inertia": 2.5, "iterations": 3, "distinct_nearest": 2, "purity": 4 / 6}
    assert details["untrained"] == {"lr on random": "one class only"}
    ridge, network = details["ridge"]["random"], details["nn"]["all"]
    assert ridge["accuracy"] == 0.5
    assert ridge["transductive_accuracy"] == 0.25
    assert "collapsed" not in ridge
    assert network["accuracy"] == 0.75
    assert "transductive_accuracy" not in network
    assert (network["collapsed"], network["collapsed_starts"]) == (False, 2)
    recall = {(one["model"], one["class"]): one["recall"] for one in details["recall"]}
    assert recall == {
        ("nn on all", "null"): 1,
        ("nn on all", "1e3"): 1,
        ("nn on all", "no"): 0.5,
        ("ridge on random", "null"): 1,
        ("ridge on random", "1e3"): 1,
        ("ridge on random", "no"): 0,
    }


def test_the_metrics_are_what_people_compare(evaluated: Path) -> None:
    assert load(evaluated / "metrics/metrics.json") == {
        "accuracy": {"nn": {"all": 0.75}, "ridge": {"random": 0.5}},
        "purity": {"clusters": 4 / 6},
    }


def test_scores_of_all_images_are_computed_on_the_engine(run: None, noted: NotedRun) -> None:
    settings = load("params.yaml")
    settings["engine"]["scheduler"] = "tcp://there:8786"
    Path("params.yaml").write_text(json.dumps(settings), encoding="utf-8")
    evaluate.main()
    assert noted.asked == ["tcp://there:8786"]
    assert noted.rows == [6], "the purity of the clusters"
    assert load("metrics/metrics.json")["purity"] == {"clusters": 4 / 6}


def test_spread_labels_that_a_model_is_trained_on_have_their_purity_in_the_metrics(run: None) -> None:
    settings = load("params.yaml")
    settings["label_sets"] = {name: [] for name in CLASSIFIERS} | {"lr": ["propagated"]}
    Path("params.yaml").write_text(json.dumps(settings), encoding="utf-8")
    predictions.save("lr", "propagated", {"untrained": np.array("why not")})
    evaluate.main()
    assert load("metrics/metrics.json") == {"accuracy": {}, "purity": {"clusters": 4 / 6, "propagated": 4 / 6}}
    assert load("data/plots/curves.json") == []  # a file that is missing would be a warning of `dvc plots`


def test_a_confusion_matrix_counts_every_pair_of_classes_under_their_own_names(evaluated: Path) -> None:
    assert sorted(path.name for path in (evaluated / "data/plots/confusion").iterdir()) == [
        "nn_all.csv",
        "ridge_random.csv",
    ]
    with (evaluated / "data/plots/confusion/ridge_random.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["actual"], row["predicted"], int(row["count"])) for row in csv.DictReader(file)]
    counts = [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert rows == [(CLASSES[i], CLASSES[j], counts[i][j]) for i in range(3) for j in range(3)]


def test_curves_of_all_networks_are_one_table(evaluated: Path) -> None:
    assert load(evaluated / "data/plots/curves.json") == [{"label_set": "all", "step": 5, "loss": 0.5}]


@pytest.mark.parametrize("stage", [check, evaluate])
def test_predictions_that_another_run_left_are_removed(run: None, stage: type) -> None:
    stage.main()
    left = sorted(str(path.relative_to("data/predictions")) for path in Path("data/predictions").rglob("*.*"))
    assert left == ["lr/random.npz", "nn/all.npz", "nn/all_curves.json", "ridge/random.npz"]


def test_a_wrong_parameter_is_named_before_anything_is_removed(run: None) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8").replace('"percentile"', '"percentil"')
    Path("params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"^params\.yaml: percentil: is not a known parameter$"):
        check.main()
    assert predictions.path_of("lr_distances", "all").is_file()


def test_without_test_images_the_scores_are_what_bought_labels_and_confidence_tell(
    run: None, capsys: pytest.CaptureFixture[str]
) -> None:
    files.save_array("data/flat/test_labels.npy", np.empty(0, np.uint8))
    evaluate.main()
    details = load("metrics/details.json")
    assert details["ridge"]["random"] == {
        "mean_confidence": pytest.approx(2.85 / 4),
        "coverage_above": {"0.5": 1, "0.7": 0.5, "0.9": 0.25, "0.95": 0.25, "0.99": 0},
        "leave_one_out_accuracy": 0.5,
    }
    assert details["nn"]["all"]["mean_confidence"] is None
    left_out = [(one["model"], one["class"], one["recall"]) for one in details["recall"]]
    assert left_out == [("ridge on random, labels left out", "null", 1), ("ridge on random, labels left out", "1e3", 0)]
    assert load("metrics/metrics.json") == {
        "leave_one_out_accuracy": {"ridge": {"random": 0.5}},
        "mean_confidence": {"ridge": {"random": pytest.approx(2.85 / 4)}},
        "purity": {"clusters": 4 / 6},
    }
    capsys.readouterr()
    table.show(details)
    said = capsys.readouterr().out
    assert "ridge on random" in said
    assert "50.00" in said
    assert "71.25" in said
    assert "lr on random is left out, it cannot be trained: one class only" in said


def test_pictures_say_how_many_they_show_and_why_there_are_none() -> None:
    assert [evaluate.title_of_representatives(*counts) for counts in ((60, 2000), (0, 0))] == [
        "60 of the 2,000 representatives and the labels bought for them",
        "No representatives were bought",
    ]
    assert [evaluate.title_of_mislabelled(*counts) for counts in ((60, 9000, 60_000), (0, 0, 60_000), (0, 0, 0))] == [
        "60 of the 9,000 images that propagation gave a wrong label",
        "No propagated label is known to be wrong",
        "No labels were propagated",
    ]


def test_images_whose_label_nobody_knows_do_not_count(run: None) -> None:
    """Of the rows that the ridge predicts, 1 and 3 have no label; 4 and 5 are left, and predicted wrongly."""
    files.save_array("data/flat/train_labels.npy", np.array([0, UNKNOWN, 1, UNKNOWN, 2, 2], np.uint8))
    label_sets.save("all", LabelSet.from_bought([0, 2, 4, 5], [0, 1, 2, 2]))
    evaluate.main()
    details = load("metrics/details.json")
    assert details["ridge"]["random"]["transductive_accuracy"] == 0
    assert details["ridge"]["random"]["accuracy"] == 0.5
    assert details["kmeans"]["purity"] == 0.75
    assert details["label_sets"]["all"] == {"bought": 4, "rows": 4, "purity": 1, "coverage": pytest.approx(4 / 6)}
    files.save_array("data/flat/train_labels.npy", np.full(6, UNKNOWN, np.uint8))
    evaluate.main()
    assert "transductive_accuracy" not in load("metrics/details.json")["ridge"]["random"]
    assert load("metrics/metrics.json")["purity"] == {}
