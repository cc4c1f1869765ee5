"""Compare the workspace, the last commit and all experiments in one table: `python -m experiments.compare`.

`dvc exp show` heads a column with the whole path of its figure on one line, so that its table is several hundred
characters wide. Here a heading is broken over lines, only parameters in which the shown runs differ have a column, and
figures that are the same in all runs stand below the table if it would not fit otherwise.
"""

import json
import shutil
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from experiments import repository, results
from experiments.runs import Run, read_all
from stages import command
from stages.registry import CLASSIFIERS, LABEL_SETS

WIDTH = 160
"""Characters in a line of what is no terminal, such as a file."""
FIGURES = {"accuracy": "", "leave_one_out_accuracy": "left out:", "mean_confidence": "sure:"}
"""The figures of a model and what stands before its name; the latter two are those of runs without test images."""
GAP = 2
"""Characters between two columns."""


def main() -> None:
    repository.enter_root()
    runs, left_out = read_all(workspace=True)
    width = shutil.get_terminal_size((WIDTH, 0)).columns
    console = Console(width=width, highlight=False, markup=False)
    if runs:
        names = [run.name for run in runs]
        blocks, below = fitted(names, parameters(runs), figures(runs), width)
        for block in blocks:
            table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False)
            table.add_column("run", no_wrap=True)
            for heading in block:
                table.add_column(heading, justify="right", no_wrap=True)
            for at, name in enumerate(names):
                table.add_row(name, *(cells[at] for cells in block.values()))
            console.print(table)
            console.print()
        console.print("Test accuracies and purities in %. A parameter has a column only if the runs differ in it.")
        if any(heading.startswith("sure:") for block in blocks for heading in block):
            console.print(
                "Without test images: accuracy on bought labels, each left out; mean confidence over the pile."
            )
        if below:
            same = (f"{' '.join(heading.split())} {value}" for heading, value in below.items())
            console.print(f"The same in all runs: {', '.join(same)}.")
    if len(runs) + len(left_out) <= 2:
        console.print("No experiments yet: `dvc exp run -S clusters=500` makes one, `make sweep` many.")
    for line in left_out:
        console.print(line)


def parameters(runs: list[Run]) -> dict[str, list[str]]:
    """Lay out the parameters in which runs differ, as text.

    Parameters
    ----------
    runs : list of Run

    Returns
    -------
    dict of list of str
        For each heading, a cell for each run. The label sets that a model was trained on have no column, as its
        figures show them; nor have class names, as images have one.

    Examples
    --------
    >>> from experiments.compare import parameters
    >>> from experiments.runs import Run
    >>> parameters([Run(name, {"seed": 1, "clusters": n}, {}, {}, "") for name, n in (("a", 500), ("b", 1000))])
    {'clusters': ['500', '1000']}
    """
    flat = [results.recorded_parameters(run.parameters) | {"images": run.images} for run in runs]
    names = dict.fromkeys(name for values in flat for name in values if name != "data.classes")
    columns = {name.replace(".", ".\n"): [_text(values.get(name)) for values in flat] for name in names}
    return {heading: cells for heading, cells in columns.items() if len({*cells}) > 1}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def figures(runs: list[Run]) -> dict[str, list[str]]:
    """Lay out the accuracy of each model and the purity of each label set that is spread, in %.

    Parameters
    ----------
    runs : list of Run

    Returns
    -------
    dict of list of str
        For each heading, broken over lines, a cell for each run; empty where a run has no such model.

    Examples
    --------
    >>> from experiments.compare import figures
    >>> from experiments.runs import Run
    >>> scores = {"kmeans": {"purity": 0.84}, "label_sets": {}, "lr": {"random": {"accuracy": 0.8194}}}
    >>> figures([Run("a", {}, scores, {}, "")])
    {'LR\\nrandom': ['81.94'], 'purity\\nclusters': ['84.00']}
    """
    columns = {}
    for model, entry in CLASSIFIERS.items():
        for label_set, spread in LABEL_SETS.items():
            scores = [run.scores.get(model, {}).get(label_set, {}) for run in runs]
            for figure, title in FIGURES.items():
                columns[f"{title} {entry.heading} {spread.title}"] = [one.get(figure) for one in scores]
    columns["purity clusters"] = [run.scores["kmeans"]["purity"] for run in runs]
    for label_set, spread in LABEL_SETS.items():
        if spread.spread_from:
            sets = [run.scores["label_sets"].get(label_set, {}) for run in runs]
            columns[f"purity {spread.title}"] = [one.get("purity") for one in sets]
    return {
        "\n".join(heading.split()): ["" if one is None else f"{100 * one:.2f}" for one in cells]
        for heading, cells in columns.items()
        if any(one is not None for one in cells)
    }


def fitted(
    names: list[str], parameters: dict[str, list[str]], figures: dict[str, list[str]], width: int
) -> tuple[list[dict[str, list[str]]], dict[str, str]]:
    """Fit columns into a width: all of them, else those that differ, else in several tables.

    Parameters
    ----------
    names : list of str
        Of the runs.
    parameters, figures : dict of list of str
        For each heading, a cell for each run.
    width : int
        In characters.

    Returns
    -------
    list of dict
        The columns of each table, besides the names. Each has the parameters.
    dict of str
        The figures that are the same in all runs and have no column, if not all fit.

    Examples
    --------
    >>> from experiments.compare import fitted
    >>> figures = {"random": ["81.94", "80.12"], "all": ["85.37", "85.37"]}
    >>> fitted(["HEAD", "a"], {"seed": ["1", "2"]}, figures, 80)
    ([{'seed': ['1', '2'], 'random': ['81.94', '80.12'], 'all': ['85.37', '85.37']}], {})
    >>> fitted(["HEAD", "a"], {"seed": ["1", "2"]}, figures, 25)
    ([{'seed': ['1', '2'], 'random': ['81.94', '80.12']}], {'all': '85.37'})
    """
    left = width - _width("run", names) - sum(_width(*column) for column in parameters.items())
    below: dict[str, str] = {}
    if sum(_width(*column) for column in figures.items()) > left:
        same = {heading: cells[0] for heading, cells in figures.items() if len({*cells}) == 1}
        if len(same) < len(figures):
            below = same
    blocks: list[dict[str, list[str]]] = []
    room = 0
    for heading, cells in figures.items():
        if heading not in below:
            needed = _width(heading, cells)
            if needed > room or not blocks:
                blocks.append(dict(parameters))
                room = left
            blocks[-1][heading] = cells
            room -= needed
    return blocks, below


def _width(heading: str, cells: list[str]) -> int:
    return max(len(line) for line in [*heading.splitlines(), *cells]) + GAP


if __name__ == "__main__":
    command.run(main)
