"""Run `dvc repro` in a clone of this repository, so that the work tree is left alone, and count what it takes."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from experiments import sweep


class Spent(NamedTuple):
    """What a run took: core seconds do not depend on other load, and the peak is that of its largest process.

    As Linux counts, each process begins with the memory of the one that started it: the peak is never below ours.
    """

    seconds: float
    core_seconds: float
    peak_memory_gib: float


def cloned(folder: Path, parameters: Mapping[str, Any] | None = None, *, commit: str = "HEAD") -> Path:
    """Clone a commit of this repository into a folder, and change parameters there by their dotted names.

    SystemExit, with one line, if there is no such commit or parameter.
    """
    clone, name = folder / "clone", commit_name(commit)
    subprocess.run(["git", "clone", "--quiet", ".", clone], check=True)
    subprocess.run(["git", "checkout", "--quiet", name], cwd=clone, check=True)
    if parameters:
        change(clone / "params.yaml", parameters)
    return clone


def commit_name(commit: str) -> str:
    """Give the short name of a commit; SystemExit, with one line, if there is none."""
    command = ["git", "rev-parse", "--verify", "--quiet", "--short", f"{commit}^{{commit}}"]
    found = subprocess.run(command, capture_output=True, encoding="utf-8")
    if found.returncode:
        raise SystemExit(f"{commit}: no such commit")
    return found.stdout.strip()


def change(path: Path, parameters: Mapping[str, Any]) -> None:
    """Change parameters in a params.yaml by their dotted names; SystemExit, with one line, if it has none of a name."""
    yaml = YAML()
    values = yaml.load(path)
    for name, value in parameters.items():
        try:
            sweep.put(values, name, value)
        except (KeyError, TypeError):
            raise SystemExit(f"params.yaml: there is no {name}") from None
    yaml.dump(values, path)


def _shown(line: str) -> None:
    print(line, end="", flush=True)


def repro(clone: Path, *stages: str, each_line: Callable[[str], object] = _shown) -> Spent:
    """Run stages, all if none is named, with a state of their own; `each_line` is given what DVC and stages print.

    SystemExit, with one line, if a stage fails.
    """
    # Workers of a Dask cluster import what the clone has, and not what is installed.
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(clone.parent / "state"), "PYTHONPATH": str(clone)}
    start = time.perf_counter()
    process = subprocess.Popen(
        ["dvc", "repro", *stages], cwd=clone, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    )
    with process:
        try:
            for line in process.stdout or ():
                each_line(line)
        except KeyboardInterrupt:
            process.communicate()  # DVC has it, too, and waits for its stage: until then they print and write
            raise
        # Of the process and of all that it has waited for: the time is their sum, the peak that of the largest.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"dvc repro ended with {process.returncode}")
    seconds = time.perf_counter() - start
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)
