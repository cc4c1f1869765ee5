"""The graph as it is written: who reads labels, who depends on what. Nothing runs."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml

from stages import params
from stages.registry import CLASSIFIERS, LABEL_SETS

PROJECT = Path(__file__).parents[1]
GRAPH = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = GRAPH["stages"]
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
CHECKS = "stages/params.py"
"""Checks of values and no values: stages import it without depending on it, but for `check`."""
REGISTRY = "stages/registry.py"
"""Names and colours: the checks read them, and whoever shows them."""

ENGINE = "engine"
"""The parameters of where work is done, which change no result: stages use them, and none is rerun for them."""

MADE_OF = {
    "data/features/transformer.joblib": ["features/hog", "networks/pretrained"],
    "data/clusters/kmeans.joblib": ["features/pixels", "features/hog", "networks/pretrained", "clustering/kmeans"],
    "data/models/lr/*.joblib": ["features/pixels", "features/hog", "networks/pretrained"],
    "data/models/lr_distances/*.joblib": [
        "features/pixels",
        "features/hog",
        "networks/pretrained",
        "clustering/assignment",
    ],
    "data/models/ridge/*.joblib": ["features/hog", "networks/pretrained", "classifiers/kernel_ridge"],
    "data/models/nn/*.joblib": ["networks/classifier"],
    "data/models/ensemble/*.joblib": ["classifiers/kernel_ridge", "networks/classifier", "networks/embedding"],
}
"""The modules that loading a file with joblib imports; the stages that do so, run alone in tests/test_pipeline.py."""

every_stage = pytest.mark.parametrize("name", STAGES)


def module_of(name: str) -> str:
    """The file that a stage's command runs."""
    return re.match(r"python -m (\S+)", STAGES[name]["cmd"])[1].replace(".", "/") + ".py"


def outputs(name: str) -> list[str]:
    """What a stage writes, whatever the label sets it is asked to train on."""
    stage = STAGES[name]
    entries = stage.get("outs", []) + stage.get("metrics", []) + stage.get("plots", [])
    every = next((entry.label_sets for entry in CLASSIFIERS.values() if entry.stage == name), ("",))
    return [path.replace("${item.label_set}", arm) for entry in entries for path in options(entry) for arm in every]


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
    """The project's modules that a module imports, anywhere in it.

    Packages hold a docstring and nothing else, so a module is imported by its own name: `import a.b.c`, `from a.b
    import c`, `from a.b.c import name`.
    """
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


def modules_needed(name: str) -> set[str]:
    """What a stage imports, and what the models that it loads are made of."""
    needed = all_imports(module_of(name))
    if name == "check":
        needed |= {CHECKS, *imports(CHECKS)}
    for dep in STAGES[name]["deps"]:
        for loaded, modules in MADE_OF.items():
            if PurePath(loaded).is_relative_to(dep) or re.fullmatch(loaded.replace("*", ".*"), dep):
                needed |= set().union(*(all_imports(f"fewlabels/{one}.py") for one in modules))
    return needed


def parameters_used(file: str) -> set[str]:
    """What follows `params.load()` in a module and in the helpers of stages/ that it imports.

    Also through the names that it is given there; an argument annotated as `params.Params` holds all parameters.
    """
    helpers = {one for one in all_imports(file) if one.startswith("stages/")}
    used = set().union(*map(parameters_named, helpers))
    return {name for name in used if not any(other != name and covers(name, other) for other in used)}


def parameters_named(file: str) -> set[str]:
    """The parameters that a module names."""
    tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
    meaning = {"params.load()": ""}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation and ast.unparse(node.annotation) == "params.Params":
            meaning[node.arg] = ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("params.load()"):
            meaning[ast.unparse(node.targets[0])] = ast.unparse(node.value).removeprefix("params.load()")
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            for start, prefix in meaning.items():
                if ast.unparse(node).startswith(f"{start}."):
                    used.add((prefix + ast.unparse(node).removeprefix(start)).strip("."))
    return used


def test_the_stages_of_the_mission_keep_their_names_and_order() -> None:
    mission = [
        "download",
        "flatten",
        "kmeans",
        "select-representatives",
        "propagate",
        "train-lr",
        "train-nn",
        "evaluate",
    ]
    assert [name for name in STAGES if name in mission] == mission


@pytest.mark.parametrize(
    ("labels", "readers"),
    [
        ("data/raw", {"flatten"}),
        ("data/flat/train_labels.npy", {"first-round", "select-representatives", "evaluate"}),
        ("data/labels/audit.npz", {"evaluate", "auto-label"}),
    ],
)
def test_training_labels_are_read_only_where_they_are_bought_and_judged(labels: str, readers: set[str]) -> None:
    """A folder that they are in counts as well."""
    assert any(labels in outputs(name) for name in STAGES)
    assert readers == {
        name for name, stage in STAGES.items() if any(PurePath(labels).is_relative_to(dep) for dep in stage["deps"])
    }


@every_stage
def test_a_stage_depends_on_the_modules_it_needs_and_no_others(name: str) -> None:
    listed, needed = [dep for dep in STAGES[name]["deps"] if dep.endswith(".py")], modules_needed(name)
    missing, needless = sorted(needed - set(listed)), sorted(set(listed) - needed)
    assert (missing, needless) == ([], [])
    assert sorted(listed) == sorted(needed), "one is listed twice"


@pytest.mark.parametrize("file", sorted({file for name in STAGES for file in all_imports(module_of(name))}))
def test_every_package_on_the_way_is_followed(file: str) -> None:
    """What the test above would not see: a name handed on by a package, `from a import name_of_b`."""
    for node in ast.walk(ast.parse((PROJECT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            folder = PROJECT / node.module.replace(".", "/")
            if folder.is_dir():
                handed_on = [alias.name for alias in node.names if not (folder / f"{alias.name}.py").is_file()]
                modules = [name for name in handed_on if not (folder / name).is_dir()]
                assert modules == [], f"{file}: from {node.module} import {modules}"


def test_what_no_stage_depends_on_has_no_say_in_a_result() -> None:
    """A default in the checks would be a value that DVC does not see."""
    assert imports(CHECKS) == {REGISTRY}
    assert imports(REGISTRY) == set()
    for model in params._Strict.__subclasses__():
        assert [name for name, field in model.model_fields.items() if not field.is_required()] == []
    for init in [*(PROJECT / "fewlabels").rglob("__init__.py"), PROJECT / "stages/__init__.py"]:
        tree = ast.parse(init.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), init
        assert len(tree.body) == 1, init


# ---- the registry


def test_every_label_set_is_written_by_the_stage_that_the_registry_names() -> None:
    written = {path: name for name in STAGES for path in outputs(name) if path.startswith("data/labels/")}
    for other in ("purchases.csv", "first_round.npz", "audit.npz", "audit_rows.npy"):
        del written[f"data/labels/{other}"]
    assert written == {f"data/labels/{name}.npz": entry.stage for name, entry in LABEL_SETS.items()}
    judged = [dep for dep in STAGES["evaluate"]["deps"] if dep.startswith("data/labels/")]
    assert judged == [f"data/labels/{name}.npz" for name in (*LABEL_SETS, "audit")]


def test_every_classifier_is_written_by_the_stage_that_the_registry_names() -> None:
    trained = {name: stage["matrix"]["label_set"] for name, stage in STAGES.items() if "matrix" in stage}
    assert trained == {entry.stage: f"${{label_sets.{name}}}" for name, entry in CLASSIFIERS.items()}
    assert list(PARAMS["label_sets"]) == list(CLASSIFIERS)
    for name, entry in CLASSIFIERS.items():
        for out in (
            f"data/models/{name}/${{item.label_set}}.joblib",
            f"data/predictions/{name}/${{item.label_set}}.npz",
        ):
            assert out in STAGES[entry.stage]["outs"]
        for other, label_set in entry.needs:
            needed = f"data/models/{other}/{label_set or '${item.label_set}'}.joblib"
            assert needed in STAGES[entry.stage]["deps"]


def parameters_upstream(name: str) -> set[str]:
    """The parameters of a stage and of all whose outputs it reads, directly or not."""
    found = set(STAGES[name].get("params", []))
    deps = {dep.replace("${item.label_set}", arm) for dep in STAGES[name]["deps"] for arm in LABEL_SETS}
    for other in STAGES:
        if other != name and deps & {*outputs(other)}:
            found |= parameters_upstream(other)
    return found


def without(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those names of parameters that are neither among others, nor in a section of these, nor a section with one."""
    return [name for name in names if not any(covers(name, other) or covers(other, name) for other in others)]


@pytest.mark.parametrize("name", LABEL_SETS)
def test_what_a_label_set_depends_on_is_what_its_stage_depends_on(name: str) -> None:
    entry = LABEL_SETS[name]
    if entry.spread_from:
        assert f"data/labels/{entry.spread_from}.npz" in STAGES[entry.stage]["deps"]
    assert without(entry.parameters, parameters_upstream(entry.stage)) == []


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_a_classifier_depends_on_is_what_its_stage_depends_on(name: str) -> None:
    """And what its stage itself is rerun for is named: else runs that differ in it would count as the same."""
    entry = CLASSIFIERS[name]
    named = {*entry.parameters, *(entry.on_soft or ())}
    assert without(named, parameters_upstream(entry.stage)) == []
    shared = ("seed", "label_sets", "data", "oracle", "pool")
    of_label_sets = {parameter for one in entry.label_sets for parameter in LABEL_SETS[one].parameters}
    assert without(STAGES[entry.stage]["params"], {*named, *of_label_sets, *shared}) == []


def test_every_colour_means_one_thing() -> None:
    entries = [*LABEL_SETS.values(), *CLASSIFIERS.values()]
    for page in ("light", "dark"):
        colours = [getattr(entry.colour, page) for entry in entries]
        assert len(set(colours)) == len(colours)
    assert len({entry.marker for entry in LABEL_SETS.values()}) == len(LABEL_SETS)


@every_stage
def test_a_stage_is_rerun_for_the_parameters_it_uses_and_no_others(name: str) -> None:
    listed, used = STAGES[name].get("params", []), parameters_used(module_of(name)) - {ENGINE}
    if "params.yaml" in STAGES[name]["deps"]:
        listed = used
    missing = [one for one in used if not any(covers(other, one) for other in listed)]
    needless = [one for one in listed if not any(covers(one, other) for other in used)]
    assert (missing, needless) == ([], [])


def test_no_stage_is_rerun_for_the_engine_but_each_that_looks_at_all_images_uses_it() -> None:
    """tests/test_engine.py shows that it changes no result."""
    assert not any(covers(ENGINE, one) for stage in STAGES.values() for one in stage.get("params", []))
    used = {name for name in STAGES if ENGINE in parameters_used(module_of(name))}
    assert used >= {"describe", "kmeans", "select-representatives", "propagate", "train-ridge"}


def test_every_parameter_named_exists() -> None:
    for stage in STAGES.values():
        for name in stage.get("params", []):
            parameter(name)


def test_every_parameter_is_named_by_a_stage() -> None:
    named = [name for stage in STAGES.values() for name in stage.get("params", [])]
    unnamed = [leaf for leaf in leaves(PARAMS) if not any(covers(name, leaf) for name in [*named, ENGINE])]
    assert unnamed == []


@every_stage
def test_what_git_tracks_is_in_metrics_and_what_dvc_caches_is_in_data(name: str) -> None:
    stage = STAGES[name]
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind, []):
            for path, how in options(entry).items():
                folder, cached = path.split("/")[0], how.get("cache", True)
                assert (folder, cached) in [("metrics", False), ("data", True)], path
                # DVC's run cache does not keep a stage with a plain output that it is told not to cache.
                assert cached or kind != "outs", path


def plotted_files(name: str, how: dict[str, Any]) -> list[str]:
    """A plot of one file or folder has its path for a name; another has a name of its own, and files under y."""
    return list(how["y"]) if isinstance(how["y"], dict) else [name]


def test_artifacts_and_plots_name_files_that_a_stage_writes() -> None:
    written = {path for name in STAGES for path in outputs(name)}
    artifacts = {artifact["path"] for artifact in GRAPH["artifacts"].values()}
    assert sorted(artifacts - written) == []
    plotted = [path for plot in GRAPH["plots"] for name, how in plot.items() for path in plotted_files(name, how)]
    assert [path for path in plotted if not any(PurePath(path).is_relative_to(one) for one in written)] == []
