"""The table of all runs, the comparisons made from it, and the sentences, tables and charts of these."""

import json
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import PROJECT

from benchmarks import peers
from benchmarks.results import RESULTS as BENCHMARKS
from experiments import charts, docs, report, results, sweep
from experiments.runs import FASHION, Run
from stages import params


def rows(**columns: list[object]) -> pd.DataFrame:
    """A table of results in which all but the columns given is the same; `network__steps` is network.steps."""
    columns = {name.replace("__", "."): values for name, values in columns.items()}
    count = len(next(iter(columns.values())))
    same = results.defaults() | {
        "run": "a",
        "seed": 1,
        "clusters": 2000,
        "percentile": 25,
        "images": FASHION,
        "machine": None,
        "label_set": "random",
        "model": "lr",
        "accuracy": 0.8,
        "purity": 1.0,
        "coverage": 0.1,
        "bought": 2000,
        "distinct_nearest": 1980,
        "collapsed": False,
        "seconds": 1.0,
        "kmeans_seconds": None,
        "peak_memory_gib": 0.5,
    }
    assert columns.keys() <= same.keys()
    return pd.DataFrame({name: columns.get(name, [value] * count) for name, value in same.items()})


def test_a_run_gives_a_row_for_each_model() -> None:
    label_set = {"bought": 5, "rows": 9, "purity": 0.5, "coverage": 0.25}
    metrics = {
        "kmeans": {"inertia": 3.5, "purity": 0.75, "iterations": 2, "distinct_nearest": 4},
        "label_sets": {"propagated": label_set},
        "lr": {
            "propagated": {"accuracy": 0.5, "macro_f1": 0.4, "calibration_error": 0.1, "transductive_accuracy": 0.3}
        },
        "nn": {"propagated": {"accuracy": 0.6, "macro_f1": 0.5, "collapsed": False, "collapsed_starts": 1}},
    }
    values = {"seed": 7, "clusters": 5, "network": {"steps": 5}, "data": {"directory": "/x", "classes": ["a", "b"]}}
    values |= {"label_sets": {"nn": ["propagated"]}}
    values |= {"label_spreading": {"neighbour_weights": [0.0, 0.5, 1]}}
    parameters = results.recorded_parameters(values)
    wanted = {"seed": 7, "clusters": 5, "network.steps": 5, "data.classes": '["a", "b"]'}
    assert parameters == wanted | {"label_spreading.neighbour_weights": "[0, 0.5, 1]"}
    costs = {"kmeans": {"seconds": 2.5}, "nn_propagated": {"seconds": 9.5, "peak_memory_gib": 1.5, "machine": "here"}}
    run = Run("one", values, metrics, costs, "1e3")
    of_model = {row["model"]: row for row in results.rows_of(run)}
    assert set(of_model) == {"lr", "nn"}
    shared = {"run": "one", "images": "1e3", **parameters}
    shared |= {"label_set": "propagated", "inertia": 3.5, "cluster_purity": 0.75, "distinct_nearest": 4, **label_set}
    assert of_model["lr"] == shared | {
        "model": "lr",
        "kmeans_seconds": 2.5,
        "accuracy": 0.5,
        "macro_f1": 0.4,
        "calibration_error": 0.1,
        "transductive_accuracy": 0.3,
    }
    assert of_model["nn"]["seconds"] == 9.5
    assert set().union(*of_model.values()) == {*results.COLUMNS, *parameters}


def test_runs_of_other_parameters_do_not_count_as_default_ones() -> None:
    runs = rows(seed=[1, 2, 3], accuracy=[0.8, 0.9, 0.1], logistic_regression__C=[0.2, 0.2, 1])
    [row] = results.by_setting(runs).itertuples()
    assert (row.seeds, row.accuracy) == (2, pytest.approx(0.85))
    assert row.accuracy_sd == pytest.approx(np.std([0.8, 0.9], ddof=1))


def test_a_model_that_runs_share_counts_once() -> None:
    """Logistic regression on random labels is the same at any percentile, that on near ones is not."""
    runs = rows(
        seed=[1, 1, 2, 1, 1],
        percentile=[20, 25, 25, 20, 25],
        label_set=["random", "random", "random", "partially_propagated", "partially_propagated"],
        accuracy=[0.8, 0.8, 0.9, 0.6, 0.7],
    )
    settings = {(row.label_set, round(row.accuracy, 6), row.seeds) for row in results.by_setting(runs).itertuples()}
    assert settings == {
        ("random", 0.85, 2),
        ("partially_propagated", 0.6, 1),
        ("partially_propagated", 0.7, 1),
    }


def test_choices_are_compared_with_random_ones_of_the_same_seed() -> None:
    runs = rows(
        seed=[1, 2, 1, 2, 3, 1],
        label_set=["random", "random", "active", "active", "active", "all"],
        accuracy=[0.7, 0.8, 0.8, 0.86, 0.99, 0.9],
    )
    [row] = results.paired(runs).itertuples()
    assert (row.label_set, row.clusters, row.seeds) == ("active", 2000, 2)
    assert row.difference == pytest.approx(0.08)
    assert row.sd == pytest.approx(np.std([0.1, 0.06], ddof=1))


def test_a_student_is_compared_with_its_teacher_of_the_same_seed() -> None:
    """Seed 3 has no student yet: the table says that the gain is over two seeds, the ridge's mean over three."""
    runs = rows(
        seed=[1, 2, 3, 1, 2, 3, 1, 2],
        label_set=["random"] * 3 + ["active"] * 3 + ["propagated_soft"] * 2,
        model=["ridge"] * 6 + ["ensemble"] * 2,
        accuracy=[0.7, 0.7, 0.7, 0.8, 0.82, 0.84, 0.81, 0.85],
    )
    [row] = results.student_paired(runs).itertuples()
    assert (row.model, row.clusters, row.seeds) == ("ensemble", 2000, 2)
    assert row.ridge == pytest.approx(0.81)
    assert row.difference == pytest.approx(0.02)
    assert row.sd == pytest.approx(np.std([0.01, 0.03], ddof=1))
    published = pd.DataFrame({"label_set": ["random"] * 2, "clusters": [2000, 2000], "accuracy": [0.75, 0.76]})
    table = docs.budgets(runs, published)
    cells = [cell.strip() for cell in table.splitlines()[-1].strip("|").split("|")]
    shown = ["2,000", "76.00", "70.00", "82.00 ± 2.00", "+12.00 ± 2.00", "3", "83.00 ± 2.83 (2 seeds)", "+2.00 ± 1.41"]
    assert cells == shown


def test_a_run_replaces_what_was_recorded_of_it_and_nothing_else() -> None:
    recorded = rows(run=["old"] * 3, seed=[2, 1, 3], accuracy=[0.2, 0.1, 0.3])
    runs = rows(run=["new"] * 2, seed=[4, 2], accuracy=[0.9, 0.8])
    both = results.merged(runs, recorded)
    assert list(zip(both["run"], both["seed"], both["accuracy"], strict=True)) == [
        ("old", 1, 0.1),
        ("new", 2, 0.8),
        ("old", 3, 0.3),
        ("new", 4, 0.9),
    ]
    assert list(both.columns) == list(runs.columns)
    assert results.merged(rows(seed=[1], percentile=[30]), rows(seed=[1], percentile=[25])).shape[0] == 2


@pytest.mark.parametrize("again", [0, 3])
def test_a_table_without_news_is_written_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: int) -> None:
    """Also if some of it comes once more, from a run whose costs this machine does not know."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    before = (PROJECT / report.RESULTS).read_bytes()
    recorded = results.read_csv(PROJECT / report.RESULTS)
    runs = recorded[recorded["seconds"].isna()].head(again).assign(seconds=None)
    report.write(results.merged(runs, recorded))
    assert report.RESULTS.read_bytes() == before


def test_names_that_look_like_numbers_or_nothing_survive_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of runs, machines and classes; only an empty cell is a missing value."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    names = ["null", "nan", "no", "1e3", "007"]
    classes = json.dumps(names)
    runs = rows(run=names, machine=[*names[:4], None], seed=[1, 2, 3, 4, 5], data__classes=[classes] * 5)
    report.write(runs.assign(images="1234e567"))
    read = report.load(report.RESULTS)
    assert read["run"].tolist() == names
    assert read["machine"].iloc[:4].tolist() == names[:4]
    assert read["machine"].isna().tolist() == [False] * 4 + [True]
    assert set(read["data.classes"]) == {classes}
    assert set(read["images"]) == {"1234e567"}
    before = report.RESULTS.read_bytes()
    report.write(results.merged(read.head(0), read))
    assert report.RESULTS.read_bytes() == before


def test_runs_on_other_images_do_not_count() -> None:
    """Neither in means nor among the collapses, even if params.yaml is of other images by now."""
    runs = rows(
        seed=[1, 2, 3],
        images=[FASHION, FASHION, "0a0a0a0a"],
        accuracy=[0.8, 0.9, 0.1],
        data__classes=['["a"]', '["a"]', '["b"]'],
    )
    [row] = results.by_setting(runs).itertuples()
    assert (row.seeds, row.accuracy) == (2, pytest.approx(0.85))
    [other] = report.others_table(runs).itertuples(index=False)
    assert (other.images, other[2]) == ("0a0a0a0a", "10.00")
    assert len(results.arms(rows(images=[FASHION, "0a0a0a0a"]))) == 2
    study = rows(
        images=[FASHION, "0a0a0a0a"], model=["nn"] * 2, network__architecture=["study"] * 2, network__restarts=[0] * 2
    )
    assert results.collapses(study)["trainings"].tolist() == [1]


def test_machines_are_not_mixed_silently() -> None:
    runs = rows(seed=[1, 2, 3], machine=["here", "there", None], label_set=["random", "random", "active"])
    assert report.machines(runs) == [
        "Rows from here: 1.",
        "Rows from there: 1.",
        "Rows from a machine that was not recorded: 1.",
        "Means over runs of more than one machine: 1 of 2.",
    ]
    assert report.machines(runs.tail(1)) == ["Rows from a machine that was not recorded: 1."]


def test_seconds_are_those_of_one_machine() -> None:
    runs = rows(seed=[1, 2, 3, 4], machine=["here", "there", "here", None], seconds=[2.0, 90.0, 4.0, None])
    assert report.busiest(runs) == "here"
    [cost] = report.costs(runs, "here").itertuples()
    assert cost.seconds == 3.0
    assert report.busiest(runs.tail(1)) == ""


def test_a_run_without_its_costs_keeps_those_recorded_for_the_same_result() -> None:
    """A run of another machine that is not in this cache; with another accuracy it is another result."""
    recorded = rows(run=["old"] * 2, seed=[1, 2], machine=["there"] * 2, seconds=[9.0, 9.0], accuracy=[0.8, 0.7])
    run = rows(run=["new"] * 2, seed=[1, 2], machine=[None] * 2, seconds=[None] * 2, accuracy=[0.8, 0.9])
    both = results.merged(run, recorded)
    assert both["run"].tolist() == ["new", "new"]
    assert both["machine"].iloc[0] == "there"
    assert both["seconds"].iloc[0] == 9
    assert both[["machine", "seconds"]].iloc[1].isna().all()
    own = rows(seed=[1], machine=["here"], seconds=[5.0])
    [again] = results.merged(own, recorded.head(1)).itertuples()
    assert (again.machine, again.seconds) == ("here", 5)


def test_every_number_of_labels_has_its_line_of_purity() -> None:
    counts = [100, 200, 300, 500, 1000, 2000]
    runs = rows(clusters=counts, label_set=["propagated"] * 6, coverage=[1.0] * 6, purity=[0.5, 0.6, 0.7, 0.8, 0.9, 1])
    [axes] = charts.purity_against_coverage(results.by_setting(runs)).axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert list(drawn) == [f"{count:,} labels" for count in counts]
    assert drawn["2,000 labels"] == [100]
    assert len({line.get_marker() for line in axes.lines}) == 6


def test_every_published_method_has_its_line() -> None:
    """More of them than looks were given to their kind."""
    names = [f"published: {name}" for name in "abcde"]
    curves = pd.DataFrame({"kind": "elsewhere", "name": names, "labels": 100, "accuracy": 0.5, "sd": np.nan})
    [axes] = charts.budgets(curves).axes
    assert axes.get_legend_handles_labels()[1] == names


def test_a_network_with_all_labels_is_reported_with_its_sd() -> None:
    runs = rows(
        seed=[1, 2, 3, 1],
        label_set=["all"] * 4,
        model=["nn"] * 4,
        network__steps=[4000] * 2 + [4000, 500],
        network__networks=[2] * 2 + [1, 2],
        network__shift=[1] * 2 + [1, 1],
        network__student__generations=[3, 9, 3, 3],  # of a student, which this network is none
        accuracy=[0.93, 0.94, 0.5, 0.6],
    )
    compared = results.compared(runs, report.load(PROJECT / report.PUBLISHED))
    sentences = report.findings(runs, compared, results.collapses(runs))
    [sentence] = [sentence for sentence in sentences if "60,000 labels" in sentence]
    assert sentence == (
        "With all 60,000 labels, 2 networks joined, each of 4,000 steps on shifted images, reach "
        "93.50 ± 0.71 % (2 seeds)."
    )


@pytest.mark.parametrize(
    ("model", "label_set", "features", "depends", "does_not"),
    [
        (
            "lr",
            "all",
            "pixels",
            ["logistic_regression.C"],
            ["clusters", "percentile", "embedding.size", "network.steps"],
        ),
        ("lr", "all", "hog", ["features", "embedding.size"], ["kernel_ridge.alpha"]),
        ("lr", "all", "auto", ["embedding.size", "kernel_ridge.alpha", "cluster_margin.first_round"], ["clusters"]),
        ("lr", "propagated_soft", "pixels", ["network.student.images"], ["network.student.shift"]),
        ("lr", "active", "pixels", ["clusters", "embedding.size", "cluster_margin.growth"], ["confidence"]),
        ("lr", "propagated", "pixels", ["clusters", "features"], ["percentile", "embedding.size"]),
        ("lr_distances", "all", "pixels", ["clusters"], ["percentile"]),
        ("nn", "all", "pixels", ["network.few.steps", "network.batch_size"], ["network.student.shift", "features"]),
        ("nn", "partially_propagated", "pixels", ["clusters", "percentile"], ["kernel_ridge.gamma"]),
        ("nn", "propagated_soft", "pixels", ["network.student.shift", "kernel_ridge.gamma"], ["network.steps"]),
        (
            "ridge",
            "random",
            "pixels",
            ["embedding.size", "kernel_ridge.gamma"],
            ["cluster_margin.growth", "network.steps"],
        ),
        ("ensemble", "propagated_soft", "pixels", ["confidence", "embedding.size"], ["network.architecture"]),
    ],
)
def test_a_model_depends_on_what_its_label_set_and_its_classifier_depend_on(
    model: str, label_set: str, features: str, depends: list[str], does_not: list[str]
) -> None:
    """Regression on all labels is the same for any number of clusters, that on distances to their centroids is not."""
    always = ["seed", "data.fit", "oracle"]
    found = {name: results.depends_on(model, label_set, name, features) for name in (*depends, *does_not, *always)}
    assert found == dict.fromkeys([*depends, *always], True) | dict.fromkeys(does_not, False)


def test_of_runs_that_share_a_model_the_one_most_like_the_defaults_counts() -> None:
    steps = results.defaults()["network.steps"]
    runs = rows(network__steps=[7, steps, 7], accuracy=[0.6, 0.7, 0.8], seed=[1, 1, 2])
    assert results.arms(runs)["accuracy"].tolist() == [0.7, 0.8]


def test_what_the_registry_names_are_parameters() -> None:
    names = list(results.defaults())
    for section in results._any_named():
        assert [name for name in names if name == section or name.startswith(f"{section}.")], section


def test_models_that_a_parameter_does_not_matter_to_are_one() -> None:
    runs = rows(clusters=[100, 200] * 2, label_set=["all"] * 4, model=["lr"] * 2 + ["lr_distances"] * 2)
    assert len(results.by_setting(runs)) == 3
    runs = rows(network__steps=[7, results.defaults()["network.steps"]] * 2, model=["lr"] * 2 + ["nn"] * 2)
    assert len(results.arms(runs)) == 3
    assert results.by_setting(runs)["model"].tolist() == ["lr", "nn"]
    assert results.by_setting(runs.head(1))["seeds"].tolist() == [1], "the steps of networks do not matter to it"
    assert results.by_setting(runs.iloc[2:3]).empty


def test_ours_stands_beside_what_was_published() -> None:
    published = pd.DataFrame(
        {
            "label_set": ["all", "random", "random"],
            "clusters": [None, 500, 2000],
            "percentile": [None, None, None],
            "model": ["lr", "lr", "lr"],
            "accuracy": [0.9, 0.7, 0.75],
        }
    )
    runs = rows(seed=[1, 2, 1], label_set=["random", "random", "all"], accuracy=[0.7, 0.9, 0.88])
    compared = results.compared(runs, published)
    assert compared["ours"].tolist() == [pytest.approx(0.88), pytest.approx(np.nan, nan_ok=True), pytest.approx(0.8)]
    assert compared["difference"].iloc[0] == pytest.approx(-0.02)
    assert compared["difference"].iloc[2] == pytest.approx(0.05)
    [explanation] = report.explanations(compared)
    assert explanation.startswith("all, logistic regression: 88.00 is 2.00 points below")


def test_the_fewest_labels_that_do_what_all_did_are_named() -> None:
    published = pd.DataFrame({"label_set": ["all"], "model": ["nn"], "clusters": [None], "accuracy": [0.85]})
    runs = rows(
        seed=[1, 2, 3] * 3 + [1],
        clusters=[500] * 3 + [1000] * 3 + [2000] * 3 + [500],
        label_set=["random"] * 9 + ["active"],
        model=["ridge"] * 10,
        accuracy=[0.8] * 3 + [0.84, 0.86, 0.88] + [0.9] * 3 + [0.99],
    )
    [sentence] = report.budget_findings(results.by_setting(runs), published)
    assert sentence.startswith(
        "1,000 labels are enough for what the study reached with 60,000: "
        "the kernel ridge regression on random labels has"
    )
    assert "86.00 ± 2.00 % (3 seeds), the study's network 85.00 %" in sentence


def in_both_settings(seeds: list[int], default: list[float], strongest: list[float]) -> pd.DataFrame:
    """Make runs of the ensemble with 500 labels, as by default and in the strongest setting."""
    count = len(seeds)
    changed = {
        name.replace(".", "__"): [results.defaults()[name]] * count + [value] * count
        for name, value in results.STRONGEST.items()
    }
    shared = {"model": ["ensemble"] * 2 * count, "label_set": ["propagated_soft"] * 2 * count}
    return rows(seed=seeds * 2, clusters=[500] * 2 * count, accuracy=default + strongest, **shared, **changed)


def test_a_run_with_a_parameter_of_another_time_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would count as one of the defaults, whatever the parameter did."""
    known = params.load().model_dump()
    label_set = {"purity": 1.0, "coverage": 0.1, "bought": 5, "rows": 60}
    scores = {"kmeans": {"inertia": 1.0, "purity": 1.0, "distinct_nearest": 1}, "label_sets": {"all": label_set}}
    scores |= {"lr": {"all": {"accuracy": 0.5}}}
    older = known | {"hog": {"cells": 12}, "label_spreading": {"neighbours": 5, "neighbour_weight": 0.9}}
    found = [Run(name, values, scores, {}, FASHION) for name, values in (("new", known), ("old", older))]
    monkeypatch.setattr(results.runs, "read_all", lambda: (found, ["other: left out"]))
    table, left_out = results.collect()
    assert table["run"].tolist() == ["new"]
    wanted = "old: left out: hog.cells, label_spreading.neighbour_weight: no longer known"
    assert left_out == ["other: left out", wanted]


@pytest.mark.parametrize(("name", "changes"), [("budgets", results.STRONGEST), ("everything", results.EVERYTHING)])
def test_the_changes_that_pages_look_for_are_those_of_the_sweep(name: str, changes: dict[str, object]) -> None:
    *_, setting = sweep.settings(yaml.safe_load(sweep.SWEEPS.read_text(encoding="utf-8"))[name])
    changed = {one: value for one, value in setting.items() if one not in results.SWEPT}
    assert results.recorded_parameters(changed) == changes


def test_the_strongest_setting_has_figures_of_its_own() -> None:
    runs = in_both_settings([1, 2], [0.80, 0.82], [0.83, 0.83])
    [row] = results.strongest_paired(runs).itertuples()
    assert (row.clusters, row.seeds, row.accuracy) == (500, 2, pytest.approx(0.83))
    assert row.default == pytest.approx(0.81)
    assert (row.difference, row.sd) == (pytest.approx(0.02), pytest.approx(np.std([0.03, 0.01], ddof=1)))
    [row] = results.by_setting(runs).itertuples()
    assert row.accuracy == pytest.approx(0.81)
    [row] = results.by_setting(runs, results.STRONGEST).itertuples()
    assert row.accuracy == pytest.approx(0.83)


def test_the_labels_for_an_accuracy_are_interpolated_where_it_was_reached() -> None:
    settings = pd.DataFrame(
        {"model": "ensemble", "clusters": [1000.0, 100.0, 500.0, 5000.0], "accuracy": [0.91, 0.8, 0.92, 0.93]}
    ).assign(label_set="propagated_soft")
    assert results.labels_for(settings, 0.86) == pytest.approx(np.sqrt(100 * 500), rel=1e-9)
    assert results.labels_for(settings, 0.925) == pytest.approx(np.sqrt(1000 * 5000), rel=1e-9)
    assert results.labels_for(settings, 0.94) is None
    assert results.labels_for(settings, 0.8) is None
    assert results.labels_for(settings.head(0), 0.8) is None
    few = in_both_settings([1, 2, 3], [0.8] * 3, [0.89] * 3)
    many = few.assign(clusters=1000, accuracy=few["accuracy"] + 0.05)
    [sentence] = report.passed(pd.concat([few, many], ignore_index=True))
    assert sentence.startswith("The ensemble in the strongest setting passes 90.00 % with some 570 labels")


def test_collapses_are_counted_with_their_uncertainty() -> None:
    """Ten trainings without a collapse: up to 1 - 0.025 ** (1 / 10) of all may be."""
    study = {"network__architecture": "study", "network__restarts": 0}
    runs = rows(
        seed=[*range(10), 1, 1, 2],
        model=["nn"] * 13,
        label_set=["random"] * 10 + ["all", "all", "all"],
        percentile=[25] * 10 + [20, 50, 50],
        collapsed=[False] * 10 + [True, True, False],
        **{name: [value] * 13 for name, value in study.items()},
    )
    dead = rows(seed=[40], model=["nn"], collapsed=[True], **{name: [value] for name, value in study.items()})
    every, at_random, chosen = results.collapses(
        pd.concat([runs, dead, rows(model=["nn"], collapsed=[True])])
    ).itertuples()
    assert (chosen.dead, chosen.trainings, chosen.collapsed) == (True, 1, 1)
    assert (at_random.label_set, at_random.trainings, at_random.collapsed) == ("random", 10, 0)
    assert at_random.high == pytest.approx(1 - 0.025**0.1)
    assert (every.label_set, every.trainings, every.collapsed, every.rate) == ("all", 2, 1, 0.5)


def measured(*scores: tuple[str, str, float]) -> list[dict[str, object]]:
    """Rows of `benchmarks.peers`: a contender, its features, and an accuracy for each of two budgets."""
    return [
        {"contender": contender, "features": features, "budget": budget, "accuracy": {"mean": score, "sd": 0.01}}
        for contender, features, score in scores
        for budget in (500, 1000)
    ]


PEERS = measured(
    ("LabelSpreading, random", "pixels", 0.7),
    ("Laplace learning, random", "hog", 0.8),
    ("Laplace learning, random", "pixels", 0.6),
    ("ridge, margin sampling", "hog", 0.85),
    ("ridge, TypiClust on MiniBatchKMeans", "hog", 0.84),
    ("ridge, random", "hog", 0.9),
    ("ridge, active (ours)", "hog", 0.95),
)
BEST = ["measured: Laplace learning, random, HOG", "measured: ridge, margin sampling, HOG"]


def test_the_best_of_others_are_shown() -> None:
    best = results.best_peers(PEERS)
    assert best["name"].tolist() == [BEST[0]] * 2 + [BEST[1]] * 2
    assert best["accuracy"].tolist() == [0.8, 0.8, 0.85, 0.85]
    assert best["labels"].tolist() == [500, 1000, 500, 1000]
    assert set(results.OURS_AMONG_PEERS) < set(peers.CONTENDERS)
    assert results.best_peers([]).empty


@pytest.mark.parametrize("with_peers", [True, False])
def test_what_a_budget_buys_is_drawn_and_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_peers: bool
) -> None:
    """Two budgets of ours; the study's best is the better of its two models, on labels that were bought."""
    runs = rows(
        seed=[1, 2, 1, 1],
        clusters=[500, 500, 1000, 500],
        label_set=["active"] * 3 + ["propagated_soft"],
        model=["ridge"] * 3 + ["ensemble"],
        accuracy=[0.8, 0.82, 0.9, 0.85],
    )
    published = pd.DataFrame(
        {
            "label_set": ["all", "all", "random", "random"],
            "clusters": pd.array([None, 500, 500, 500], "Float64"),
            "model": ["nn", "lr_distances", "lr", "nn"],
            "accuracy": [0.88, 0.99, 0.7, 0.75],
        }
    )
    monkeypatch.setattr(report, "BENCHMARKS", tmp_path / "benchmarks.json")
    monkeypatch.setattr(report, "PUBLISHED_PEERS", PROJECT / report.PUBLISHED_PEERS)
    sections = {"peers": {"rows": PEERS}} if with_peers else {"kmeans": {"rows": []}}
    report.BENCHMARKS.write_text(json.dumps(sections), encoding="utf-8")
    curves = report.curves(runs, published)
    chart = report.budget_chart(curves)
    _, _, description, draw = chart
    assert f">{description}</desc>" in unescape(charts.picture(*chart))
    assert "ours: ridge, active labels: 81.00 ± 1.41 with 500, 90.00 with 1,000. ours: ridge and its" in description
    assert "the study's best: 75.00 with 500. the study's NN: 88.00 with 60,000. published: Laplace" in description
    assert all((name in description) == with_peers for name in BEST)

    [axes] = draw().axes
    drawn = [" ".join(label.split()) for label in axes.get_legend_handles_labels()[1]]
    assert [name in drawn for name in BEST] == [with_peers] * 2
    assert len(drawn) == len(set(curves["name"])), "a curve or a line for each name"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["500", "1,000"]
    assert axes.get_xscale() == "log"

    table = report.curves_table(curves).set_index("labels bought")
    assert table.loc["ours: ridge, active labels", ["500", "1,000", "60,000"]].tolist() == ["81.00 ± 1.41", "90.00", ""]
    assert table.loc["published: Poisson MBO", "1,600"] == "81.62 ± 0.47"


def test_peers_are_read_from_where_they_are_recorded() -> None:
    assert report.BENCHMARKS == BENCHMARKS


def test_a_model_without_random_labels_has_its_budgets_below() -> None:
    runs = rows(clusters=[100, 2000], label_set=["propagated_soft"] * 2, model=["ensemble"] * 2)
    published = report.load(PROJECT / report.PUBLISHED)
    figure = charts.accuracy_against_budget(results.by_setting(runs), published, "ensemble", report.PERCENTILE)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["100", "2,000"]


def test_the_committed_results_are_at_or_above_every_published_row_on_four_seeds() -> None:
    compared = results.compared(report.load(PROJECT / report.RESULTS), report.load(PROJECT / report.PUBLISHED))
    assert compared["seeds"].min() >= 4
    assert compared["difference"].min() >= 0


@pytest.mark.parametrize("column", ["missing", "empty"])
def test_runs_recorded_before_a_parameter_existed_count_as_default(column: str) -> None:
    old, new = rows(seed=[1, 2], accuracy=[0.8, 0.9]), rows(seed=[3], accuracy=[0.7])
    old = (
        old.drop(columns="network.student.shift")
        if column == "missing"
        else old.assign(**{"network.student.shift": None})
    )
    both = results.merged(new, old)
    assert both["network.student.shift"].tolist() == [1, 1, 1]
    [row] = results.by_setting(both).itertuples()
    assert (row.seeds, row.accuracy) == (3, pytest.approx(0.8))


def test_a_label_set_that_is_no_longer_there_is_left_out() -> None:
    kmeans = {"inertia": 1, "purity": 1, "iterations": 1, "distinct_nearest": 1}
    label_set, scores = {"bought": 5, "rows": 9, "purity": 0.5, "coverage": 0.25}, {"accuracy": 0.5}
    metrics = {"kmeans": kmeans, "label_sets": {"random": label_set, "gone": label_set}}
    metrics |= {"lr": {"random": scores, "gone": scores}, "nobody": {"random": scores}}
    [row] = results.rows_of(Run("one", {"seed": 1}, metrics, {}, FASHION))
    assert (row["model"], row["label_set"]) == ("lr", "random")
