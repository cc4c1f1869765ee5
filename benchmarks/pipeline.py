"""Time the whole pipeline and each stage of it from nothing, and again from the cache: `python -m benchmarks.pipeline`.

Runs a commit, the last one if none is named, in a clone of its own with an empty cache, so that the work tree is left
alone. Several, `python -m benchmarks.pipeline HEAD~3 HEAD HEAD~3 HEAD`, take turns, and their label sets are compared
with those of the first: how many are equal to the last byte, and in how many images soft labels have another likeliest
class. Written to metrics/benchmarks.json.
"""

import argparse
import io
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from benchmarks.results import record
from experiments import sweep
from stages import files

RUNNING = re.compile(r"Running stage '(.+)':")
"""What DVC prints before a stage."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*", default=["HEAD"], metavar="COMMIT")
    rows: list[dict[str, Any]] = []
    first: dict[str, bytes] = {}
    for commit in parser.parse_args().commits:
        with tempfile.TemporaryDirectory() as folder:
            row, stages, label_sets = measure(Path(folder), commit)
        first = first or label_sets
        rows.append(row | {"label_sets": compared(first, label_sets)})
        print_table(rows)
        print_stages(stages)
    record("pipeline", rows, [rows[-1] | {"stages": stages}])


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title="dvc repro, default parameters")
    figures = [name for name in rows[0] if name not in ("commit", "label_sets")]
    for heading in ("commit", *figures, *rows[0]["label_sets"]):
        table.add_column("\n".join(heading.split("_")), justify="right" if heading != "commit" else "left")
    for row in rows:
        shown = (f"{row[name]:.2f}" for name in figures)
        table.add_row(row["commit"], *shown, *map(str, row["label_sets"].values()))
    Console(width=120).print(table)


def compared(first: dict[str, bytes], label_sets: dict[str, bytes]) -> dict[str, Any]:
    """Compare the files of the label sets of two runs."""
    equal = sum(first.get(name) == content for name, content in label_sets.items())
    found: dict[str, Any] = {"equal_label_sets": f"{equal} of {len(first)}"}
    labels = [np.load(io.BytesIO(one["propagated_soft"]))["labels"] for one in (first, label_sets)]
    other = np.count_nonzero(np.not_equal(*labels)) if len(labels[0]) == len(labels[1]) else max(map(len, labels))
    return found | {"other_soft_labels": int(other)}


def print_stages(rows: list[dict[str, Any]]) -> None:
    """Print how long each stage has taken, as a bar, too."""
    longest = max(row["seconds"] for row in rows)
    table = Table(title="dvc repro, default parameters: seconds of each stage")
    for heading in ("stage", "seconds", ""):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for row in rows:
        table.add_row(row["stage"], f"{row['seconds']:.1f}", Bar(longest, 0, row["seconds"], width=60))
    Console(width=120).print(table)


def measure(folder: Path, commit: str) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, bytes]]:
    """Clone, run cold, run again; give the whole, the seconds of each stage of the first run, and its label sets.

    The peak is that of the largest stage; core seconds do not depend on other load.
    """
    clone, state = cloned(folder), folder / "state"
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=clone, check=True)
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(state)}
    before = os.times()
    start = time.perf_counter()
    stages = _run(clone, environment)
    cold = time.perf_counter() - start
    _run(clone, environment)
    cached = time.perf_counter() - start - cold
    spent = os.times()
    cache = sum(path.stat().st_size for path in (clone / ".dvc/cache").rglob("*") if path.is_file())
    row: dict[str, Any] = {
        "commit": _short_name(clone),
        "cold_seconds": cold,
        "cached_seconds": cached,
        "core_seconds": core_seconds(before, spent),
        "peak_memory_gib": largest_peak(clone),
        "cache_gib": cache / 2**30,
    }
    return row, stages, {path.stem: path.read_bytes() for path in sorted((clone / "data/labels").glob("*.npz"))}


def cloned(folder: Path, parameters: Mapping[str, Any] = MappingProxyType({})) -> Path:
    """Clone the last commit of this repository into a folder, and change parameters by their dotted names."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", ".", clone], check=True)
    change(clone / "params.yaml", parameters)
    return clone


def change(path: Path, parameters: Mapping[str, Any]) -> None:
    """Change parameters in a params.yaml by their dotted names; of none the file stays as it is."""
    if not parameters:
        return
    yaml = YAML()
    values = yaml.load(path)
    for name, value in parameters.items():
        sweep.put(values, name, value)
    yaml.dump(values, path)


def largest_peak(clone: Path) -> float:
    """Find the peak memory of the largest stage of the last run, in GiB."""
    costs = (files.load_json(path) for path in (clone / "data/costs").iterdir())
    return max(float(cost["peak_memory_gib"]) for cost in costs)


def core_seconds(before: os.times_result, after: os.times_result) -> float:
    """Count the CPU seconds of the processes that were started and have ended between two looks."""
    return after.children_user - before.children_user + after.children_system - before.children_system


def _short_name(clone: Path) -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=clone, check=True, capture_output=True, encoding="utf-8").stdout.strip()


def _run(clone: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    """Run the pipeline; a stage lasts until DVC runs the next one, or ends."""
    started: list[tuple[str, float]] = []
    with subprocess.Popen(
        ["dvc", "repro"], cwd=clone, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        for line in process.stdout or ():
            found = RUNNING.match(line)
            if found:
                started.append((found[1], time.perf_counter()))
    if process.returncode:
        raise SystemExit(f"dvc repro ended with {process.returncode}")
    ended = ("", time.perf_counter())
    return [{"stage": stage, "seconds": end - start} for (stage, start), (_, end) in pairwise([*started, ended])]


if __name__ == "__main__":
    main()
