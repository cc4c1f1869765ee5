"""Label the pictures of a folder with a saved model: read as in the training, some at a time."""

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from labelling import models
from stages import files, picture_files, reading

HEADING = ("file", "label", "confidence", "reason")
CHUNK = 512
"""Pictures that are predicted at a time."""


def run(folder: Path, model: Path, output: Path | None) -> None:
    """Write a row for each file, then say how many are of each class.

    Raises
    ------
    SystemExit
        With one line, if the model cannot be loaded, there is no such folder, or no picture in it can be read.
    """
    loaded = models.load(model)
    if not folder.is_dir():
        raise SystemExit(f"{folder}: there is no such folder")
    names = sorted(name for name in picture_files.found(folder) if name != picture_files.LABELS)
    if not names:
        raise SystemExit(f"{folder}: no picture is in it")
    counts: Counter[str] = Counter()
    with ExitStack() as opened:
        stream: Any = sys.stdout
        if output:
            partial = opened.enter_context(files.atomic_write(output))
            stream = opened.enter_context(partial.open("w", newline="", encoding="utf-8"))
        table = csv.DictWriter(stream, HEADING, lineterminator="\n")
        table.writeheader()
        for row in labelled(folder, names, loaded):
            table.writerow(row)
            counts[row["label"]] += 1
        if counts.keys() == {""}:
            raise SystemExit(f"{folder}: none of {len(names):,} files could be read as a picture")
    _print_summary(counts)


def labelled(folder: Path, names: list[str], model: models.Model) -> Iterator[dict[str, str]]:
    """Yield a row for each file: the likeliest class and its probability, or why it could not be read."""
    usable = [name for name in names if not picture_files.unusable(name)]
    for name in names:
        reason = picture_files.unusable(name)
        if reason:
            yield dict.fromkeys(HEADING, "") | {"file": picture_files.shown(name), "reason": reason}
    pixels = reading.read_all(folder, usable, model.image_shape, model.fit)
    for start in range(0, len(usable), CHUNK):
        chunk = usable[start : start + CHUNK]
        rows = list(islice(pixels, len(chunk)))
        readable = [row for row in rows if isinstance(row, np.ndarray)]
        predicted = iter(_predicted(np.stack(readable), model) if readable else [])
        for name, row in zip(chunk, rows, strict=True):
            found = next(predicted) if isinstance(row, np.ndarray) else {"reason": str(row)}
            yield dict.fromkeys(HEADING, "") | {"file": name} | found


def _predicted(images: Any, model: models.Model) -> list[dict[str, str]]:
    try:
        probabilities = model.classifier.predict_proba(images)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    labels = model.classifier.classes_[probabilities.argmax(axis=1)]
    return [
        {"label": model.classes[label], "confidence": f"{sure:.4f}"}
        for label, sure in zip(labels, probabilities.max(axis=1), strict=True)
    ]


def _print_summary(counts: Counter[str]) -> None:
    table = Table("class", "pictures")
    for label, count in counts.most_common():
        table.add_row(label or "could not be read", f"{count:,}")
    Console(stderr=True).print(table)
