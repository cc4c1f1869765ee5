"""The table that compares runs: what it has columns for, and that it fits."""

import sys
from typing import Any

import pytest
from conftest import PROJECT

from experiments import compare
from experiments.runs import Run
from stages.registry import CLASSIFIERS, LABEL_SETS


def run(name: str, shift: float = 0, **parameters: Any) -> Run:
    """A run of every model on every label set that it can be trained on, accuracies in the order of the registry."""
    accuracies = {
        model: {label_set: {"accuracy": 0.5 + at / 100 + shift} for at, label_set in enumerate(entry.label_sets)}
        for model, entry in CLASSIFIERS.items()
    }
    purities = {label_set: {"purity": 0.9} for label_set in LABEL_SETS}
    values = {"seed": 42, "clusters": 2000, "data": {"directory": None, "classes": ["a", "b"]}} | parameters
    return Run(name, values, {"kmeans": {"purity": 0.8}, "label_sets": purities} | accuracies, {}, "Fashion-MNIST")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Print the table of runs, in 160 columns."""

    def show(runs: list[Run], left_out: list[str]) -> str:
        monkeypatch.setattr(compare, "read_all", lambda workspace: (runs, left_out))
        monkeypatch.setattr(sys, "argv", ["compare"])
        monkeypatch.setenv("COLUMNS", "160")
        monkeypatch.chdir(PROJECT)
        compare.main()
        return capsys.readouterr().out

    return show


def test_a_column_for_each_parameter_that_differs() -> None:
    runs = [
        run("a"),
        run("b", clusters=500, network={"steps": 5}),
        run("c", data={"directory": "/x", "classes": ["c"]}),
    ]
    assert compare.parameters(runs) == {"clusters": ["2000", "500", "2000"], "network.\nsteps": ["", "5", ""]}


def test_a_column_for_each_model_of_any_run() -> None:
    without = run("b")
    without.scores.update({"nn": {}, "ensemble": {}, "lr": {"all": {"accuracy": 0.123456}}})
    for entry in LABEL_SETS:
        without.scores["label_sets"].pop(entry)
    columns = compare.figures([run("a"), without])
    assert columns["LR\nall"] == ["50.00", "12.35"]
    assert columns["ensemble\npropagated\nsoft"] == ["50.00", ""]
    assert columns["purity\nclusters"] == ["80.00", "80.00"]
    assert columns["purity\npropagated\nsoft"] == ["90.00", ""]
    assert "NN\nall" not in compare.figures([without])


def test_figures_that_are_the_same_leave_a_table_that_is_too_wide(shown: Any) -> None:
    one = run("one", percentile=50)
    one.scores["lr"]["random"]["accuracy"] = 0.9
    text = shown([run("workspace"), run("HEAD"), one], [])
    assert text.split("─\n")[1].splitlines()[:3] == [
        "workspace               51.00",
        "HEAD                    51.00",
        "one                50   90.00",
    ]
    assert "The same in all runs: LR all 50.00, " in text


@pytest.mark.parametrize("shift", [0, 0.1], ids=["nothing differs", "everything differs"])
def test_nothing_is_cut_and_nothing_is_lost(shown: Any, shift: float) -> None:
    """A sweep's long name, and all models that there are: in tables below each other."""
    name = "clusters5000-percentile30-seed1-768f197c"
    text = shown([run("HEAD"), run(name, shift, clusters=500)], ["early: left out: why"])
    assert max(len(line) for line in text.splitlines()) <= 160
    assert "…" not in text
    rows = [line.split() for line in text.splitlines() if line.startswith(f"{name} ")]
    assert len(rows) > 1
    assert all(row[1] == "500" for row in rows)
    models = sum(len(entry.label_sets) for entry in CLASSIFIERS.values())
    spread = [entry for entry in LABEL_SETS.values() if entry.spread_from]
    assert sum(len(row) - 2 for row in rows) == models + (1 + len(spread)) * (not shift)
    assert text.rstrip().endswith("early: left out: why")
    assert ("purity clusters 80.00" in text) == bool(shift)


def test_without_experiments_it_says_how_to_make_one(shown: Any) -> None:
    assert "No experiments yet: `dvc exp run" in shown([run("workspace"), run("HEAD")], [])
    assert "No experiments yet: `dvc exp run" in shown([], ["workspace: left out: why", "HEAD: left out: why"])
    assert "No experiments yet" not in shown([run("workspace"), run("HEAD")], ["early: left out: why"])
