"""How the benchmarks summarise, record and print what they measured."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT

from benchmarks import (
    dimensions,
    growth,
    models,
    neighbours,
    one_budget,
    other_images,
    own_images,
    peers,
    person,
    pipeline,
    pipeline_on_pile,
    results,
    rounding,
    scale,
)
from benchmarks import kmeans as benchmark
from experiments import sweep
from experiments.results import STRONGEST
from fewlabels.clustering.kmeans import KMeans
from fewlabels.label_set import LabelSet
from fewlabels.networks import held_out
from fewlabels.networks.architectures import compact
from fewlabels.networks.classifier import NetworkClassifier
from stages import params


def run(contender: str, seed: int, seconds: float, inertia: float = 5.0) -> dict[str, object]:
    measured = {"seconds": seconds, "inertia": inertia, "peak_memory_gib": seed / 10, "product_seconds": 0.5}
    return {"contender": contender, "images": 9, "clusters": 2, "seed": seed, "ours": contender == "us", **measured}


def test_ratios_are_of_the_same_turn_and_the_rest_are_medians() -> None:
    runs = [run("us", 1, 1.0), run("them", 1, 50.0), run("us", 2, 2.0), run("them", 2, 60.0, inertia=7.0)]
    ours, theirs = benchmark.summary([*runs, run("us", 3, 4.0), run("them", 3, 160.0)])
    assert (ours["contender"], ours["seconds"], ours["seconds_least"], ours["seconds_most"]) == ("us", 2.0, 1.0, 4.0)
    assert ours["ratio"] == 1
    assert theirs["ratio"] == 40  # the median of 50, 30 and 40
    assert (theirs["seconds"], theirs["inertia"], theirs["inertia_most"]) == (60.0, 5.0, 7.0)
    assert (theirs["peak_memory_gib"], theirs["seeds"]) == (0.3, 3)


def test_more_images_than_there_are_come_from_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/flat").mkdir(parents=True)
    stored = np.random.default_rng(0).integers(256, size=(6, 784), dtype=np.uint8)
    np.save("data/flat/train_images.npy", stored)
    few, many = benchmark.images(4), benchmark.images(20)
    np.testing.assert_array_equal(few, many[:4])
    assert many.shape == (20, 784)
    assert many.dtype == np.float32
    pictures = many.reshape(-1, 28, 28)
    np.testing.assert_array_equal(pictures[6][:, 1:], pictures[0][:, :-1])
    assert len(np.unique(many, axis=0)) == 20


@pytest.mark.parametrize("contender", benchmark.CONTENDERS)
def test_every_contender_gives_an_inertia_in_reach_of_ours(contender: str) -> None:
    X = np.random.default_rng(0).random((600, 20), np.float32)
    inertia = benchmark.CONTENDERS[contender](X, 8, 1)
    assert 0.9 < inertia / KMeans(8, random_state=1).fit(X).inertia_ < 1.3


def test_every_case_names_a_contender_and_compares_with_ours() -> None:
    for cases in (benchmark.FULL, benchmark.QUICK):
        assert {case.contender for case in cases} <= set(benchmark.CONTENDERS)
        ours = {(case.images, case.clusters): case.seeds for case in cases if case.contender == "fewlabels"}
        assert all(ours[case.images, case.clusters] >= case.seeds for case in cases)


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results.record("one", [{"seconds": 1}], [])
    results.record("two", [{"seconds": 2}], [])
    results.record("one", [{"seconds": 3}], [{"turn": 0}])
    recorded = json.loads(Path("metrics/benchmarks.json").read_text(encoding="utf-8"))
    assert {name: section["rows"] for name, section in recorded.items()} == {
        "one": [{"seconds": 3}],
        "two": [{"seconds": 2}],
    }
    assert recorded["one"]["runs"] == [{"turn": 0}]
    assert recorded["two"]["machine"]["versions"]["numpy"] == np.__version__


def test_classifiers_are_compared_turn_by_turn() -> None:
    seconds = {"us": (1.0, 2.0, 4.0), "them": (50.0, 60.0, 160.0)}
    runs = [
        {"contender": name, "turn": turn, "what": "it", "seconds": seconds[name][turn], "accuracy": accuracy}
        for turn in range(3)
        for name, accuracy in (("us", 0.8 + turn / 100), ("them", None))
    ]
    ours, theirs = models.summary(runs)
    assert (ours["ratio"], ours["seconds"], ours["accuracy"], ours["turns"]) == (1, 2.0, 0.81, 3)
    assert (theirs["ratio"], theirs["seconds_least"], theirs["accuracy"]) == (40, 50.0, None)


@pytest.mark.parametrize("contender", models.REGRESSIONS)
def test_every_regression_is_timed(contender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "SUBSET", 60)
    labels = np.arange(120, dtype=np.uint8) % 2
    images = (labels[:, None] * np.full(784, 200)).astype(np.uint8)
    measured = models.REGRESSIONS[contender](images, labels, images, labels)
    assert measured["seconds"] > 0
    assert measured["accuracy"] in (1, None)


def test_growth_draws_a_line_for_each_series() -> None:
    rows = benchmark.summary(
        [
            run(name, 1, seconds=images * clusters / 1e6) | {"images": images, "clusters": clusters}
            for name in ("us", "fewlabels")
            for images in (15_000, 60_000)
            for clusters in (100, 500)
            if (name, images) != ("us", 15_000)
        ]
        + [run("us", 1, 1.0) | {"images": 15_000, "clusters": clusters} for clusters in (100, 500)]
    )
    over_images, over_clusters = growth.growth(rows).axes
    drawn = {text.get_text() for axes in (over_images, over_clusters) for text in axes.get_legend().get_texts()}
    assert drawn == {"100 clusters", "500 clusters", "fewlabels", "us"}
    assert list(over_images.lines[0].get_xdata()) == [15_000, 60_000]
    assert list(over_images.lines[0].get_ydata()) == [1.5, 6.0]


def test_pictures_of_other_sizes_are_interpolated() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (3, 784), dtype=np.uint8)
    same = dimensions.pictures(stored, dimensions.Shape(3, 28, 1, 2))
    np.testing.assert_allclose(same, stored / np.float32(255), atol=1e-6)
    small = dimensions.pictures(stored, dimensions.Shape(3, 8, 3, 2)).reshape(3, 8, 8, 3)
    corners = stored.reshape(3, 28, 28)[:, ::27, ::27] / 255
    for colour in range(3):
        np.testing.assert_allclose(small[:, ::7, ::7, colour], np.roll(corners, -colour, axis=0), atol=1e-6)


def test_other_images_are_averaged_over_seeds() -> None:
    methods = (*other_images.METHODS, *other_images.NETWORKS)
    run: dict[str, Any] = dict.fromkeys(methods, 0.5) | {"images": "digits", "budget": 50, "voters": ["ridge"]}
    runs = [run | {"seed": 0, "student": 0.6}, run | {"seed": 1, "student": 0.8}, run | {"seed": 0, "images": "MNIST"}]
    rows = other_images.summary(runs)
    assert [(row["images"], row["budget"], row["seeds"]) for row in rows] == [("digits", 50, 2), ("MNIST", 50, 1)]
    assert rows[0]["student"] == pytest.approx({"mean": 0.7, "sd": np.std([0.6, 0.8], ddof=1)})
    with redirect_stdout(io.StringIO()) as output:
        other_images.print_table(rows)
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    assert sum("│" in line for line in lines) == 2
    assert "70.00 ± 14.14" in output.getvalue()


def test_answers_of_one_seed_are_scored_alone_and_in_pairs() -> None:
    truth = np.array([0, 1], np.uint8)
    right, wrong = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32), np.array([[0.4, 0.6], [0.6, 0.4]], np.float32)
    alone, pairs = rounding.summary([right, wrong, right], truth)
    assert (alone["count"], alone["least"], alone["most"]) == (3, 0, 1)
    assert alone["accuracy"] == pytest.approx({"mean": 2 / 3, "sd": np.std([1, 0, 1], ddof=1)})
    assert (pairs["count"], pairs["least"], pairs["most"]) == (3, 1, 1)
    with redirect_stdout(io.StringIO()) as output:
        rounding.print_table([alone, pairs])
    assert "66.67 ± 57.74" in output.getvalue()


def test_other_rounding_changes_no_bought_label_and_no_other_by_more_than_a_millionth() -> None:
    probabilities = np.random.default_rng(0).dirichlet([1] * 3, 50).astype(np.float32)
    soft = LabelSet(np.arange(50), probabilities.argmax(1).astype(np.uint8), np.arange(50) < 5, probabilities)
    one, again, other = (rounding.rounded(soft, repeat).probabilities for repeat in (1, 1, 2))
    assert one is not None
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(one[:5], probabilities[:5])
    np.testing.assert_allclose(one, probabilities, rtol=1.2e-6)
    assert (one != probabilities).any()
    assert (one != other).any()


def test_few_labels_of_small_images_are_enough() -> None:
    """What docs/results.md shows, on one seed and with room for rounding."""
    accuracies = other_images.measure(other_images.prepared(other_images.digits(), 100, seed=0))
    assert accuracies[other_images.METHODS[2]] > 0.95
    assert accuracies[other_images.METHODS[2]] > accuracies[other_images.METHODS[0]] + 0.03


def test_students_and_ensembles_are_scored_on_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """With networks that are not trained, one for the pile and one for each half of the labels."""
    trained: list[NetworkClassifier] = []

    def untrained(images: Any, soft: LabelSet, *_: Any, image_shape: tuple[int, int], **how: Any) -> NetworkClassifier:
        assert soft.probabilities is not None
        trained.append(NetworkClassifier(compact(image_shape, how["n_classes"]), []))
        return trained[-1]

    for module in (other_images, held_out):
        monkeypatch.setattr(module, "train_student", untrained)
    ready = other_images.prepared(other_images.digits(), 50, seed=1)
    scores = other_images.measure_networks(ready)
    assert len(trained) == 3
    assert scores["student"] == trained[0].score(ready.test, ready.test_labels)
    assert "student" not in scores["voters"], "it knows nothing"
    assert scores["ensemble"] > 0.8


def test_other_images_are_of_ten_classes_and_a_family_of_fonts_is_on_one_side() -> None:
    for one in (other_images.mnist(), other_images.digits()):
        assert one.images.shape == (len(one.labels), one.side**2)
        assert np.unique(one.labels).tolist() == list(range(10))
    families = np.array(["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"])
    numbers = np.arange(10, dtype=np.uint8)
    fonts = other_images.DataSet("fonts", numbers[:, None], numbers, 1, (1,), 0.2, families)
    pool, test, _, test_labels = other_images._split(fonts, seed=0)
    assert len(test) == 2
    assert set(families[pool.ravel()]).isdisjoint(families[test.ravel()])
    assert test_labels.tolist() == test.ravel().tolist()


@pytest.mark.skipif(not other_images.FONTS.exists(), reason="needs Debian's package fonts-aenigma")
def test_letters_are_drawn_in_the_middle() -> None:
    letters = other_images.letters()
    pictures = letters.images.reshape(-1, 28, 28)
    assert len(pictures) == 10 * 464
    assert pictures[:, 2:-2, 2:-2].any(axis=(1, 2)).all()
    assert not pictures[:, :2].any()
    assert not pictures[:, :, -2:].any()


PRINTERS: dict[str, Callable[..., None]] = {
    "peers": peers.print_table,
    "other_images": other_images.print_table,
    "rounding": rounding.print_table,
    "kmeans": benchmark.print_table,
    "dimensions": dimensions.print_table,
    "neighbours": neighbours.print_table,
    "scale": scale.print_table,
    "logistic_regression": partial(models.print_table, "logistic regression"),
    "network": partial(models.print_table, "network"),
    "pipeline": pipeline.print_table,
    "one_budget": one_budget.print_table,
    "pipeline_on_pile": pipeline_on_pile.print_table,
    "which_features": own_images.print_features,
    "suspects": own_images.print_suspects,
    "sizes": own_images.print_sizes,
    "people": person.print_people,
    "mistakes": person.print_mistakes,
    "grid": person.print_grid,
    "choosing": person.print_choosing,
    "kills": person.print_kills,
}


RECORDED: dict[str, Any] = json.loads((PROJECT / results.RESULTS).read_text(encoding="utf-8"))


@pytest.mark.parametrize("section", RECORDED)
def test_recorded_rows_are_printed_a_line_each(section: str) -> None:
    rows: list[dict[str, Any]] = RECORDED[section]["rows"]
    with redirect_stdout(io.StringIO()) as output:
        PRINTERS[section](rows)
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    assert sum("│" in line for line in lines) == len(rows), "a row takes more than one line"


def test_recall_counts_the_nearest_that_were_found_in_any_order() -> None:
    assert neighbours.recall(np.array([[3, 1], [2, 0]]), np.array([[1, 3], [2, 5]])) == 0.75


@pytest.mark.parametrize("contender", neighbours.CONTENDERS)
def test_every_search_finds_the_nearest_others_of_all_rows(contender: str) -> None:
    features = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    found = neighbours.CONTENDERS[contender](features)
    assert found.dtype == np.int32
    assert neighbours.recall(found, neighbours.among_all(features, np.arange(600))) > 0.9
    assert not np.any(found == np.arange(600)[:, None])


def test_neighbours_are_summarised_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "LABELS", 20)
    labels = np.arange(60, dtype=np.uint8) % 10
    features = (5 * labels[:, None] + np.random.default_rng(0).random((60, 1))).astype(np.float32)
    nearest, wrong = neighbours.among_all(features, np.arange(60)), (np.arange(60)[:, None] + np.arange(1, 6)) % 60
    searches = {
        "fewlabels": ({"cpu_seconds": 2.0}, nearest),
        "scikit-learn brute": ({"cpu_seconds": 5.0}, nearest),
        "another": ({"cpu_seconds": 1.0}, wrong),
    }
    ours, brute, another = neighbours.summary(features, labels, searches)
    assert (ours["recall"], ours["ratio"], ours["other_classes"], ours["images"]) == (1, 1, 0, 60)
    assert (brute["ratio"], another["ratio"]) == (2.5, 0.5)
    assert another["recall"] < 0.5


def test_one_budget_is_timed_in_settings_of_the_sweeps() -> None:
    settings = one_budget.settings(sweep.read(PROJECT / sweep.SWEEPS))
    assert [one.get("clusters") for one in settings.values()] == [None, 2000, 2000, None]
    assert settings[one_budget.WHOLE] == {}, "params.yaml as it is"
    assert params.load().clusters == one_budget.BUDGET
    assert settings["strongest"] == settings["default"] | STRONGEST
    assert not STRONGEST.keys() & settings["default"].keys()
    assert settings["all labels"]["label_sets.nn"] == ["all"]
