"""Measure how far a student depends on the rounding of numbers: `python -m benchmarks.rounding`, some ten minutes.

Another processor rounds the last bits of a sum differently, and thousands of gradient steps enlarge the difference. A
change of the soft labels by a millionth has the same effect, and stands for it here: the student of params.yaml is
trained five times on one seed, each time on soft labels that are changed so. Their answers are scored one by one, and
averaged in pairs. The ten pairs share five answers, so their standard deviation is only a rough one. After `dvc repro
propagate`. Writes to metrics/benchmarks.json.
"""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tqdm import trange

from benchmarks.results import mean_and_sd, percent, record
from fewlabels.arrays import Floats
from fewlabels.label_set import LabelSet
from stages import command, files, inputs, label_sets, params, ridge, students

REPEATS = 5
ROUNDING = 1e-6


def main() -> None:
    settings, soft = params.load(), label_sets.load("propagated_soft")
    truth = files.load_array(inputs.FLAT / "test_labels.npy")
    answers = [answer(settings, rounded(soft, repeat)) for repeat in trange(REPEATS, desc="repeats", disable=None)]
    rows = summary(answers, truth)
    record("rounding", rows, [{"repeat": at, "accuracy": _accuracy(one, truth)} for at, one in enumerate(answers)])
    print_table(rows)


def rounded(soft: LabelSet, repeat: int) -> LabelSet:
    """Change each probability by a millionth of its value at most, with a seed; bought labels stay certain."""
    given = np.asarray(soft.probabilities)
    noise = np.random.default_rng(repeat).uniform(-ROUNDING, ROUNDING, given.shape)
    changed = np.asarray(given * (1 + noise), np.float32)
    changed[soft.bought] = given[soft.bought]
    return replace(soft, probabilities=changed)


def answer(settings: params.Params, soft: LabelSet) -> Floats:
    """Train the student of params.yaml and ask it about the test images."""
    from fewlabels.networks.student import train_student

    n_classes = len(inputs.class_names())
    student = train_student(
        np.asarray(inputs.images("train")),
        soft,
        ridge.untrained(settings, n_classes),
        image_shape=settings.data.image_shape,
        n_classes=n_classes,
        settings=students.settings(settings.network),
        seed=settings.seed,
    )
    probabilities: Floats = student.predict_proba(np.asarray(inputs.images("test")))
    return probabilities


def summary(answers: list[Floats], truth: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Compare the accuracies of single answers with those of the means of two."""
    pairs: list[Floats] = [np.mean(pair, axis=0, dtype=np.float32) for pair in combinations(answers, 2)]
    rows = []
    for what, found in (("one student", answers), ("mean of two students", pairs)):
        scores = [_accuracy(one, truth) for one in found]
        ends = {"least": min(scores), "most": max(scores)}
        rows.append({"what": what, "count": len(scores), "accuracy": mean_and_sd(scores)} | ends)
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of the section of metrics/benchmarks.json."""
    table = Table(title="One seed, other rounding: test accuracy in %")
    table.add_column("answer")
    for heading in ("how many", "mean and deviation", "least", "most"):
        table.add_column(heading, justify="right")
    for row in rows:
        ends = (f"{100 * row[end]:.2f}" for end in ("least", "most"))
        table.add_row(row["what"], str(row["count"]), percent(row["accuracy"]), *ends)
    Console(width=120).print(table)


def _accuracy(probabilities: Floats, truth: NDArray[np.uint8]) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == truth))


if __name__ == "__main__":
    command.run(main)
