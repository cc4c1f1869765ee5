"""Sweeps: which settings they have, and that DVC runs each once, whatever happens in between."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, Repository

from experiments import sweep
from stages import command
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
    [
        ({"label_sets.lr": "all"}, "label_sets.lr: 'all': should be a valid list"),
        ({"percentile": 130}, "percentile: 130: should be less"),
        ({"data.colour": 1}, "data.colour: is not a known"),
    ],
)
def test_a_bad_setting_is_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(SystemExit, match=f"experiments/sweeps.yaml: {message}"):
        sweep.check(setting)


@pytest.mark.parametrize(
    ("sweeps", "values", "message"),
    [
        ({"test": [{"label_sets.lr": "all"}]}, {}, "experiments/sweeps.yaml: test: .*label_sets.lr"),
        ({"test": None}, {}, "experiments/sweeps.yaml: test: has no settings"),
        (
            {"test": [{"clusters": [5]}]},
            {"label_sets.lr": "all"},
            "params.yaml: label_sets.lr: 'all': should be a valid list",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_before_any_run(
    sweeps: object, values: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied(tmp_path, "folder", sweeps))
    Repository(Path.cwd()).configure(values)
    monkeypatch.setattr(command, "ROOT", Path.cwd())
    monkeypatch.setattr("sys.argv", ["sweep", "test"])
    with pytest.raises(SystemExit, match=message) as end:
        sweep.main()
    assert "\n" not in str(end.value.code)


IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org")


def copied(folder: Path, name: str, sweeps: object) -> Path:
    """A git repository with the files that a sweep reads."""
    (folder / name / "experiments").mkdir(parents=True)
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(PROJECT / file, folder / name)
    (folder / name / sweep.SWEEPS).write_text(json.dumps(sweeps), encoding="utf-8")
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "Start"]):
        subprocess.run(["git", *IDENTITY, *arguments], cwd=folder / name, check=True)
    return folder / name


@pytest.mark.parametrize(
    ("name", "git", "message"),
    [
        ("été", True, "été: DVC runs a sweep only where the path is ASCII: clone the repository elsewhere"),
        ("zip", False, "zip: not a git repository"),
    ],
)
def test_a_folder_where_dvc_cannot_run_a_sweep_is_one_line(
    name: str, git: bool, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied(tmp_path, name, {"test": [{"clusters": [5]}]}))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    if not git:
        shutil.rmtree(".git")
    monkeypatch.setattr(command, "ROOT", Path.cwd())
    monkeypatch.setattr("sys.argv", ["sweep", "test"])
    with pytest.raises(SystemExit) as end:
        sweep.main()
    assert message in str(end.value.code)
    assert "\n" not in str(end.value.code)


def test_a_sweep_that_is_stopped_says_how_to_go_on(tmp_path: Path) -> None:
    """With a `dvc` that starts a stage, and tidies up after that has ended; only the sweep gets the signal."""
    root = copied(tmp_path, "root", {"test": [{"clusters": [5, 6]}]})
    shutil.copytree(PROJECT / "stages", root / "stages")
    for module in ("sweep", "repository"):
        shutil.copy(PROJECT / f"experiments/{module}.py", root / "experiments")
    (tmp_path / "bin").mkdir()
    dvc = tmp_path / "bin/dvc"
    dvc.write_text(FAKE_DVC.format(python=sys.executable), encoding="utf-8")
    dvc.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.sweep", "test"],
        cwd=root,
        env=os.environ | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    assert process.stdout
    said = [next(process.stdout) for _ in range(3)]
    assert said[-1] == "stage\n"
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=30)[0].splitlines()
    assert rest == ["tidied", "stopped; what is done is kept: `make sweep NAME=test` runs the rest"]
    assert process.returncode == 1


FAKE_DVC = """#!{python}
import signal, subprocess, sys
if "list" not in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    subprocess.run([sys.executable, "-c", "import time; print('stage', flush=True); time.sleep(60)"])
    print("tidied", flush=True)
"""


ONE_STAGE = """
stages:
  buy:
    cmd: test ${clusters} -le 300 && mkdir -p data && echo ${clusters} > data/bought
    params: [clusters, label_sets]
    outs: [data/bought]
"""


def test_a_sweep_goes_on_after_a_failure(new_repository: Callable[[Path], Repository], tmp_path: Path) -> None:
    """More clusters than images: such a setting fails in its stage, and the others still run.

    One stage in place of the pipeline, so that no time goes into training; all else is the project's, and DVC's own.
    """
    repository = new_repository(tmp_path / "repository")
    (repository.folder / "dvc.yaml").write_text(ONE_STAGE, encoding="utf-8")
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
