"""Time the whole pipeline from nothing, and again from the cache: `python -m benchmarks.pipeline`.

Runs the last commit in a clone of its own with an empty cache, so that the work tree is left alone. Writes to
metrics/benchmarks.json.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.results import record
from stages import files


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        row = measure(Path(folder))
    record("pipeline", [row], [row])
    print_table([row])


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title="dvc repro, default parameters")
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{value:.2f}" for value in row.values()))
    Console(width=120).print(table)


def measure(folder: Path) -> dict[str, Any]:
    """Clone, run cold, run again. The peak is that of the largest stage; core seconds do not depend on other load."""
    clone, state = folder / "clone", folder / "state"
    subprocess.run(["git", "clone", "--quiet", ".", clone], check=True)
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(state)}
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        subprocess.run(["dvc", "repro", "--quiet"], cwd=clone, env=environment, check=True)
        seconds.append(time.perf_counter() - start)
    spent = os.times()
    costs = [files.load_json(path) for path in (clone / "data/costs").iterdir()]
    cache = sum(path.stat().st_size for path in (clone / ".dvc/cache").rglob("*") if path.is_file())
    return {
        "cold_seconds": seconds[0],
        "cached_seconds": seconds[1],
        "core_seconds": spent.children_user + spent.children_system,
        "peak_memory_gib": max(cost["peak_memory_gib"] for cost in costs),
        "cache_gib": cache / 2**30,
    }


if __name__ == "__main__":
    main()
