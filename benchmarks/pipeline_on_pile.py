"""Run the pipeline on a pile of moved images, in memory and on two workers: `python -m benchmarks.pipeline_on_pile`.

After `dvc repro flatten` with Fashion-MNIST; `python -m benchmarks.pipeline_on_pile 100000` for fewer than a million.
The last commit is run in a clone of its own with an empty cache, with the settings that docs/scale.md has for large
piles and 1,000 labels: in one process with all in memory, then with `scheduler: local`, two workers of 1.5 GB. Accuracy
is that on Fashion-MNIST's test images. Peaks are read from Linux's /proc each second.
"""

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.alone import peak_gib
from benchmarks.pile import PILES, pile_as_idx
from benchmarks.repro import cloned, repro
from benchmarks.results import record
from stages import command, files

IMAGES, BUDGET = 1_000_000, 1_000
MEMORY, WORKERS = "in memory", "two workers"
ENGINES: dict[str, dict[str, Any]] = {
    MEMORY: {"pool.in_memory": 10**9, "engine.scheduler": None},
    WORKERS: {
        "pool.in_memory": 1_000,
        "engine.scheduler": "local",
        "engine.workers": 2,
        "engine.memory": 1.5,
    },
}
LABEL_SETS: dict[str, list[str]] = {
    "lr": [],
    "lr_distances": [],
    "nn": ["propagated_soft"],
    "ridge": ["random", "active"],
    "ensemble": ["propagated_soft"],
}
MODELS = ("ridge", "nn", "ensemble")
KINDS = {"stages.train_nn": "student", "stages.ensemble": "ensemble"}


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("images", type=int, nargs="?", default=IMAGES, metavar="N", help="how many images")
    images = parser.parse_args().images
    folder = pile_as_idx(images, PILES / str(images)).absolute()
    rows = []
    for engine in ENGINES:
        with tempfile.TemporaryDirectory() as clone:
            rows.append({"images": images, "engine": engine} | measure(Path(clone), folder, engine))
        print_table(rows)
    record("pipeline_on_pile", rows, rows, ("distributed",))


def measure(folder: Path, pile: Path, engine: str) -> dict[str, Any]:
    """Clone, run from nothing; give seconds, the largest peak of each kind of process in MiB, and accuracies."""
    clone = cloned(folder, parameters(pile, engine))
    peaks = Peaks(os.getpid())
    peaks.start()
    try:
        spent = repro(clone)
    finally:
        peaks.ended.set()
        peaks.join()
    accuracy = files.load_json(clone / "metrics/metrics.json")["accuracy"]
    return {
        "seconds": spent.seconds,
        "core_seconds": spent.core_seconds,
        "peaks_mib": peaks.found,
        "accuracy": {f"{model} on {name}": accuracy[model][name] for model in MODELS for name in LABEL_SETS[model]},
    }


def parameters(pile: Path, engine: str) -> dict[str, Any]:
    """Give the parameters for a large pile and an engine, by their dotted names."""
    return {
        "clusters": BUDGET,
        "features": "hog",
        "label_sets": LABEL_SETS,
        "data.source": "idx",
        "data.folder": str(pile),
        **ENGINES[engine],
    }


class Peaks(threading.Thread):
    """Watches the processes that a process starts: the largest peak of memory of each kind, in MiB."""

    def __init__(self, parent: int) -> None:
        super().__init__(daemon=True)
        self.parent, self.found, self.ended = parent, dict[str, float](), threading.Event()

    def run(self) -> None:
        while not self.ended.wait(1):
            try:
                processes = psutil.Process(self.parent).children(recursive=True)
            except psutil.NoSuchProcess:
                return
            for process in processes:
                try:
                    kind, peak = kind_of(process.cmdline()), 1024 * peak_gib(process.pid)
                except (psutil.Error, OSError, StopIteration):  # it has just ended
                    continue
                if kind:
                    self.found[kind] = max(peak, self.found.get(kind, 0))


def kind_of(command: list[str]) -> str:
    """Tell workers, student, ensemble and other stages apart by their command lines."""
    if any("spawn_main" in part for part in command):
        return "worker"
    module = next((part for part in command if part.startswith("stages.")), "")
    return KINDS.get(module, "other stages") if module and not command[0].endswith("sh") else ""


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    title = f"dvc repro on {rows[0]['images']:,} moved images of Fashion-MNIST, {BUDGET:,} labels"
    table = Table(title=title, padding=(0, 1, 0, 0), pad_edge=False)
    kinds = ("worker", "other stages", *KINDS.values())
    peaks, models = (f"MiB, {kind}" for kind in kinds), (f"%, {model}" for model in rows[0]["accuracy"])
    for heading in ("", "minutes", "CPU minutes", *peaks, *models):
        table.add_column("\n".join(heading.split()), justify="right" if heading else "left")
    for row in rows:
        table.add_row(
            row["engine"],
            *(f"{row[name] / 60:.1f}" for name in ("seconds", "core_seconds")),
            *(f"{row['peaks_mib'][kind]:.0f}" if kind in row["peaks_mib"] else "" for kind in kinds),
            *(f"{100 * accuracy:.2f}" for accuracy in row["accuracy"].values()),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    with command.at_root():
        main()
