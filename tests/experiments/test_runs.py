"""Reading runs: a run counts with the scores of its own parameters, or is named as left out."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dvc.api
import pytest
import yaml
from conftest import Repository
from dvc.repo import Repo, lock_repo

from experiments import runs

STAGES = {
    "flatten": {
        "cmd": "mkdir -p data/flat && cp images data/flat/images",
        "deps": ["images"],
        "outs": ["data/flat/images"],
    },
    "kmeans": {
        "cmd": "cp params.yaml data/clusters",
        "deps": ["data/flat/images"],
        "params": ["clusters"],
        "outs": ["data/clusters"],
    },
    "train": {
        "cmd": "mkdir -p data/predictions/lr && cp params.yaml data/predictions/lr/all.npz",
        "deps": ["data/clusters"],
        "params": ["alpha"],
        "outs": ["data/predictions/lr/all.npz"],
    },
    "other": {"cmd": "cp params.yaml data/other", "params": ["seed"], "outs": ["data/other"]},
    "evaluate": {
        "cmd": f"{sys.executable} evaluate.py",
        "deps": ["data/clusters", "data/predictions"],
        "params": ["percentile"],
        "metrics": [{"metrics/details.json": {"cache": False}}],
    },
}
EVALUATE = """
import json, pathlib, yaml
values = yaml.safe_load(open("params.yaml"))
pathlib.Path("metrics").mkdir(exist_ok=True)
scores = {"kmeans": {"purity": 0.5}, "run": {"clusters": values["clusters"]}}
pathlib.Path("metrics/details.json").write_text(json.dumps(scores))
"""
VALUES = {"clusters": 2, "percentile": 30, "seed": 1, "alpha": 1, "data": {"source": "idx", "folder": "images/mine"}}


def configure(**changes: object) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(VALUES | changes), encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A graph of four stages that copy files, after a run that is committed, and experiments of each kind."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder / "repository", patch)
        Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}), encoding="utf-8")
        Path("evaluate.py").write_text(EVALUATE, encoding="utf-8")
        Path("images").write_text("some", encoding="utf-8")
        Path(".gitignore").write_text("/data/\n", encoding="utf-8")  # or DVC writes one beside each output
        configure()
        Repo.init().reproduce()
        git("add", "--all")
        git("commit", "--quiet", "--message", "A run")

        for name, target, change in [
            ("whole", None, "clusters=3"),
            ("early", "kmeans", "clusters=4"),
            ("unscored", "kmeans", "percentile=50"),
            ("needless", "flatten", "seed=9"),
            ("trained", "train", "alpha=2"),
        ]:
            Repo().experiments.run(name=name, targets=target, params=[change])
            git("checkout", "--quiet", ".")
        configure(clusters=6)
        dvc.api.exp_save("asserted")
        git("checkout", "--quiet", ".")
        Repo().checkout()
        Repo().experiments.run(queue=True, name="waiting", params=["clusters=5"])
        yield folder / "repository"


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Make a repository of git, without this machine's settings, and go there."""
    for name, value in Repository(folder)._environment().items():
        patch.setenv(name, value)
    folder.mkdir()
    patch.chdir(folder)
    git("init", "--quiet")
    git("config", "user.name", "Test")
    git("config", "user.email", "test@example.org")


def git(*command: str) -> None:
    subprocess.run(["git", *command], check=True)


def test_only_runs_with_scores_of_their_own_count(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All have metrics/details.json of the commit that they started from; what evaluate does not need may be old.

    `dvc exp save` writes dvc.lock as if every stage had run with what is there.
    """
    monkeypatch.chdir(made)
    found, left_out = runs.read_all(workspace=True)
    assert [run.name for run in found[:2]] == ["workspace", "HEAD"]
    assert {run.name: run.parameters["clusters"] for run in found[2:]} == {"whole": 3, "needless": 2}
    assert {run.name: run.scores["run"]["clusters"] for run in found[2:]} == {"whole": 3, "needless": 2}
    reasons = {
        "asserted": "its scores are of clusters 2, its params.yaml has 6",
        "early": "stage evaluate did not run with its data/clusters, so its scores are not of its own parameters",
        "trained": "stage evaluate did not run with its data/predictions, so its scores are not of its own parameters",
        "unscored": "stage evaluate did not run with its percentile, so its scores are not of its own parameters",
    }
    assert sorted(left_out) == [f"{name}: left out: {reason}" for name, reason in reasons.items()]


def test_only_commits_with_experiments_are_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while another command of DVC is at work, and holds the lock."""
    monkeypatch.chdir(made)
    asked: list[list[str]] = []
    show = dvc.api.exp_show
    monkeypatch.setattr(dvc.api, "exp_show", lambda revs: asked.append(revs) or show(revs=revs))
    with Repo() as repo:
        first = repo.scm.resolve_rev("HEAD")
        git("commit", "--quiet", "--allow-empty", "--message", "Nothing")
        try:
            last = repo.scm.resolve_rev("HEAD")
            repo.experiments.run(name="later", params=["clusters=7"])
            git("checkout", "--quiet", ".")
            git("commit", "--quiet", "--allow-empty", "--message", "Nothing again")
            with lock_repo(repo):
                found, _ = runs.read_all()
        finally:
            git("reset", "--quiet", first)
            git("checkout", "--quiet", ".")
            repo.checkout()
        repo.experiments.remove(["later"], rev=last)
    assert asked == [[last, first]]
    assert [run.name for run in found[:2]] == ["HEAD", "later"]
    assert {run.name for run in found[2:]} == {"whole", "needless"}


@pytest.mark.parametrize("committed", [True, False])
def test_without_experiments_none_is_asked_for(
    committed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path / "repository", monkeypatch)
    Repo.init()
    if committed:
        git("commit", "--quiet", "--message", "Nothing")
    monkeypatch.setattr(dvc.api, "exp_show", lambda **_: pytest.fail("each commit is read"))
    found, left_out = runs.read_all()
    assert not found
    assert [line.split(":")[0] for line in left_out] == ["HEAD"]


def test_a_workspace_whose_parameters_changed_is_left_out(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    try:
        configure(clusters=7)
        with pytest.raises(ValueError, match="stage kmeans did not run with its clusters, so"):
            runs.read("workspace")
    finally:
        configure()
    assert runs.read("workspace").parameters == VALUES


def test_other_images_have_another_name(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    name = runs.read("HEAD", "HEAD").images
    assert re.fullmatch("mine [0-9a-f]{8}", name)
    lock, before = Path("dvc.lock"), Path("dvc.lock").read_text(encoding="utf-8")
    values = yaml.safe_load(before)
    md5 = values["stages"]["flatten"]["outs"][0]["md5"]
    try:
        lock.write_text(before.replace(md5, "f" * 32), encoding="utf-8")
        assert runs.read("workspace").images != name
    finally:
        lock.write_text(before, encoding="utf-8")
    assert runs.read("workspace").images == name


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"details": {"kmeans": 1}, "metrics": {"accuracy": 2}}, {"kmeans": 1}),
        ({"metrics": {"kmeans": 3}}, {"kmeans": 3}),
        ({"metrics": {"accuracy": 2}}, None),
        ({}, None),
    ],
    ids=["today", "before there were details", "details lost", "nothing"],
)
def test_scores_are_found_where_a_run_wrote_them(tmp_path: Path, texts: dict[str, object], found: object) -> None:
    (tmp_path / "metrics").mkdir()
    for name, content in texts.items():
        (tmp_path / f"metrics/{name}.json").write_text(json.dumps(content), encoding="utf-8")
    assert runs.scores(lambda path: (tmp_path / path).read_text(encoding="utf-8")) == found
