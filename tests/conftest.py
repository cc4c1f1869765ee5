"""A small copy of the project: the same graph and code, a few hundred tiny images, its own git and DVC."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from fewlabels.run import Local
from stages import engine
from stages.registry import CLASSIFIERS

PROJECT = Path(__file__).parents[1]
CLASSES = ["checks", "null", "nan", "no"]  # the names of some are values to YAML, to pandas or to both
SHAPE = (12, 12)
CLUSTERS = 12

SMALL: dict[str, object] = {f"label_sets.{name}": [] for name in CLASSIFIERS} | {
    "seed": 42,
    "clusters": CLUSTERS,
    "percentile": 30,
    "label_sets.lr": ["all", "random", "active", "propagated", "partially_propagated"],
    "label_sets.lr_distances": ["all"],
    "label_sets.nn": ["all", "propagated_soft"],
    "label_sets.ridge": ["random", "active"],
    "label_sets.ensemble": ["propagated_soft"],
    "data.source": "idx",
    "data.image_shape": list(SHAPE),
    "data.classes": CLASSES,
    "network.architecture": "compact",  # TensorFlow traces it in less time
    "network.few.steps": 5,
    "network.restarts": 0,
    "network.student": {
        "networks": 1,
        "generations": 1,
        "epochs": 1,
        "dropout": 0.3,
        "repeats": 2,
        "shift": 1,
        "views": 1,
        "images": 100000,
    },
}
"""Values for params.yaml, besides the folder of the images. Two networks only, because each waits for TensorFlow."""


class NotedRun(Local):
    """Runs here, in place of a cluster, and notes for each pass how many rows it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.rows: list[int] = []

    def map(self, function: Callable[..., Any], *sources: Any, **how: Any) -> Any:
        self.rows.append(len(sources[0]))
        return super().map(function, *sources, **how)

    def map_reduce(self, function: Callable[..., Any], combine: Callable[..., Any], *sources: Any, **how: Any) -> Any:
        self.rows.append(len(sources[0]))
        return super().map_reduce(function, combine, *sources, **how)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> NotedRun:
    """What the stages of this test compute on where params.yaml names a scheduler."""
    run = NotedRun()

    def connected(scheduler: str, *_: object, **__: object) -> NotedRun:
        run.asked.append(scheduler)
        return run

    monkeypatch.setattr(engine, "connected", connected)
    return run


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as slow whatever runs DVC: the tests that ask for a copy of the project.

    Where processes share the tests by files (`make test`), the files with most such tests come first: else one process
    would be left with them at the end. All that need `finished` are in one file, so that it is made once.
    """
    run_dvc = [item for item in items if "new_repository" in getattr(item, "fixturenames", ())]
    for item in run_dvc:
        item.add_marker("slow")
    if hasattr(config, "workerinput"):  # a process of pytest-xdist
        count = Counter(item.path for item in run_dvc)
        items.sort(key=lambda item: -count[item.path])


class Repository:
    """A git and DVC repository that is the project in small."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, **environment: str) -> str:
        """Run a command in it and return what it printed; if it fails, an error with that is raised."""
        code, output = self.attempt(*command, **environment)
        assert code == 0, f"{command} ended with {code}:\n{output}"
        return output

    def attempt(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run a command in it, in a process group of its own, and return its exit code and what it printed."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=600)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, output

    def configure(self, changes: dict[str, object]) -> None:
        """Change values in params.yaml, each under its dotted name."""
        path = self.folder / "params.yaml"
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, value in changes.items():
            *sections, key = name.split(".")
            section = settings
            for one in sections:
                section = section[one]
            assert key in section, name
            section[key] = value
        path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "A state")

    def _environment(self) -> dict[str, str]:
        """Nothing of this machine's git and DVC gets in: no settings, no hooks, no shared state."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
        beside = self.folder.parent
        return inherited | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",  # arrays this small gain nothing from more
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "DVC_GLOBAL_CONFIG_DIR": str(beside / "no-settings"),
            "DVC_SYSTEM_CONFIG_DIR": str(beside / "no-settings"),
            "DVC_SITE_CACHE_DIR": str(beside / "dvc-state"),
        }


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small data set as IDX files: a random pattern for each class, under noise."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    patterns = random.integers(0, 256, (len(CLASSES), *SHAPE))
    for part, count in (("train", 300), ("t10k", 100)):
        labels = random.integers(0, len(CLASSES), count)
        noise = random.integers(0, 256, (count, *SHAPE))
        write_idx(folder / f"{part}-images-idx3-ubyte", (0.25 * patterns[labels] + 0.75 * noise).astype(np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels.astype(np.uint8))
    return folder


def copy_compiled(source: Path, target: Path) -> None:
    """Bring along what numba has compiled of the modules there: else stages compile it anew, for ten seconds.

    It is valid for a module of the same code and time of change: one that was copied with that time.
    """
    for kind in ("nbi", "nbc"):  # an index before what it lists: another process may be adding to both
        for path in source.rglob(f"__pycache__/*.{kind}"):
            folder = target / path.parent.relative_to(source)
            if (folder.parent / f"{path.name.partition('.')[0]}.py").exists():
                folder.mkdir(exist_ok=True)
                shutil.copy(path, folder / path.name)


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(header + values.tobytes())


@pytest.fixture(scope="session")
def new_repository(images: Path) -> Callable[[Path], Repository]:
    """A function that makes the project in small in a folder, committed, with nothing run yet."""

    def make(folder: Path) -> Repository:
        no_bytecode = shutil.ignore_patterns("__pycache__")
        for name in ("stages", "fewlabels", "experiments", "labelling"):
            shutil.copytree(PROJECT / name, folder / name, ignore=no_bytecode)
        copy_compiled(PROJECT / "fewlabels", folder / "fewlabels")
        shutil.copytree(PROJECT / ".dvc/plots", folder / ".dvc/plots")
        (folder / "images").mkdir()
        shutil.copy(PROJECT / "images/README.md", folder / "images/README.md")
        for name in (
            "dvc.yaml",
            "params.yaml",
            "answers.csv",
            ".gitattributes",
            ".gitignore",
            ".dvcignore",
            ".dvc/config",
            ".dvc/.gitignore",
        ):
            shutil.copy(PROJECT / name, folder / name)
        student = folder / "fewlabels/networks/student.py"
        code = student.read_text(encoding="utf-8")
        student.write_text(
            code.replace("LEAST_STEPS = 200", "LEAST_STEPS = 2"), encoding="utf-8"
        )  # or it takes minutes
        repository = Repository(folder)
        repository.configure(SMALL | {"data.folder": str(images)})
        repository.run("git", "init", "--quiet")
        repository.run("git", "config", "user.name", "Test")
        repository.run("git", "config", "user.email", "test@example.org")
        repository.commit()
        return repository

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, new_repository: Callable[[Path], Repository]) -> Repository:
    """The project in small after one `dvc repro`, committed. For reading only: `repository` is a copy of it."""
    repository = new_repository(tmp_path_factory.mktemp("finished") / "repository")
    repository.run("dvc", "repro")
    repository.commit()
    return repository


@pytest.fixture
def repository(finished: Repository, tmp_path: Path) -> Repository:
    """A copy of `finished`, its cache included, to do with as one likes."""
    shutil.copytree(finished.folder, tmp_path / "repository")
    return Repository(tmp_path / "repository")


@pytest.fixture
def fake_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a script in the place of the command `dvc`, and give a folder to call it in."""

    def put(script: str) -> Path:
        command = tmp_path / "bin/dvc"
        command.parent.mkdir()
        command.write_text(f"#!/bin/sh\n{script}")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return put
