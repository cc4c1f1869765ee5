"""Stages between the images and the models, without DVC: what they write for images small enough to check by hand."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import yaml
from conftest import PROJECT, write_idx
from numpy.typing import NDArray
from sklearn.cluster import KMeans as Reference
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.features.hog import HOG
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.label_set import LabelSet
from stages import (
    describe,
    files,
    flatten,
    kmeans,
    label_sets,
    params,
    propagate,
    ridge,
    select_representatives,
    train_lr,
    train_lr_distances,
    train_nn,
    train_ridge,
)

SHAPE = (9, 8)
CLASSES = ["up", "level", "none"]
Configure = Callable[..., params.Params]


def striped(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Noise with a bright row, at a height of its own for each class."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % 3).astype(np.uint8)
    images = random.integers(0, 90, (count, *SHAPE))
    for image, label in zip(images, labels, strict=True):
        image[1 + 3 * label] += 130
    return images.reshape(count, -1).astype(np.uint8), labels


IMAGES, LABELS = striped(60)
TEST_IMAGES, _ = striped(9, seed=2)


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """A function that writes params.yaml with changes, sections by their keys, and reads it."""
    monkeypatch.chdir(tmp_path)
    files.save_array("data/flat/train_images.npy", IMAGES)
    files.save_array("data/flat/train_labels.npy", LABELS)
    files.save_array("data/flat/test_images.npy", TEST_IMAGES)
    files.save_json("data/flat/classes.json", CLASSES)
    for part in ("train", "test"):
        files.save_array(f"data/features/embedding_{part}.npy", np.empty((0, 0), np.float32))
    label_sets.save("first_round", LabelSet.from_bought([], []))
    files.save_array(label_sets.AUDIT_ROWS, np.empty(0, np.int64))

    def write(**changes: Any) -> params.Params:
        settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
        everything = {"clusters": 12, "seed": 3, "data": {"image_shape": list(SHAPE), "classes": CLASSES}} | changes
        for name, value in everything.items():
            settings[name] = settings[name] | value if isinstance(value, dict) else value
        Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        return params.load()

    return write


def test_flatten_writes_a_row_for_each_image(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    Path("data/raw").mkdir()
    test_images, test_labels = striped(9, seed=1)
    for part, images, labels in (("train", IMAGES, LABELS), ("t10k", test_images, test_labels)):
        write_idx(Path(f"data/raw/{part}-images-idx3-ubyte"), images.reshape(-1, *SHAPE))
        write_idx(Path(f"data/raw/{part}-labels-idx1-ubyte"), labels)
    flatten.main()
    for name, wanted in (
        ("train_images", IMAGES),
        ("train_labels", LABELS),
        ("test_images", test_images),
        ("test_labels", test_labels),
    ):
        np.testing.assert_array_equal(np.load(f"data/flat/{name}.npy"), wanted, strict=True)
    assert capsys.readouterr().out == "train: 60 images, 3 classes\ntest: 9 images, 3 classes\n"


@pytest.mark.parametrize("neighbours", [2, 7])
def test_describe_writes_features_and_as_many_neighbours_as_told(
    neighbours: int, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(label_spreading={"neighbours": neighbours})
    describe.main()
    features = np.load("data/features/train.npy")
    np.testing.assert_allclose(features, HOG(SHAPE).fit_transform(IMAGES), atol=1e-5)
    np.testing.assert_array_equal(np.load("data/features/neighbours.npy"), nearest_neighbours(features, neighbours))
    np.testing.assert_array_equal(np.load("data/features/originals.npy"), np.arange(60))
    said = capsys.readouterr().out.splitlines()
    assert said == ["60 images, 0 of them exact copies", f"hog: {features.shape[1]} numbers for each image"]


@pytest.mark.parametrize("features", ["pixels", "hog"])
def test_kmeans_clusters_the_features_that_are_named(features: str, configure: Configure) -> None:
    configure(features=features, clusters=5)
    if features == "pixels":
        points = (IMAGES / 255).astype(np.float32)
    else:
        describe.main()
        points = np.load("data/features/train.npy")
    kmeans.main()
    assignments, distances = np.load("data/clusters/assignments.npy"), np.load("data/clusters/distances.npy")
    assert sorted(set(assignments)) == list(range(5))
    centroids = np.stack([points[assignments == cluster].mean(axis=0) for cluster in range(5)])
    to_all = euclidean_distances(points, centroids)
    np.testing.assert_allclose(distances, to_all[np.arange(60), assignments], atol=1e-4)
    reference = Reference(5, n_init=10, random_state=0).fit(points)
    assert np.square(distances).sum() <= 1.1 * reference.inertia_
    np.testing.assert_array_equal(joblib.load("data/clusters/kmeans.joblib").predict(IMAGES), assignments)
    assert Path("data/costs/kmeans.json").is_file()


def test_more_clusters_than_images_are_refused(configure: Configure) -> None:
    configure(clusters=61)
    with pytest.raises(SystemExit, match=r"params.yaml: clusters: 61 is more than the 60 training images"):
        kmeans.main()
    assert not Path("data/clusters").exists()


def test_every_way_of_buying_spends_the_budget_and_logs_it(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(clusters=12, cluster_margin={"first_round": 6, "growth": 2.0, "candidates": 2})
    for stage in (describe, kmeans, select_representatives):
        stage.main()
    assignments, distances = np.load("data/clusters/assignments.npy"), np.load("data/clusters/distances.npy")
    sets = {name: label_sets.load(name) for name in ("random", "representatives", "active", "all")}
    for name, label_set in sets.items():
        assert label_set.bought.all()
        np.testing.assert_array_equal(label_set.labels, LABELS[label_set.rows])
        assert len(label_set) == (60 if name == "all" else 12)
    nearest = [min(np.flatnonzero(assignments == one), key=lambda row: distances[row]) for one in range(12)]
    assert sets["representatives"].rows.tolist() == sorted(nearest)
    assert sets["random"].rows.tolist() != list(range(12)), "not the first"
    with Path("data/labels/purchases.csv").open(encoding="utf-8") as file:
        bought = list(csv.DictReader(file))
    rounds = {name: [int(row["round"]) for row in bought if row["label_set"] == name] for name in sets}
    assert {name: np.bincount(of).tolist() for name, of in rounds.items() if of} == {
        "random": [12],
        "representatives": [12],
        "active": [6, 6],
    }
    assert [int(row["label"]) for row in bought] == [LABELS[int(row["row"])] for row in bought]
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "random: 12 labels bought in 1 rounds",
        "representatives: 12 labels bought in 1 rounds",
        "active: 12 labels bought in 2 rounds",
    ]


def test_labels_that_nobody_is_trained_on_are_not_bought_in_rounds(configure: Configure) -> None:
    nothing: dict[str, list[str]] = {name: [] for name in ("lr_distances", "nn", "ridge", "ensemble")}
    configure(clusters=12, label_sets=nothing | {"lr": ["random"]})
    for stage in (describe, kmeans, select_representatives, propagate):
        stage.main()
    assert len(label_sets.load("active")) == len(label_sets.load("propagated_soft")) == 0
    assert len(label_sets.load("random")) == 12


@pytest.fixture
def two_clusters() -> None:
    """Thirty images in each, the nearest first; rows 0 and 30 were bought, and those of the classes for `active`."""
    files.save_array("data/clusters/assignments.npy", np.repeat([0, 1], 30).astype(np.int32))
    files.save_array("data/clusters/distances.npy", np.tile(np.arange(30), 2).astype(np.float32))
    label_sets.save("representatives", LabelSet.from_bought([0, 30], [2, 1]))
    known = np.arange(0, 60, 4)
    label_sets.save("active", LabelSet.from_bought(known, LABELS[known]))


def test_labels_spread_over_a_cluster_and_over_its_nearest(
    configure: Configure, two_clusters: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(percentile=10)
    describe.main()
    propagate.main()
    every, near = label_sets.load("propagated"), label_sets.load("partially_propagated")
    assert every.rows.tolist() == list(range(60))
    assert every.labels.tolist() == [2] * 30 + [1] * 30
    assert near.rows.tolist() == [0, 1, 2, 30, 31, 32], "a tenth of the way from 0 to 29 is 2.9"
    assert np.flatnonzero(every.bought).tolist() == [0, 30]
    said = capsys.readouterr().out
    assert "propagated: 2 labels spread to 60 images" in said
    assert "partially_propagated: 2 labels spread to 6 images" in said
    assert "propagated_soft: 15 labels spread to 60 images" in said


@pytest.mark.parametrize("wanted", ["random", "propagated", "partially_propagated", "propagated_soft"])
def test_labels_are_not_spread_for_nobody(
    wanted: str, configure: Configure, two_clusters: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are there, and empty, but for the label set that a network is trained on."""
    configure(label_sets={"lr": [], "lr_distances": [], "nn": [wanted], "ridge": [], "ensemble": []})
    describe.main()
    capsys.readouterr()
    propagate.main()
    names = {"propagated", "partially_propagated", "propagated_soft"}
    assert {name for name in names if len(label_sets.load(name))} == names & {wanted}
    said = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert set(said) == names & {wanted}


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_soft_labels_below_the_confidence_are_left_out(weight: float, configure: Configure, two_clusters: None) -> None:
    settings = configure(confidence=0.0, label_spreading={"neighbour_weights": [weight]})
    describe.main()
    propagate.main()
    every = label_sets.load("propagated_soft")
    active = label_sets.load("active")
    assert every.rows.tolist() == list(range(60))
    assert np.flatnonzero(every.bought).tolist() == active.rows.tolist()
    np.testing.assert_array_equal(every.labels, every.probabilities.argmax(axis=1))
    np.testing.assert_array_equal(every.probabilities[active.rows], np.eye(3)[active.labels])
    if weight == 0:
        features = np.load("data/features/train.npy")
        plain = ridge.untrained(settings, 3).fit(features[active.rows], active.labels).predict_proba(features)
        others = ~every.bought
        np.testing.assert_allclose(every.probabilities[others], plain[others], atol=1e-5)
    limit = float(np.median(every.probabilities[~every.bought].max(axis=1)))
    configure(confidence=limit, label_spreading={"neighbour_weights": [weight]})
    propagate.main()
    sure = every.bought | (every.probabilities.max(axis=1) >= limit)
    assert label_sets.load("propagated_soft").rows.tolist() == np.flatnonzero(sure).tolist()


def test_the_kernel_ridge_regression_is_that_of_the_parameters(configure: Configure) -> None:
    settings = configure(kernel_ridge={"gamma": 0.3, "alpha": 0.7})
    wanted = KernelRidgeClassifier(gamma=0.3, alpha=0.7, classes=range(3)).get_params()
    assert ridge.untrained(settings, 3).get_params() == wanted
    bought = LabelSet.from_bought(np.arange(20), LABELS[:20])
    describe.main()
    trained = train_ridge.train(settings, "random", bought)
    hog, model = (step for _, step in trained.model.steps)
    assert model.get_params() == wanted
    described = HOG(SHAPE).fit(IMAGES)
    np.testing.assert_allclose(hog.transform(IMAGES), described.transform(IMAGES), atol=1e-5)
    for part, images in (("train", IMAGES), ("test", TEST_IMAGES)):
        np.testing.assert_allclose(trained.probabilities(part, None), trained.model.predict_proba(images), atol=1e-5)
    np.testing.assert_allclose(trained.left_out.probabilities, model.leave_one_out_proba())
    np.testing.assert_array_equal(trained.left_out.rows, np.arange(20))
    reference = KernelRidgeClassifier(0.3, 0.7, range(3)).fit(described.transform(IMAGES[:20]), LABELS[:20])
    np.testing.assert_allclose(model.decision_function(hog.transform(IMAGES)),
                               reference.decision_function(described.transform(IMAGES)), atol=1e-4)  # fmt: skip


BOUGHT = LabelSet.from_bought(np.arange(5, 35), LABELS[5:35])


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_logistic_regression_on_pixels_is_scikit_learns(power: float, configure: Configure) -> None:
    settings = configure(features="pixels", logistic_regression={"C": 0.05, "pixel_power": power})
    reference = LogisticRegression(C=0.05, max_iter=500).fit((IMAGES[5:35] / 255) ** power, LABELS[5:35])
    found = train_lr.train(settings, "random", BOUGHT).model.predict_proba(IMAGES)
    np.testing.assert_allclose(found, reference.predict_proba((IMAGES / 255) ** power), atol=5e-3)


def test_logistic_regression_on_hog_sees_what_describe_has_computed(configure: Configure) -> None:
    settings = configure(features="hog", logistic_regression={"C": 1e-6, "features_C": 0.5})
    describe.main()
    hog = HOG(SHAPE).fit(IMAGES)
    reference = LogisticRegression(C=0.5, max_iter=500).fit(hog.transform(IMAGES[5:35]), LABELS[5:35])
    found = train_lr.train(settings, "random", BOUGHT).model.predict_proba(IMAGES)
    np.testing.assert_allclose(found, reference.predict_proba(hog.transform(IMAGES)), atol=5e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_iteration_of_logistic_regression_is_not_many(configure: Configure) -> None:
    few = configure(features="pixels", logistic_regression={"C": 10.0, "max_iterations": 1, "distances_C": 10.0})
    many = configure(features="pixels", logistic_regression={"C": 10.0, "max_iterations": 200, "distances_C": 10.0})
    kmeans.main()
    for train in (train_lr.train, train_lr_distances.train):
        one, other = (train(settings, "random", BOUGHT).probabilities("train", None) for settings in (few, many))
        assert np.abs(one - other).max() > 0.01


def test_distances_to_the_centroids_take_the_place_of_pixels(configure: Configure) -> None:
    """Whitened, with a C of their own, as scikit-learn computes them."""
    from sklearn.decomposition import PCA

    settings = configure(features="pixels", clusters=6, logistic_regression={"C": 1e-4, "distances_C": 0.3})
    kmeans.main()
    centroids = joblib.load("data/clusters/kmeans.joblib")[-1].cluster_centers_
    distances = euclidean_distances(IMAGES / 255, centroids)
    white = PCA(whiten=True).fit(distances[5:35])
    reference = LogisticRegression(C=0.3, max_iter=500).fit(white.transform(distances[5:35]), LABELS[5:35])
    found = train_lr_distances.train(settings, "random", BOUGHT).model.predict_proba(IMAGES)
    np.testing.assert_allclose(found, reference.predict_proba(white.transform(distances)), atol=1e-2)


@pytest.mark.parametrize("bought", [0, 99, 100, 101])
@pytest.mark.parametrize(
    ("name", "few_steps"), [("all", 7), ("random", 7), ("active", 7), ("propagated", 9), ("partially_propagated", 9)]
)
def test_few_bought_labels_are_trained_on_for_other_steps(
    name: str, few_steps: int, bought: int, configure: Configure
) -> None:
    few = {"below": 100, "steps": 7, "spread": 9}
    network = configure(network={"steps": 70, "few": few, "patience": 4}).network
    how = train_nn.training_settings(network, name, bought)
    steps = few_steps if bought < 100 else 70
    assert how.pop("steps") == steps
    assert how.pop("patience") == 4
    others = {"architecture", "batch_size", "learning_rate", "validation_share", "restarts", "networks", "shift"}
    assert set(how) == others
