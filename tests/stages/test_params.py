"""Every bad value in params.yaml ends every stage in one line that says which it is, before anything is computed."""

import ast
import copy
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages import params
from stages.registry import BOUGHT, CLASSIFIERS, LABEL_SETS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
SETTINGS = yaml.safe_load(TEXT)
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
KNOWN = ", ".join(LABEL_SETS)


def keys(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of all values, groups left out."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


KEYS = list(keys(SETTINGS))
GROUPS = [name for name, value in SETTINGS.items() if isinstance(value, dict)]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def group_of(settings: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    *groups, name = key.split(".")
    for group in groups:
        settings = settings[group]
    return settings, name


def value_of(settings: dict[str, Any], key: str) -> Any:
    group, name = group_of(settings, key)
    return group[name]


def write(changes: dict[str, Any]) -> None:
    settings = copy.deepcopy(SETTINGS)
    for key, value in changes.items():
        group, name = group_of(settings, key)
        group[name] = value
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def refusal() -> str:
    with pytest.raises(SystemExit) as end:
        params.load()
    assert isinstance(end.value.code, str), "a message, which Python turns into exit code 1"
    assert "\n" not in end.value.code
    return end.value.code


# ---- the repository's own file


def test_the_projects_own_parameters_are_valid() -> None:
    assert params.load(ROOT / "params.yaml").model_dump() == SETTINGS


def test_every_parameter_is_one_that_some_stage_depends_on() -> None:
    watched = [key for stage in STAGES.values() for key in stage.get("params", [])]
    watched.append("engine")  # changes no result
    assert [key for key in KEYS if not any(f"{key}.".startswith(f"{name}.") for name in watched)] == []


def test_every_parameter_is_read_in_code() -> None:
    read = set()
    for path in (ROOT / "stages").glob("*.py"):
        if path.name != "params.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    # train_nn hands over the fields of two settings objects by name; evaluate goes through all label sets.
    handed_over = {f"label_sets.{name}" for name in CLASSIFIERS}
    for module, group in (("training", "network"), ("student", "network.student")):
        tree = ast.parse((ROOT / f"fewlabels/networks/{module}.py").read_text(encoding="utf-8"))
        settings = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name.endswith("Settings"))
        handed_over |= {f"{group}.{field.target.id}" for field in settings.body if isinstance(field, ast.AnnAssign)}
    assert [key for key in KEYS if key not in handed_over and key.split(".")[-1] not in read] == []


# ---- every stage


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_refuses_a_bad_value_before_it_computes(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"percentile": 130})
    python, dash_m, module, *arguments = STAGES[stage]["cmd"].split()
    assert (python, dash_m) == ("python", "-m")
    label_set = next((entry.label_sets[-1] for entry in CLASSIFIERS.values() if entry.stage == stage), "")
    monkeypatch.setattr(sys, "argv", [module, *(label_set for _ in arguments)])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(module).main()
    assert end.value.code == "params.yaml: percentile: 130: should be less than or equal to 100"
    assert [path.name for path in Path().rglob("*")] == ["params.yaml"]


def test_the_refusal_is_one_line_on_stderr_and_exit_code_1() -> None:
    write({"percentile": 130})
    shutil.copytree(ROOT / "stages", "stages", ignore=shutil.ignore_patterns("__pycache__"))  # runs where it lies
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.train_nn", "all"]
    stage = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert stage.returncode == 1
    assert stage.stderr == "params.yaml: percentile: 130: should be less than or equal to 100\n"
    assert stage.stdout == ""


# ---- the engine


@pytest.mark.parametrize("scheduler", [None, "local", "tcp://host:8786", "tls://10.0.0.1:1"])
def test_a_scheduler_is_known_by_its_address(scheduler: str | None) -> None:
    write({"engine.scheduler": scheduler})
    assert params.load().engine.scheduler == scheduler


@pytest.mark.parametrize(
    "scheduler", ["Local", "host:8786", "ucx://host:1", "http://host:8786", "tcp://host", "tcp://", ""]
)
def test_an_address_that_is_none_is_refused(scheduler: str) -> None:
    write({"engine.scheduler": scheduler})
    wanted = f"params.yaml: engine.scheduler: {scheduler!r} is not null, local or an address such as tcp://host:8786"
    assert refusal() == wanted


@pytest.mark.parametrize(("name", "value"), [("workers", 10**9), ("chunk", 10**400)])
def test_numbers_that_no_machine_has_are_refused(name: str, value: int) -> None:
    write({f"engine.{name}": value})
    assert refusal().startswith(f"params.yaml: engine.{name}: ")


@pytest.mark.parametrize("memory", [0.4, 1e300])
def test_workers_need_memory_that_there_can_be(memory: float) -> None:
    write({"engine.memory": memory})
    assert refusal().startswith(f"params.yaml: engine.memory: {memory!r}: should be ")


# ---- every parameter


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [{"a": 1}, [[]]], ids=["mapping", "nested list"])
def test_no_parameter_takes_a_value_of_a_wrong_type(key: str, value: Any) -> None:
    write({key: value})
    assert refusal().startswith(f"params.yaml: {key}")


@pytest.mark.parametrize("key", [key for key in KEYS if type(value_of(SETTINGS, key)) in (int, float)])
@pytest.mark.parametrize("value", ["1", True, None])
def test_no_number_takes_what_merely_looks_like_one(key: str, value: Any) -> None:
    write({key: value})
    assert refusal().startswith(f"params.yaml: {key}: {value!r}: should be a valid ")


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_parameter_is_named(key: str) -> None:
    settings = copy.deepcopy(SETTINGS)
    group, name = group_of(settings, key)
    del group[name]
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert refusal() == f"params.yaml: {key}: is missing"


@pytest.mark.parametrize("group", GROUPS)
def test_a_missing_group_is_named(group: str) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({k: v for k, v in SETTINGS.items() if k != group}), encoding="utf-8")
    assert refusal() == f"params.yaml: {group}: is missing"


@pytest.mark.parametrize("key", ["cluster", *(f"{group}.colour" for group in GROUPS)])
def test_an_unknown_parameter_is_named(key: str) -> None:
    write({key: 3})
    assert refusal() == f"params.yaml: {key}: is not a known parameter"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", -1, "-1: should be greater than or equal to 0"),
        ("seed", 2**32, "4294967296: should be less than or equal to 4294967295"),
        ("clusters", 0, "0: should be greater than or equal to 1"),
        ("clusters", 500.0, "500.0: should be a valid integer"),
        ("percentile", -0.5, "-0.5: should be greater than or equal to 0"),
        ("percentile", 100.5, "100.5: should be less than or equal to 100"),
        ("percentile", float("nan"), "nan: should be a finite number"),
        ("percentile", float("inf"), "inf: should be a finite number"),
        ("label_sets.lr", ["all", "some"], f"'some' is not one of {KNOWN}"),
        ("label_sets.lr", ["all", "random", "all"], "'all' is listed twice"),
        ("label_sets.lr", "all", "'all': should be a valid list"),
        ("label_sets.lr", None, "None: should be a valid list"),
        ("label_sets.lr", [1], f"1 is not one of {KNOWN}"),
        ("label_sets.lr_distances", ["all", "distances"], f"'distances' is not one of {KNOWN}"),
        ("label_sets.nn", ["random", "random"], "'random' is listed twice"),
        ("label_sets.ridge", ["all"], f"'all' is not one of {', '.join(BOUGHT)}"),
        ("label_sets.ensemble", ["all"], "'all' is not one of propagated_soft"),
        ("confidence", 1.5, "1.5: should be less than or equal to 1"),
        ("features", "gradients", "'gradients' is not 'pixels', 'hog', 'embedding' or 'auto'"),
        ("cluster_margin.first_round", 0, "0: should be greater than or equal to 1"),
        ("cluster_margin.growth", 0.9, "0.9: should be greater than or equal to 1"),
        ("cluster_margin.candidates", 0, "0: should be greater than or equal to 1"),
        ("label_spreading.neighbours", 0, "0: should be greater than or equal to 1"),
        ("label_spreading.neighbour_weights", [0.5, 0.5], "[0.5, 0.5]: each number must be larger than the one before"),
        ("label_spreading.neighbour_weights", [], "[]: List should have at least 1 item after validation, not 0"),
        ("network.student.epochs", 0, "0: should be greater than or equal to 1"),
        ("network.student.dropout", 1.0, "1.0: should be less than or equal to 0.95"),
        ("network.student.repeats", 0, "0: should be greater than or equal to 1"),
        ("network.student.shift", -1, "-1: should be greater than or equal to 0"),
        ("network.student.shift", 5, "5: should be less than or equal to 4"),
        ("network.student.views", 0, "0: should be greater than or equal to 1"),
        ("network.student.views", 6, "6: should be less than or equal to 5"),
        ("network.student.networks", 0, "0: should be greater than or equal to 1"),
        ("network.student.generations", 0, "0: should be greater than or equal to 1"),
        ("kernel_ridge.gamma", 0, "0: should be greater than 0"),
        ("kernel_ridge.alpha", -1.0, "-1.0: should be greater than 0"),
        ("data.folder", 5, "5 is not text: put it in quotes"),
        ("data.folder", "", "'': String should have at least 1 character"),
        ("data.source", "folder", "'folder' is not 'fashion-mnist', 'idx' or 'images'"),
        ("data.fit", "zoom", "'zoom' is not 'pad', 'crop' or 'stretch'"),
        ("data.test_share", 1.0, "1.0: should be less than 1"),
        ("data.test_share", -0.1, "-0.1: should be greater than or equal to 0"),
        ("embedding.model", "", "'': String should have at least 1 character"),
        ("embedding.size", 7, "7: should be greater than or equal to 8"),
        ("embedding.scale", "0..2", "'0..2' is not '0..255', '0..1', '-1..1', 'imagenet' or 'clip'"),
        ("network.student.images", 0, "0: should be greater than or equal to 1"),
        ("data.image_shape", [28], "[28]: List should have at least 2 items after validation, not 1"),
        ("data.image_shape", [28] * 3, "[28, 28, 28]: the third number can only be 3, for red, green and blue"),
        ("data.image_shape", [28, 28, 3.0], "[28, 28, 3.0]: the third number can only be 3, for red, green and blue"),
        ("data.image_shape", [28] * 4, "[28, 28, 28, 28]: List should have at most 2 items after validation, not 4"),
        ("data.classes", ["cat"], "['cat']: List should have at least 2 items after validation, not 1"),
        ("data.classes", ["cat", "dog", "cat"], "'cat' is listed twice"),
        ("data.classes", ["cat", ""], "'' is empty"),
        ("data.classes", [" ", "cat"], "' ' is empty"),
        ("data.classes", ["cat", "dog "], "'dog ' is a name with blanks at an end"),
        ("data.classes", ["\tcat", "dog"], "'\\tcat' is a name with blanks at an end"),
        ("logistic_regression.C", 0, "0: should be greater than 0"),
        ("logistic_regression.C", float("nan"), "nan: should be a finite number"),
        ("logistic_regression.features_C", 0.0, "0.0: should be greater than 0"),
        ("logistic_regression.distances_C", -0.1, "-0.1: should be greater than 0"),
        ("logistic_regression.pixel_power", 0.0, "0.0: should be greater than 0"),
        ("logistic_regression.max_iterations", 0, "0: should be greater than or equal to 1"),
        ("network.architecture", "resnet", "'resnet' is not 'compact', 'edges' or 'study'"),
        ("network.steps", 0, "0: should be greater than or equal to 1"),
        ("network.batch_size", 0, "0: should be greater than or equal to 1"),
        ("network.few.below", -1, "-1: should be greater than or equal to 0"),
        ("network.few.steps", 0, "0: should be greater than or equal to 1"),
        ("network.few.spread", 0, "0: should be greater than or equal to 1"),
        ("network.learning_rate", 0.0, "0.0: should be greater than 0"),
        ("network.learning_rate", float("inf"), "inf: should be a finite number"),
        ("network.validation_share", 0, "0: should be greater than 0"),
        ("network.validation_share", 1, "1: should be less than 1"),
        ("network.patience", 0, "0: should be greater than or equal to 1"),
        ("network.restarts", -1, "-1: should be greater than or equal to 0"),
        ("network.restarts", 101, "101: should be less than or equal to 100"),
        ("network.networks", 0, "0: should be greater than or equal to 1"),
        ("network.networks", 101, "101: should be less than or equal to 100"),
        ("network.shift", -1, "-1: should be greater than or equal to 0"),
        ("network.shift", 5, "5: should be less than or equal to 4"),
    ],
)
def test_a_bad_value_is_named_in_one_line(key: str, value: Any, message: str) -> None:
    write({key: value})
    assert refusal() == f"params.yaml: {key}: {message}"


@pytest.mark.parametrize(
    ("weights", "message"),
    [([0, 1.0], "1: 1.0: should be less than or equal to 0.99"), ([-0.1], "0: -0.1: should be greater than")],
)
def test_a_bad_weight_of_the_neighbours_is_named_by_its_place(weights: list[float], message: str) -> None:
    write({"label_spreading.neighbour_weights": weights})
    assert refusal().startswith(f"params.yaml: label_spreading.neighbour_weights.{message}")


def test_more_classes_than_a_byte_can_name_are_refused() -> None:
    write({"data.classes": [str(number) for number in range(256)]})
    assert refusal().endswith("List should have at most 255 items after validation, not 256")


@pytest.mark.parametrize(("classifier", "needed"), [("nn", "nn on propagated_soft"), ("ridge", "ridge on active")])
def test_an_ensemble_needs_what_it_is_made_of(classifier: str, needed: str) -> None:
    write({f"label_sets.{classifier}": ["random"]})
    assert refusal() == f"params.yaml: label_sets: ensemble on propagated_soft needs {needed}"


PEOPLE = {f"label_sets.{name}": [] for name in CLASSIFIERS} | {"oracle": "people", "label_sets.ridge": ["active"]}


@pytest.mark.parametrize(
    ("classifier", "label_set", "why"),
    [
        ("lr", "all", "needs the label of every image"),
        ("nn", "all", "needs the label of every image"),
        ("lr_distances", "all", "needs the label of every image"),
        ("ridge", "random", "needs a budget of its own"),
        *[
            ("lr", name, "needs a first round of 2000 labels, and cluster_margin.first_round is 50")
            for name in ("representatives", "propagated", "partially_propagated")
        ],
    ],
)
def test_label_sets_that_people_do_not_give_are_refused_by_name(classifier: str, label_set: str, why: str) -> None:
    write(PEOPLE | {f"label_sets.{classifier}": [label_set]})
    assert refusal() == f"params.yaml: label_sets.{classifier}: {label_set!r} {why}: not with oracle people"
    write(PEOPLE | {f"label_sets.{classifier}": [label_set], "oracle": "labels"})
    params.load()


def test_people_give_what_is_chosen_in_rounds_and_what_the_first_round_allows() -> None:
    write(PEOPLE | {"label_sets.lr": ["active", "propagated_soft"], "label_sets.lr_distances": ["active"]})
    params.load()
    write(PEOPLE | {"label_sets.lr": ["representatives", "propagated"], "cluster_margin.first_round": 2000})
    params.load()


def test_there_must_be_something_to_train() -> None:
    write({f"label_sets.{name}": [] for name in CLASSIFIERS})
    assert refusal() == "params.yaml: label_sets: no classifier has a label set to be trained on"


@pytest.mark.parametrize(
    ("trained", "wanted"),
    [
        ({"lr": ["active"]}, {"active"}),
        ({"nn": ["propagated_soft"]}, {"active", "propagated_soft"}),
        ({"lr": ["propagated"]}, {"representatives", "propagated"}),
    ],
)
def test_a_label_set_is_wanted_where_its_labels_are_spread_from_it(
    trained: dict[str, list[str]], wanted: set[str]
) -> None:
    write({f"label_sets.{name}": trained.get(name, []) for name in CLASSIFIERS})
    chosen = params.load().label_sets
    assert {name for name in LABEL_SETS if chosen.wants(name)} == wanted


@pytest.mark.parametrize("value", [7, 1025, 28.0, "28"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_bad_side_of_an_image_is_named(place: int, value: Any) -> None:
    write({"data.image_shape": [value, 28] if place == 0 else [28, value]})
    assert refusal().startswith(f"params.yaml: data.image_shape.{place}: {value!r}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 0),
        ("seed", 2**32 - 1),
        ("clusters", 1),
        ("percentile", 0),
        ("percentile", 100),
        ("percentile", 33.3),
        ("label_sets.lr", []),
        ("label_sets.ensemble", []),
        ("features", "hog"),
        ("features", "auto"),
        ("data.folder", "~/fashion"),
        ("data.test_share", 0),
        ("embedding.size", 8),
        ("embedding.scale", "clip"),
        ("data.image_shape", [8, 1024]),
        ("data.classes", [str(number) for number in range(255)]),
        ("network.validation_share", 0.999),
        ("network.architecture", "study"),
        ("network.restarts", 0),
    ],
)
def test_the_outermost_good_values_are_taken(key: str, value: Any) -> None:
    write({key: value})
    assert value_of(params.load().model_dump(), key) == value


# ---- the file


@pytest.mark.parametrize(
    ("name", "read"), [("null", "None"), ("~", "None"), ("1e3", "1000.0"), ("true", "True"), ("7", "7")]
)
def test_a_class_name_that_yaml_reads_as_something_else_wants_quotes(name: str, read: str) -> None:
    lines = [f"  classes: [cat, {quoted}]" for quoted in (name, f"'{name}'")]
    for line in lines:
        Path("params.yaml").write_text(re.sub("^  classes: .*", line, TEXT, flags=re.MULTILINE), encoding="utf-8")
        if "'" in line:
            assert params.load().data.classes == ["cat", name]
        else:
            assert refusal() == f"params.yaml: data.classes.1: {read} is not text: put it in quotes"


def test_a_small_number_as_dvc_writes_it() -> None:
    """`dvc exp run -S network.learning_rate=0.00001` leaves 1e-05 in the file, which YAML 1.1 takes for text."""
    Path("params.yaml").write_text(re.sub("learning_rate: .*", "learning_rate: 1e-05", TEXT), encoding="utf-8")
    assert params.load().network.learning_rate == 1e-5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "None: should be a valid dictionary"),
        (b"- seed", "['seed']: should be a valid dictionary"),
        (b"seed: [1", "while parsing a flow sequence"),
        (b"seed: \xff", ""),
    ],
    ids=["empty", "list", "not YAML", "not UTF-8"],
)
def test_a_file_of_another_kind_is_refused(content: bytes, message: str) -> None:
    Path("params.yaml").write_bytes(content)
    assert refusal().startswith(f"params.yaml: {message}")


def test_a_missing_file_is_named() -> None:
    assert refusal() == "params.yaml: No such file or directory"


def test_what_a_source_needs_is_named() -> None:
    for source in ("idx", "images"):
        write({"data.source": source})
        assert refusal() == f"params.yaml: data: source {source} needs a folder, which is null"
    write({"data.classes": None})
    assert refusal() == "params.yaml: data: source fashion-mnist needs classes, which is null"
    write({"data.image_shape": [28, 28, 3]})
    assert refusal() == "params.yaml: data: source fashion-mnist has grey images: image_shape is height and width"
    own = {"data.source": "images", "data.folder": "images/mine", "data.classes": None}
    write(own | {"data.image_shape": [64, 48, 3]})
    assert params.load().data.image_shape == [64, 48, 3]


def test_features_are_not_chosen_by_more_labels_than_the_budget() -> None:
    write({"features": "auto", "clusters": 40})
    assert refusal() == "params.yaml: clusters: 40 is less than the 50 labels that features auto decides by"
