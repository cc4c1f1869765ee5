"""Sweeps: which settings they have, and that DVC runs each once, whatever happens in between."""

import json

import pytest
import yaml
from conftest import Repository

from experiments import sweep
from stages.registry import CLASSIFIERS

GRIDS = [{"clusters": [5, 6], "percentile": [20, 30]}, {"clusters": [6], "percentile": [30]}, {"label_sets.nn": [[]]}]


def test_every_combination_comes_once() -> None:
    assert sweep.settings(GRIDS) == [
        {"clusters": 5, "percentile": 20},
        {"clusters": 5, "percentile": 30},
        {"clusters": 6, "percentile": 20},
        {"clusters": 6, "percentile": 30},
        {"label_sets.nn": []},
    ]


def test_names_tell_settings_apart() -> None:
    names = [sweep.experiment(setting) for setting in sweep.settings(GRIDS)]
    assert len(set(names)) == len(names)
    assert names[0].startswith("clusters5-percentile20-")
    assert sweep.experiment({"percentile": 20, "clusters": 5}) == names[0]
    assert "." not in sweep.experiment({"percentile": 2.5})


def test_lists_are_written_as_dvc_reads_them() -> None:
    assert sweep.overrides({"seed": 1, "label_sets.lr": ["all", "random"], "label_sets.nn": []}) == [
        "label_sets.lr=[all,random]",
        "label_sets.nn=[]",
        "seed=1",
    ]


def test_the_sweeps_of_the_project_hold() -> None:
    for name, grids in yaml.safe_load(sweep.SWEEPS.read_text(encoding="utf-8")).items():
        runs = sweep.settings(grids)
        assert len({sweep.experiment(setting) for setting in runs}) == len(runs), name
        for setting in runs:
            sweep.check(setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"percentile": 130}, "percentile: 130: should be less"), ({"data.colour": 1}, "data.colour: is not a known")],
)
def test_a_bad_setting_is_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(SystemExit, match=f"experiments/sweeps.yaml: {message}"):
        sweep.check(setting)


def test_a_sweep_goes_on_after_a_failure(repository: Repository) -> None:
    """More clusters than images: such a setting fails in its stage, and the others still run."""
    few = {f"label_sets.{model}": [[]] for model in CLASSIFIERS} | {"label_sets.lr": [["random"]]}
    sweeps = repository.folder / sweep.SWEEPS
    sweeps.write_text(json.dumps({"test": [{"clusters": [301, 7], **few}]}), encoding="utf-8")
    repository.commit()

    code, output = repository.attempt("python", "-m", "experiments.sweep", "test")
    assert code == 1
    assert "test: 2 settings, 0 done before" in output
    assert output.rstrip().splitlines()[-1] == (
        "failed: clusters=301 label_sets.ensemble=[] label_sets.lr=[random] label_sets.lr_distances=[] "
        "label_sets.nn=[] label_sets.ridge=[]"
    )
    shown = repository.run("dvc", "exp", "list")
    assert "clusters7-" in shown
    assert "clusters301-" not in shown

    sweeps.write_text(json.dumps({"test": [{"clusters": [7], **few}]}), encoding="utf-8")
    code, output = repository.attempt("python", "-m", "experiments.sweep", "test")
    assert code == 0
    assert "test: 1 settings, 1 done before" in output
    assert "Running" not in output
