"""The stages before any training, each alone and without DVC: what they write from inputs with a known answer."""

import csv
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import pytest
import yaml
from conftest import PROJECT
from numpy.typing import NDArray

from fewlabels.label_set import UNKNOWN, LabelSet
from stages import describe, embed, files, first_round, kmeans, label_sets, params, select_representatives

SIDE = 8


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def configure(changes: dict[str, Any]) -> None:
    """Write the project's parameters for images of 8 x 8 in three classes, with these changes of whole sections."""
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings["data"] |= {"image_shape": [SIDE, SIDE]}
    files.save_json("data/flat/classes.json", ["cat", "dog", "eel"])
    files.save_array("data/flat/test_images.npy", np.empty((0, SIDE * SIDE), np.uint8))
    label_sets.save("first_round", LabelSet.from_bought([], []))
    Path("params.yaml").write_text(yaml.safe_dump(settings | changes), encoding="utf-8")


def grey(*levels: int) -> NDArray[np.uint8]:
    """Images of one grey level each: shape (n, 64)."""
    return np.repeat(np.array(levels, np.uint8)[:, None], SIDE * SIDE, axis=1)


def striped(*rows: int) -> NDArray[np.uint8]:
    """Black images with one white row each: shape (n, 64)."""
    images = np.zeros((len(rows), SIDE, SIDE), np.uint8)
    images[range(len(rows)), rows] = 255
    return images.reshape(len(rows), -1)


# ---- describe


def test_describe_finds_copies_and_the_nearest_by_hog() -> None:
    """Brighter images have the same edges: 0 and 2 are neighbours, 1 and 3; 4 is a copy of 0."""
    configure({"label_spreading": {"neighbours": 1, "neighbour_weights": [0, 0.5]}})
    across = striped(3).reshape(SIDE, SIDE)
    images = np.stack([across, across.T, across // 2, across.T // 2, across]).reshape(5, -1)
    files.save_array("data/flat/train_images.npy", images)
    describe.main()
    assert files.load_array("data/features/originals.npy").tolist() == [0, 1, 2, 3, 0]
    features = files.load_array("data/features/train.npy")
    np.testing.assert_array_equal(features[4], features[0])
    assert np.linalg.norm(features[0] - features[1]) > 2 * np.linalg.norm(features[0] - features[2])
    np.testing.assert_allclose(joblib.load("data/features/transformer.joblib").transform(images), features, atol=1e-5)
    neighbours = files.load_array("data/features/neighbours.npy")
    assert neighbours.shape == (5, 1)
    assert neighbours[1, 0] == 3
    assert neighbours[3, 0] == 1
    assert neighbours[4, 0] == 0


class NumberedHOG:
    """Features that tell images apart by where they stand, as rounding may."""

    def __init__(self, image_shape: list[int]) -> None:
        assert image_shape == [SIDE, SIDE]

    def fit_rows(self, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Self:
        return self

    def transform(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.arange(len(images), dtype=np.float32)[:, None]

    def get_feature_names_out(self) -> list[str]:
        return ["number"]


def test_a_copy_has_the_very_features_of_its_original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe, "HOG", NumberedHOG)
    configure({})
    files.save_array("data/flat/train_images.npy", striped(1, 2, 1, 3, 4, 5, 6, 2))
    describe.main()
    assert files.load_array("data/features/train.npy")[:, 0].tolist() == [0, 1, 0, 3, 4, 5, 6, 1]


# ---- kmeans


def test_kmeans_of_pixels_finds_groups_and_their_distances() -> None:
    """Three grey levels, two images each, 4 apart: each pixel is 2 from the mean, so each image 8 * 2 / 255."""
    configure({"clusters": 3})
    images = grey(0, 100, 200, 4, 104, 204)
    files.save_array("data/flat/train_images.npy", images)
    kmeans.main()
    assignments = files.load_array("data/clusters/assignments.npy")
    assert [assignments[row] == assignments[row + 3] for row in range(3)] == [True] * 3
    assert sorted(assignments[:3]) == [0, 1, 2]
    np.testing.assert_allclose(files.load_array("data/clusters/distances.npy"), np.full(6, 16 / 255), rtol=1e-3)
    model = files.load_object("data/clusters/kmeans.joblib")
    np.testing.assert_array_equal(model.transform(images).argmin(axis=1), assignments)
    assert set(files.load_json("data/costs/kmeans.json")) == {"seconds", "peak_memory_gib", "machine"}


def test_kmeans_of_hog_reads_the_features_and_no_pixels() -> None:
    configure({"clusters": 2, "features": "hog"})
    images = grey(0, 100, 200, 4)
    files.save_array("data/flat/train_images.npy", images)
    files.save_array("data/features/train.npy", np.array([[0, 0], [5, 5], [5, 6], [0, 1]], np.float32))
    files.save_object("data/features/transformer.joblib", "passthrough")
    kmeans.main()
    assignments = files.load_array("data/clusters/assignments.npy")
    assert assignments[0] == assignments[3] != assignments[1] == assignments[2]
    assert files.load_object("data/clusters/kmeans.joblib").steps[0][1] == "passthrough"


def test_kmeans_takes_as_many_clusters_as_images() -> None:
    configure({"clusters": 3})
    files.save_array("data/flat/train_images.npy", grey(0, 100, 200))
    kmeans.main()
    assert sorted(files.load_array("data/clusters/assignments.npy")) == [0, 1, 2]
    assert files.load_array("data/clusters/distances.npy").tolist() == [0, 0, 0]


def test_kmeans_refuses_more_clusters_than_images_and_writes_nothing() -> None:
    configure({"clusters": 4})
    files.save_array("data/flat/train_images.npy", grey(0, 100, 200))
    with pytest.raises(SystemExit, match=r"^params\.yaml: clusters: 4 is more than the 3 training images$"):
        kmeans.main()
    assert not Path("data/clusters").exists()
    assert not Path("data/costs").exists()


# ---- select-representatives


LABELS = np.array([0, 0, 1, 1, 2, 2, 1, 0], np.uint8)


def buy(changes: dict[str, Any], labels: NDArray[np.uint8] = LABELS, first: Any = ()) -> list[dict[str, str]]:
    """Buy labels of eight images in four clusters, two classes far apart by features, and return the purchases."""
    configure({"clusters": 4, "seed": 1} | changes)
    files.save_array("data/flat/train_labels.npy", labels)
    label_sets.save("first_round", LabelSet.from_bought(first, labels[list(first)]))
    files.save_array("data/features/originals.npy", np.array([0, 1, 2, 3, 4, 5, 2, 7]))
    files.save_array("data/features/train.npy", np.eye(8, 3, dtype=np.float32))
    files.save_array("data/clusters/assignments.npy", np.array([0, 0, 1, 1, 2, 2, 1, 3], np.int32))
    files.save_array("data/clusters/distances.npy", np.array([2, 1, 1, 2, 3, 4, 1, 9], np.float32))
    select_representatives.main()
    with Path("data/labels/purchases.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_representatives_are_the_nearest_members_with_the_annotators_labels() -> None:
    """The nearest of cluster 1 is row 2, of which row 6 is a copy: it takes the label and costs nothing."""
    purchases = buy({})
    bought = [(int(one["row"]), int(one["label"])) for one in purchases if one["label_set"] == "representatives"]
    assert sorted(bought) == [(1, 0), (2, 1), (4, 2), (7, 0)]
    label_set = label_sets.load("representatives")
    assert label_set.rows.tolist() == [1, 2, 4, 6, 7]
    assert label_set.labels.tolist() == [0, 1, 2, 1, 0]
    assert label_set.bought.tolist() == [True, True, True, False, True]


def test_every_way_of_choosing_keeps_to_the_budget_and_all_takes_every_label() -> None:
    purchases = buy({"cluster_margin": {"first_round": 2, "growth": 1.5, "candidates": 20}})
    for name in ("random", "representatives", "active"):
        assert sum(one["label_set"] == name for one in purchases) == label_sets.load(name).bought.sum() == 4, name
    assert [one["round"] for one in purchases if one["label_set"] == "random"] == ["0"] * 4
    assert [one["round"] for one in purchases if one["label_set"] == "active"] == ["0", "0", "1", "2"]
    everything = label_sets.load("all")
    assert everything.rows.tolist() == list(range(8))
    assert everything.labels.tolist() == [0, 0, 1, 1, 2, 2, 1, 0]
    assert everything.bought.all()


def test_active_is_not_bought_for_nobody() -> None:
    purchases = buy({"label_sets": {"lr": ["random"], "lr_distances": [], "nn": [], "ridge": [], "ensemble": []}})
    assert {one["label_set"] for one in purchases} == {"random", "representatives"}
    assert len(label_sets.load("active")) == 0


@pytest.mark.parametrize(("trained_on", "rows"), [("random", 0), ("all", 8)])
def test_every_label_is_taken_only_where_a_classifier_is_trained_on_all(trained_on: str, rows: int) -> None:
    buy({"label_sets": {"lr": [trained_on], "lr_distances": [], "nn": [], "ridge": [], "ensemble": []}})
    assert len(label_sets.load("all")) == rows
    assert label_sets.load("random").bought.sum() == 4, "whatever it is trained on"


# ---- labels that nobody knows, and those of the first round


def test_images_without_a_label_are_never_bought_and_all_is_what_is_known() -> None:
    """Rows 1 and 4 have no label: clusters 0 and 2 are represented by the next nearest, and nobody pays for them."""
    known = np.array([0, UNKNOWN, 1, 1, UNKNOWN, 2, 1, 0], np.uint8)
    purchases = buy({}, known)
    bought = {name: {int(one["row"]) for one in purchases if one["label_set"] == name} for name in params.BOUGHT}
    assert bought["representatives"] == {0, 2, 5, 7}
    for name, rows in bought.items():
        assert len(rows) == 4, name
        assert not rows & {1, 4}, name
    assert label_sets.load("all").rows.tolist() == [0, 2, 3, 5, 6, 7]


def test_a_cluster_of_which_no_label_is_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    purchases = buy({}, np.array([0, 1, 1, 1, 2, 2, 1, UNKNOWN], np.uint8))
    assert sorted(int(one["row"]) for one in purchases if one["label_set"] == "representatives") == [1, 2, 4]
    assert "representatives: 1 clusters have no image with a label\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 2, *[UNKNOWN] * 5], r"^params\.yaml: clusters: 4 is more than the 3 training images with a label$"),
        ([UNKNOWN] * 8, r"^data\.folder: no training picture has a label: sort some into a folder for each class, or "),
    ],
)
def test_a_budget_above_the_labels_that_are_known_is_refused(labels: list[int], said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        buy({}, np.array(labels, np.uint8))
    assert not Path("data/labels/random.npz").exists()
    four = {"first_round": 4, "growth": 1.5, "candidates": 20}
    configure({"clusters": 4, "features": "auto", "cluster_margin": four})
    files.save_array("data/flat/train_images.npy", striped(*range(8)))
    with pytest.raises(SystemExit, match=said.replace("clusters", r"cluster_margin\.first_round")):
        first_round.main()


def test_the_first_round_is_bought_at_random_and_only_to_choose_features_by() -> None:
    four = {"first_round": 4, "growth": 1.5, "candidates": 20}
    configure({"clusters": 6, "seed": 1, "cluster_margin": four})
    files.save_array("data/flat/train_images.npy", striped(*range(8)))
    files.save_array("data/flat/train_labels.npy", np.array([0, UNKNOWN, 1, 1, 2, 2, 1, 0], np.uint8))
    first_round.main()
    assert len(label_sets.load("first_round")) == 0
    configure({"clusters": 6, "seed": 1, "features": "auto"} | {"cluster_margin": four})
    first_round.main()
    first = label_sets.load("first_round")
    assert len(first) == 4
    assert first.bought.all()
    assert 1 not in first.rows


FIRST_TWO = {"first_round": 2, "growth": 1.5, "candidates": 20}


def test_labels_of_the_first_round_count_and_are_those_that_random_and_active_begin_with() -> None:
    purchases = buy({"cluster_margin": FIRST_TWO}, first=[6, 3])
    for name in ("random", "active"):
        rounds = [(one["round"], int(one["row"])) for one in purchases if one["label_set"] == name]
        assert sorted(row for number, row in rounds if number == "0") == [3, 6], name
        assert len(rounds) == 4, name


# ---- which features


def test_auto_takes_the_features_that_predict_the_first_round() -> None:
    """Of an embedding that knows the class, and of one that knows nothing, beside HOG."""
    labels = (np.arange(24) % 3).astype(np.uint8)
    random = np.random.default_rng(0)
    for name, numbers in (
        ("embedding", 5 * np.eye(3)[labels] + 0.1 * random.random((24, 3))),
        ("hog", random.random((24, 3))),
    ):
        configure({"features": "auto"})
        images = random.integers(0, 256, (24, SIDE * SIDE))
        if name == "hog":  # edges along the class's own row, in images that differ, and an embedding that is noise
            images = images // 20 + np.concatenate([striped(1), striped(4), striped(6)] * 8) // 2
        files.save_array("data/flat/train_images.npy", images.astype(np.uint8))
        files.save_array("data/features/embedding_train.npy", numbers.astype(np.float32))
        files.save_array("data/features/embedding_test.npy", np.empty((0, 3), np.float32))
        label_sets.save("first_round", LabelSet.from_bought(range(18), labels[:18]))
        describe.main()
        chosen = files.load_json("data/features/chosen.json")
        assert chosen["features"] == name
        assert set(chosen["left_out_log_loss"]) == {"hog", "embedding"}
        assert min(chosen["left_out_log_loss"], key=chosen["left_out_log_loss"].get) == name


def test_nothing_is_embedded_for_nobody() -> None:
    configure({"features": "hog"})
    embed.main()
    for part in ("train", "test"):
        assert files.load_array(f"data/features/embedding_{part}.npy").shape == (0, 0)
