"""The graph as it is written: who reads labels, who depends on what. Nothing runs."""

import ast
import re
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml

from stages import params

PROJECT = Path(__file__).parents[1]
GRAPH = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = GRAPH["stages"]
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
CHECKS = "stages/params.py"
"""Checks of values and no values: stages import it without depending on it."""

every_stage = pytest.mark.parametrize("name", STAGES)


def module(name: str) -> str:
    """The file that a stage's command runs."""
    return re.match(r"python -m (\S+)", STAGES[name]["cmd"])[1].replace(".", "/") + ".py"


def outputs(name: str) -> list[str]:
    """What a stage writes, whatever the label sets it is asked to train on."""
    stage = STAGES[name]
    entries = stage.get("outs", []) + stage.get("metrics", []) + stage.get("plots", [])
    every = {"train-lr": params.LABEL_SETS, "train-nn": params.LABEL_SETS[:-1], "train-ridge": params.BOUGHT_SETS}
    every["ensemble"] = params.SOFT_SETS
    arms = every.get(name, [""])
    return [path.replace("${item.label_set}", arm) for entry in entries for path in options(entry) for arm in arms]


def options(entry: str | dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return entry if isinstance(entry, dict) else {entry: {}}


def parameter(name: str) -> Any:
    """The value of a dotted name in params.yaml; KeyError if there is none."""
    value = PARAMS
    for key in name.split("."):
        value = value[key]
    return value


def leaves(values: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, value in values.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return found


def covers(name: str, other: str) -> bool:
    """Tell whether a parameter is another one or the section it is in."""
    return f"{other}.".startswith(f"{name}.")


def imports(file: str) -> set[str]:
    """The project's modules that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((PROJECT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import, which this test does not follow"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    paths = {name.replace(".", "/") + ".py" for name in names}
    return {path for path in paths if (PROJECT / path).is_file()}


def all_imports(file: str) -> set[str]:
    """The module itself and all that it imports, directly or not, but for the checks of the parameters."""
    found, new = set(), {file}
    while new:
        found |= new
        new = set().union(*map(imports, new)) - found - {CHECKS}
    return found


def parameters_used(file: str) -> set[str]:
    """What follows `params.load()` in a module, also through the names that it is given there."""
    tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
    meaning = {"params.load()": ""}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("params.load()"):
            meaning[ast.unparse(node.targets[0])] = ast.unparse(node.value).removeprefix("params.load()")
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            for start, prefix in meaning.items():
                if ast.unparse(node).startswith(f"{start}."):
                    used.add((prefix + ast.unparse(node).removeprefix(start)).strip("."))
    return {name for name in used if not any(other != name and covers(name, other) for other in used)}


def test_the_stages_are_these() -> None:
    assert list(STAGES) == [
        "download",
        "flatten",
        "kmeans",
        "select-representatives",
        "propagate",
        "train-lr",
        "train-ridge",
        "train-nn",
        "ensemble",
        "evaluate",
    ]


@pytest.mark.parametrize(
    ("labels", "readers"),
    [
        ("data/raw/train-labels-idx1-ubyte", {"flatten"}),
        ("data/flat/train_labels.npy", {"select-representatives", "evaluate"}),
    ],
)
def test_training_labels_are_read_only_where_they_are_bought_and_judged(labels: str, readers: set[str]) -> None:
    """A folder that they are in counts as well."""
    assert any(labels in outputs(name) for name in STAGES)
    assert readers == {
        name for name, stage in STAGES.items() if any(PurePath(labels).is_relative_to(dep) for dep in stage["deps"])
    }


@every_stage
def test_a_stage_depends_on_the_modules_it_imports_and_no_others(name: str) -> None:
    listed = [dep for dep in STAGES[name]["deps"] if dep.endswith(".py")]
    assert sorted(listed) == sorted(all_imports(module(name)))


def test_what_no_stage_depends_on_has_no_say_in_a_result() -> None:
    """A default in the checks would be a value that DVC does not see."""
    assert imports(CHECKS) == set()
    for model in params._Strict.__subclasses__():
        assert [name for name, field in model.model_fields.items() if not field.is_required()] == []
    for package in ("fewlabels", "stages"):
        tree = ast.parse((PROJECT / package / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree)
        assert len(tree.body) == 1


@every_stage
def test_a_stage_is_rerun_for_the_parameters_it_uses_and_no_others(name: str) -> None:
    listed, used = STAGES[name].get("params", []), parameters_used(module(name))
    missing = [one for one in used if not any(covers(other, one) for other in listed)]
    needless = [one for one in listed if not any(covers(one, other) for other in used)]
    assert (missing, needless) == ([], [])


def test_every_parameter_named_exists() -> None:
    for stage in STAGES.values():
        for name in stage.get("params", []):
            parameter(name)


def test_every_parameter_is_named_by_a_stage() -> None:
    named = [name for stage in STAGES.values() for name in stage.get("params", [])]
    unnamed = [leaf for leaf in leaves(PARAMS) if not any(covers(name, leaf) for name in named)]
    assert unnamed == []


@every_stage
def test_what_git_tracks_is_in_metrics_and_what_dvc_caches_is_in_data(name: str) -> None:
    stage = STAGES[name]
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind, []):
            for path, how in options(entry).items():
                folder, cached = path.split("/")[0], how.get("cache", True)
                assert (folder, cached) in [("metrics", False), ("data", True)], path
                # DVC's run cache does not restore a plain output that it is told not to cache.
                assert cached or kind != "outs", path


def test_artifacts_and_plots_name_files_that_a_stage_writes() -> None:
    written = {path for name in STAGES for path in outputs(name)}
    artifacts = {artifact["path"] for artifact in GRAPH["artifacts"].values()}
    curves = {path for plot in GRAPH["plots"] for how in plot.values() for path in how["y"]}
    assert sorted((artifacts | curves) - written) == []
