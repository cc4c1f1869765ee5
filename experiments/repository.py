"""Where the project is: its commands run in the root of its git repository, wherever a person calls them.

`python -m experiments.repository` only says what is wrong, before `dvc repro` says it in other words.
"""

import os
import subprocess
from pathlib import Path

from stages import command

REMEDY = "clone it with git, or run `git init && git add --all && git commit --message Start` in its root"


def enter_root() -> Path:
    """Change to the root of the git repository that the working directory is in.

    Returns
    -------
    Path
        The root.

    Raises
    ------
    SystemExit
        With one line that names the remedy, if there is no git, no repository (as in a zip of the source), no commit
        in it, or another project.

    Examples
    --------
    >>> from experiments.repository import enter_root
    >>> enter_root() == Path.cwd()
    True
    """
    root = Path(git("rev-parse", "--show-toplevel"))
    if not (root / "dvc.yaml").is_file():
        raise SystemExit(f"{root}: the git repository here is not this project's; {REMEDY}")
    git("log", "-1", "--format=%H")
    os.chdir(root)
    return root


def git(*command: str) -> str:
    """Return what git prints, without the last line's end.

    Raises
    ------
    SystemExit
        With one line that names the remedy, if there is no git, or it refuses.
    """
    environment = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(["git", *command], capture_output=True, encoding="utf-8", env=environment, check=False)
    except FileNotFoundError:
        raise SystemExit("git: not found; DVC keeps its experiments in a git repository: install git") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()[0].removeprefix("fatal: ")
        raise SystemExit(f"{Path.cwd()}: {said}; DVC keeps its experiments in a git repository: {REMEDY}")
    return done.stdout.removesuffix("\n")


if __name__ == "__main__":
    command.run(enter_root)
