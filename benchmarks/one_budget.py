"""Time what one label budget takes: `python -m benchmarks.one_budget`, some twenty minutes.

The last commit is cloned, its features, neighbours and clusters are computed, and then the rest is timed: choosing and
spreading 2,000 labels, training and scoring, in the default setting and in the strongest of the sweep `budgets`; and
the network of the sweep `everything`, on all labels. One seed each. Before them the whole pipeline is timed, as it is
in params.yaml and with nothing computed: machines differ, and the times are compared with that. Writes to
metrics/benchmarks.json after each setting.
"""

import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.repro import cloned, repro
from benchmarks.results import record
from experiments import sweep
from stages import command, files

BUDGET, EVERY = 2000, 60_000
WHOLE = "whole pipeline"
COMPUTED_BEFORE = ("describe", "kmeans")


def main() -> None:
    rows = []
    for name, setting in settings(sweep.read(sweep.SWEEPS)).items():
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"setting": name} | measure(Path(folder), setting))
        print_table(rows)
        record("one_budget", rows, rows)


def settings(sweeps: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take the settings from the sweeps: parameters by their dotted names."""
    strongest = next(
        one
        for one in sweep.settings(sweeps["budgets"])
        if one["clusters"] == BUDGET and "network.student.networks" in one
    )
    default = {name: value for name, value in strongest.items() if not name.startswith("network.")}
    everything = sweep.settings(sweeps["everything"])[0]
    return {WHOLE: {}, "default": default, "strongest": strongest, "all labels": everything}


def measure(folder: Path, setting: dict[str, Any]) -> dict[str, Any]:
    """Clone, compute what is cached, and time the rest; without a setting, all of it as params.yaml says."""
    clone = cloned(folder, setting)
    if setting:
        repro(clone, *COMPUTED_BEFORE)
    spent = repro(clone)
    accuracy = files.load_json(clone / "metrics/metrics.json")["accuracy"]
    ensemble = accuracy.get("ensemble")
    answers = ensemble or accuracy["nn"]
    return {
        "labels": BUDGET if ensemble else EVERY,
        "seed": sweep.read(clone / "params.yaml")["seed"],
        **spent._asdict(),
        "accuracy": next(iter(answers.values())),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of the section of metrics/benchmarks.json."""
    table = Table(title="One budget, features and clusters computed before, and the whole pipeline")
    [whole] = (row for row in rows if row["setting"] == WHOLE)
    table.add_column("setting")
    for heading in ("labels", "x the whole", "minutes", "CPU minutes", "peak GiB", "test accuracy, %"):
        table.add_column(heading, justify="right")
    for row in rows:
        ratio = f"{row['seconds'] / whole['seconds']:.2f}"
        minutes = (f"{row[name] / 60:.1f}" for name in ("seconds", "core_seconds"))
        others = f"{row['peak_memory_gib']:.2f}", f"{100 * row['accuracy']:.2f}"
        table.add_row(row["setting"], f"{row['labels']:,}", ratio, *minutes, *others)
    Console(width=120).print(table)


if __name__ == "__main__":
    command.run(main)
