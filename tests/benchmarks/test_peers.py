"""Every contender spends its budget and learns, its query strategy keeps the contract, the packages are pinned."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT
from numpy.typing import NDArray
from sklearn.semi_supervised import LabelSpreading

from benchmarks import peers, results
from benchmarks.alone import alone
from fewlabels.features.hog import HOG
from stages import files

NEEDS = {
    "Laplace learning, random": "graphlearning",
    "Poisson learning, random": "graphlearning",
    "ridge, TypiClust on MiniBatchKMeans": "skactiveml",
    "ridge, margin sampling": "skactiveml",
}


@pytest.fixture(scope="module")
def data() -> peers.Data:
    """Ten blobs, one for each class, that any classifier separates well."""
    random = np.random.default_rng(0)
    labels = random.integers(peers.CLASSES, size=800).astype(np.uint8)
    centres = random.normal(size=(peers.CLASSES, 12))
    points = (centres[labels] + random.normal(scale=0.4, size=(800, 12))).astype(np.float32)
    train, test = peers.unit_norm(points[:600], points[600:])
    return peers.Data(train, labels[:600], test, labels[600:])


@pytest.mark.parametrize("contender", peers.CONTENDERS)
def test_every_contender_spends_its_budget_and_learns(contender: str, data: peers.Data) -> None:
    if contender in NEEDS:
        pytest.importorskip(NEEDS[contender])
    first, second = peers.measure(contender, data, (80, 120), (1,))
    assert (first["budget"], first["bought"]) == (80, 80)
    assert (second["budget"], second["bought"]) == (120, 120)
    assert second["accuracy"] > 0.9
    assert second["seconds"] >= second["seconds_before_labels"] == first["seconds_before_labels"]


def test_labels_are_learned_in_the_order_of_the_images(data: peers.Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folds of self-training's cross-validation depend on it: as in the pipeline, not as asked."""
    learned = []

    def predict(rows: NDArray[np.int64], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        learned.append((rows, labels))
        return data.test_labels

    monkeypatch.setitem(peers.CONTENDERS, "recorder", (peers._random, lambda train, test: predict))
    peers.measure("recorder", data, (80,), (1,))
    [(rows, labels)] = learned
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(labels, data.train_labels[rows])


@pytest.mark.parametrize("contender", peers.CONTENDERS)
def test_every_query_strategy_is_pure_and_keeps_to_the_pool(contender: str, data: peers.Data) -> None:
    if NEEDS.get(contender) == "skactiveml":
        pytest.importorskip("skactiveml")
    query, rounds = peers.CONTENDERS[contender][0](100, 1)
    assert sum(rounds) == 100
    exclude = range(300, 600)
    for labelled in (np.empty(0, np.int64), np.arange(0, 100, 2)):
        labels = data.train_labels[labelled]
        asked = query(data.train, labelled, labels, 30, exclude=exclude)
        assert len(np.unique(asked)) == 30
        assert not np.isin(asked, [*labelled, *exclude]).any()
        np.testing.assert_array_equal(query(data.train, labelled, labels, 30, exclude=exclude), asked)


def test_label_spreading_is_that_of_scikit_learn(data: peers.Data) -> None:
    rows = np.arange(0, 600, 6)
    labels = data.train_labels[rows]
    predicted = peers._label_spreading(data.train, data.test)(rows, labels)
    known = np.full(600, -1)
    known[rows] = labels
    expected = LabelSpreading(kernel="knn").fit(data.train, known).predict(data.test)
    np.testing.assert_array_equal(predicted, expected)


def test_both_kinds_of_features_are_centred_and_of_unit_norm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 20)):
        files.save_array(f"data/flat/{part}_images.npy", random.integers(256, size=(count, 144), dtype=np.uint8))
        files.save_array(f"data/flat/{part}_labels.npy", random.integers(10, size=count, dtype=np.uint8))
    images = files.load_array("data/flat/train_images.npy")
    hog = HOG((12, 12)).fit(images)
    files.save_object("data/features/transformer.joblib", hog)
    files.save_array("data/features/train.npy", hog.transform(images))
    for features in peers.FEATURES:
        loaded = peers.load(features, images=60)
        assert (len(loaded.train), len(loaded.test), len(loaded.train_labels), len(loaded.test_labels)) == (
            60,
            20,
            60,
            20,
        )
        assert loaded.train.dtype == loaded.test.dtype == np.float32
        np.testing.assert_allclose(loaded.train.mean(axis=0), 0, atol=1e-4)
        assert np.square(loaded.train).sum(axis=1).mean() == pytest.approx(1, abs=1e-3)
        few = peers.load(features, images=40)
        assert (len(few.train), len(few.train_labels), len(few.test)) == (40, 40, 20)


def run(contender: str, budget: int, seed: int, accuracy: float, seconds: float) -> dict[str, Any]:
    measured = {"accuracy": accuracy, "seconds": seconds, "peak_memory_gib": seed / 10}
    return {"contender": contender, "features": "pixels", "budget": budget, "seed": seed, **measured}


def test_a_row_has_mean_and_sd_median_and_most(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        run("us", 500, seed, accuracy, seconds) for seed, accuracy, seconds in ((1, 0.8, 5), (2, 0.9, 1), (3, 0.85, 2))
    ]
    worse, better, more = peers.summary([*runs, run("them", 500, 1, 0.5, 1), run("them", 1000, 1, 0.6, 1)])
    assert [(row["contender"], row["budget"]) for row in (worse, better, more)] == [
        ("them", 500),
        ("us", 500),
        ("them", 1000),
    ]
    assert better["accuracy"] == pytest.approx({"mean": 0.85, "sd": 0.05})
    assert (better["seconds"], better["seconds_least"], better["seconds_most"]) == (2, 1, 5)
    assert (better["peak_memory_gib"], better["seeds"]) == (0.3, 3)
    assert worse["accuracy"] == {"mean": 0.5, "sd": None}
    peers.print_table([worse, better, more])
    printed = capsys.readouterr().out
    assert "85.00 ± 5.00" in printed
    assert "1,000" in printed


def test_without_the_packages_it_ends_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["peers"])
    monkeypatch.setattr(peers, "find_spec", lambda module: None if module == "graphlearning" else module)
    with pytest.raises(SystemExit, match="not installed: graphlearning; `make peers`"):
        peers.main()


def test_another_process_measures() -> None:
    assert alone(os.getpid) != os.getpid()


def test_packages_of_one_section_are_noted_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results.record("one", [], [], ("pytest",))
    results.record("two", [], [])
    recorded = files.load_json("metrics/benchmarks.json")
    assert recorded["one"]["machine"]["versions"]["pytest"] == pytest.__version__
    assert "pytest" not in recorded["two"]["machine"]["versions"]


def test_the_optional_packages_change_no_other() -> None:
    """Installing the second lock into the environment of the first one adds, and replaces nothing."""
    ours, theirs = (_pinned(PROJECT / name) for name in ("requirements.lock", "requirements-peers.lock"))
    assert {name for name in theirs if name not in ours} >= set(peers.PACKAGES.values())
    assert {name: pins for name, pins in theirs.items() if name in ours and pins != ours[name]} == {}


def _pinned(lock: Path) -> dict[str, set[str]]:
    pinned: dict[str, set[str]] = {}
    for name, pin in re.findall(r"^([\w.-]+)==(.+) \\$", lock.read_text(encoding="utf-8"), flags=re.MULTILINE):
        pinned.setdefault(name, set()).add(pin)
    return pinned
