"""Time the whole pipeline and each stage of it from nothing, and again from the cache: `python -m benchmarks.pipeline`.

Runs a commit, the last one if none is named, in a clone of its own with an empty cache, so that the work tree is left
alone. Several, `python -m benchmarks.pipeline HEAD~3 HEAD HEAD~3 HEAD`, take turns; what the last has taken is written
to metrics/benchmarks.json.
"""

import argparse
import os
import re
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from benchmarks.results import record
from stages import files

RUNNING = re.compile(r"Running stage '(.+)':")
"""What DVC prints before a stage."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*", default=["HEAD"], metavar="COMMIT")
    for commit in parser.parse_args().commits:
        with tempfile.TemporaryDirectory() as folder:
            row, stages = measure(Path(folder), commit)
        print(commit)
        print_table([row])
        print_stages(stages)
    record("pipeline", [row], [{**row, "stages": stages}])


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title="dvc repro, default parameters")
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{value:.2f}" for value in row.values()))
    Console(width=120).print(table)


def print_stages(rows: list[dict[str, Any]]) -> None:
    """Print how long each stage has taken, as a bar, too."""
    longest = max(row["seconds"] for row in rows)
    table = Table(title="dvc repro, default parameters: seconds of each stage")
    for heading in ("stage", "seconds", ""):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for row in rows:
        table.add_row(row["stage"], f"{row['seconds']:.1f}", Bar(longest, 0, row["seconds"], width=60))
    Console(width=120).print(table)


def measure(folder: Path, commit: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Clone, run cold, run again; give the whole, and the seconds of each stage of the first run.

    The peak is that of the largest stage; core seconds do not depend on other load.
    """
    clone, state = folder / "clone", folder / "state"
    subprocess.run(["git", "clone", "--quiet", ".", clone], check=True)
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=clone, check=True)
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(state)}
    before = os.times()
    start = time.perf_counter()
    stages = _run(clone, environment)
    cold = time.perf_counter() - start
    _run(clone, environment)
    cached = time.perf_counter() - start - cold
    spent = os.times()
    costs = [files.load_json(path) for path in (clone / "data/costs").iterdir()]
    cache = sum(path.stat().st_size for path in (clone / ".dvc/cache").rglob("*") if path.is_file())
    row = {
        "cold_seconds": cold,
        "cached_seconds": cached,
        "core_seconds": spent.children_user - before.children_user + spent.children_system - before.children_system,
        "peak_memory_gib": max(cost["peak_memory_gib"] for cost in costs),
        "cache_gib": cache / 2**30,
    }
    return row, stages


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
