"""The same image stored twice: seen as one, paid for once, and its copy takes the label. Stages run without DVC."""

import csv
from pathlib import Path

import joblib
import numpy as np
import pytest
import yaml
from conftest import PROJECT
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from stages import describe, files, kmeans, label_sets, propagate, select_representatives

SHAPE = (8, 8)
DISTINCT = 60


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.uint8]:
    """Sixty images, each stored twice, as `flatten` leaves them, and the parameters of a small run."""
    monkeypatch.chdir(tmp_path)
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings |= {"clusters": 30, "features": "hog"}
    settings["data"] |= {"image_shape": list(SHAPE)}
    settings["cluster_margin"]["first_round"] = 10
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    files.save_json("data/flat/classes.json", ["cat", "dog", "eel"])
    files.save_array("data/flat/test_images.npy", np.empty((0, 64), np.uint8))
    label_sets.save("first_round", LabelSet.from_bought([], []))
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, DISTINCT)
    distinct = random.integers(0, 80, (DISTINCT, *SHAPE))
    for image, label in zip(distinct, labels, strict=True):
        image[2 * label + 1] += 120
    images = np.concatenate([distinct, distinct]).reshape(2 * DISTINCT, -1).astype(np.uint8)
    files.save_array("data/flat/train_images.npy", images)
    files.save_array("data/flat/train_labels.npy", np.concatenate([labels, labels]).astype(np.uint8))
    return images


def test_describe_gives_copies_the_same_features(images: NDArray[np.uint8]) -> None:
    describe.main()
    np.testing.assert_array_equal(np.load("data/features/originals.npy"), np.tile(np.arange(DISTINCT), 2))
    features = np.load("data/features/train.npy")
    np.testing.assert_array_equal(features[:DISTINCT], features[DISTINCT:])
    hog = joblib.load("data/features/transformer.joblib")
    np.testing.assert_allclose(hog.transform(images), features, atol=1e-5)
    neighbours = np.load("data/features/neighbours.npy")
    assert neighbours.shape == (2 * DISTINCT, 5)
    assert all(row not in others for row, others in enumerate(neighbours))


def test_a_budget_buys_distinct_images_and_copies_take_their_labels(images: NDArray[np.uint8]) -> None:
    for stage in (describe, kmeans, select_representatives, propagate):
        stage.main()
    truth = np.load("data/flat/train_labels.npy")
    for name in ("random", "representatives", "active"):
        label_set = label_sets.load(name)
        paid = label_set.rows[label_set.bought]
        assert len(np.unique(paid % DISTINCT)) == len(paid) == 30
        assert sorted(label_set.rows) == sorted([*paid % DISTINCT, *paid % DISTINCT + DISTINCT])
        np.testing.assert_array_equal(label_set.labels, truth[label_set.rows])
    soft, active = label_sets.load("propagated_soft"), label_sets.load("active")
    assert soft.bought.sum() == 30
    np.testing.assert_array_equal(soft.probabilities[active.rows], np.eye(3)[active.labels])


def test_the_log_of_purchases_has_what_the_annotator_answered(images: NDArray[np.uint8]) -> None:
    for stage in (describe, kmeans, select_representatives):
        stage.main()
    with Path("data/labels/purchases.csv").open(encoding="utf-8") as file:
        purchases = list(csv.DictReader(file))
    rounds = [int(one["round"]) for one in purchases if one["label_set"] == "active"]
    assert np.bincount(rounds).tolist() == [10, 4, 6, 9, 1], "by params.yaml: the first round of 10, growing by 1.45"
    truth = np.load("data/flat/train_labels.npy")
    assert all(int(one["label"]) == truth[int(one["row"])] for one in purchases)
