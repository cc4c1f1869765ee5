"""The commands of experiments/ find the project, or say in one line what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

from experiments import repository


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is no git repository yet, as a zip of the source is."""
    folder = tmp_path / "project"
    (folder / "docs").mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(folder)
    return folder


def git(*command: str) -> None:
    settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *settings, *command], check=True, capture_output=True)


def refusal() -> str:
    with pytest.raises(SystemExit) as stopped:
        repository.enter_root()
    line = str(stopped.value)
    assert "\n" not in line
    return line


def test_outside_a_repository_one_line_names_the_remedy(project: Path) -> None:
    assert "project: not a git repository" in refusal()
    assert "git init && git add --all && git commit" in refusal()
    git("init", "--quiet")
    assert "does not have any commits yet" in refusal()
    git("add", "--all")
    git("commit", "--quiet", "--message", "Start")
    assert repository.enter_root() == project


def test_the_repository_of_something_else_is_not_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a zip of the source lies in a home directory that is a repository."""
    home = project.parent
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(home.parent))
    subprocess.run(["git", "init", "--quiet", str(home)], check=True)
    assert f"{home}: the git repository here is not this project's; clone it" in refusal()


def test_without_git_one_line_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project))
    assert refusal().startswith("git: not found")


def test_from_a_folder_in_it_the_root_is_entered(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Start")
    monkeypatch.chdir(project / "docs")
    assert repository.enter_root() == Path.cwd() == project


@pytest.mark.parametrize("module", ["report", "compare"])
def test_a_command_outside_a_repository_ends_without_a_traceback(project: Path, module: str) -> None:
    command = [sys.executable, "-m", f"experiments.{module}"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "not a git repository" in done.stderr
