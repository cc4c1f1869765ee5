"""Time the whole pipeline and each stage of it from nothing, and again from the cache: `python -m benchmarks.pipeline`.

Runs a commit, the last one if none is named, in a clone of its own with an empty cache, so that the work tree is left
alone. Several, `python -m benchmarks.pipeline HEAD~3 HEAD HEAD~3 HEAD`, take turns, and their label sets are compared
with those of the first: how many are equal to the last byte, and in how many images soft labels have another likeliest
class. Written to metrics/benchmarks.json after each turn.
"""

import io
import re
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from benchmarks.repro import Spent, cloned, commit_name, repro
from benchmarks.results import record
from stages import command

RUNNING = re.compile(r"Running stage '(.+)':")
"""What DVC prints before a stage."""


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("commits", nargs="*", default=["HEAD"], metavar="COMMIT")
    commits = [commit_name(commit) for commit in parser.parse_args().commits]
    rows: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    first: dict[str, bytes] = {}
    for commit in commits:
        with tempfile.TemporaryDirectory() as folder:
            row, stages, label_sets = measure(Path(folder), commit)
        first = first or label_sets
        rows.append(row | {"label_sets": compared(first, label_sets)})
        runs.append(rows[-1] | {"stages": stages})
        record("pipeline", rows, runs)
        print_table(rows)
        print_stages(stages)


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
    """Compare the files of the label sets of two runs; of soft labels, if both have them, the likeliest classes."""
    equal = sum(first.get(name) == content for name, content in label_sets.items())
    found: dict[str, Any] = {"equal_label_sets": f"{equal} of {len(first)}", "other_soft_labels": "-"}
    if not all("propagated_soft" in one for one in (first, label_sets)):
        return found
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
    """Clone, run cold, run again; give the whole, the seconds of each stage of the first run, and its label sets."""
    clone = cloned(folder, commit=commit)
    cold, stages = by_stage(clone)
    again, _ = by_stage(clone)
    cache = sum(path.stat().st_size for path in (clone / ".dvc/cache").rglob("*") if path.is_file())
    row: dict[str, Any] = {
        "commit": commit_name(commit),
        "cold_seconds": cold.seconds,
        "cached_seconds": again.seconds,
        "core_seconds": cold.core_seconds,
        "peak_memory_gib": cold.peak_memory_gib,
        "cache_gib": cache / 2**30,
    }
    return row, stages, {path.stem: path.read_bytes() for path in sorted((clone / "data/labels").glob("*.npz"))}


def by_stage(clone: Path) -> tuple[Spent, list[dict[str, Any]]]:
    """Run the pipeline; a stage lasts until DVC runs the next one, or ends."""
    started: list[tuple[str, float]] = []

    def look(line: str) -> None:
        found = RUNNING.match(line)
        if found:
            started.append((found[1], time.perf_counter()))

    spent = repro(clone, each_line=look)
    ended = ("", time.perf_counter())
    return spent, [{"stage": stage, "seconds": end - start} for (stage, start), (_, end) in pairwise([*started, ended])]


if __name__ == "__main__":
    with command.at_root():
        main()
