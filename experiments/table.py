"""Print the last run as one table, the study's figures beside ours: `python -m experiments.table`."""

import csv
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from stages import command, files
from stages.registry import CLASSIFIERS

DETAILS = Path("metrics/details.json")
PUBLISHED = Path("experiments/published.csv")


def main() -> None:
    if not DETAILS.is_file():
        raise SystemExit(f"{DETAILS} is not there yet: `make repro` writes it")
    show(files.load_json(DETAILS))


def show(details: dict[str, Any]) -> None:
    """Print one row for each label set: its labels, its purity, and the test accuracy of every classifier on it.

    Parameters
    ----------
    details : dict
        The content of metrics/details.json.
    """
    run, label_sets = details["run"], details["label_sets"]
    published = _published(run)
    trained = [name for name in CLASSIFIERS if details[name]]
    compared = [name for name in trained if any((name, label_set) in published for label_set in details[name])]
    title = f"{run['clusters']:,} clusters, percentile {run['percentile']:g}"
    audited = run.get("audit_images", 0)
    if not run["test_images"] and not audited:
        _show_without_test(details, title)
        return
    judge = f"accuracy on the {audited:,} pictures of the audit, with its 95 % interval" if audited else "test accuracy"
    table = Table(title=f"{title}: {judge}, %")
    table.add_column("label set", no_wrap=True)
    for heading in ("bought", "rows", "purity"):
        table.add_column(heading, justify="right")
    for name in trained:
        table.add_column(CLASSIFIERS[name].heading, justify="right")
        if name in compared:
            table.add_column(f"{CLASSIFIERS[name].heading}, study", justify="right")
    for label_set, scores in label_sets.items():
        purity = "" if scores["purity"] is None else f"{scores['purity']:.3f}"
        cells = [label_set, f"{scores['bought']:,}", f"{scores['rows']:,}", purity]
        for name in trained:
            ours = details[name].get(label_set)
            cells.append(_accuracy(ours) if ours else "")
            if name in compared:
                theirs = published.get((name, label_set))
                cells.append("" if theirs is None else f"{100 * theirs:.2f}")
        table.add_row(*cells)
    Console(width=120, file=sys.stdout).print(table)
    collapsed = [label_set for name in trained for label_set, ours in details[name].items() if ours.get("collapsed")]
    if collapsed:
        print(f"* a collapsed network, which predicts one class for every image: {', '.join(collapsed)}")
    _name_untrained(details)


def _accuracy(scores: dict[str, Any]) -> str:
    interval = f" ({100 * scores['low']:.1f} to {100 * scores['high']:.1f})" if "low" in scores else ""
    star = "*" if scores.get("collapsed") else ""
    return f"{100 * scores['accuracy']:.2f}{star}{interval}"


def _show_without_test(details: dict[str, Any], title: str) -> None:
    """Print what is known without test images: bought labels predicted when left out, and how sure the models are."""
    table = Table(title=f"{title}: no test images")
    table.add_column("model", no_wrap=True)
    for heading in ("bought", "rows", "accuracy on labels left out, %", "mean confidence, %", "at least 90 % sure, %"):
        table.add_column(heading, justify="right")
    for name, entry in CLASSIFIERS.items():
        for label_set, scores in details[name].items():
            sizes = details["label_sets"][label_set]
            shares = [
                scores.get("leave_one_out_accuracy"),
                scores["mean_confidence"],
                scores["coverage_above"].get("0.9"),
            ]
            cells = ["" if share is None else f"{100 * share:.2f}" for share in shares]
            table.add_row(f"{entry.heading} on {label_set}", f"{sizes['bought']:,}", f"{sizes['rows']:,}", *cells)
    Console(width=120, file=sys.stdout).print(table)
    print("Pictures that were chosen because the model was uncertain are harder than the pile: on that, it is better.")
    _name_untrained(details)


def _name_untrained(details: dict[str, Any]) -> None:
    for model, reason in details["untrained"].items():
        print(f"{model} is left out, it cannot be trained: {reason}")


def _published(run: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Read the study's accuracies for a run's parameters; an empty column means that a parameter does not matter."""
    if not run["fashion_mnist"]:
        return {}
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        return {
            (row["model"], row["label_set"]): float(row["accuracy"])
            for row in csv.DictReader(file)
            if row["clusters"] in ("", str(run["clusters"])) and row["percentile"] in ("", f"{run['percentile']:g}")
        }


if __name__ == "__main__":
    command.run(main)
