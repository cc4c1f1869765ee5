"""Answers from elsewhere: labels of earlier projects, and exports of Label Studio. Reading twice adds nothing."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelling import answers, label_studio, verdicts
from labelling.answers import IMPORT, Answer
from labelling.project import Project
from stages import picture_files


def from_file(project: Project, path: Path, who: str) -> list[str]:
    """Add what a file holds to the answers.

    Parameters
    ----------
    project : Project
    path : Path
        .csv with the columns file and label, or .json, an export of Label Studio.
    who : str
        Whose answers those of a CSV file are.

    Returns
    -------
    list of str
        What was done, and a sentence for each line or task that could not be read.

    Raises
    ------
    SystemExit
        With one line, if the file cannot be read at all; then nothing is added.
    """
    if path.suffix not in (".csv", ".json"):
        raise SystemExit(f"{path}: neither a .csv file (file,label) nor a .json export of Label Studio")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SystemExit(f"{path}: it is no UTF-8") from None
    if path.suffix == ".csv":
        found, problems = from_csv(project, text, path, who)
    else:
        try:
            export = json.loads(text)
        except ValueError as error:
            raise SystemExit(f"{path}: no JSON: {error}") from None
        found, problems = from_export(project, export, str(path))
    return [added(found), *problems]


def from_csv(project: Project, text: str, path: Path, who: str) -> tuple[list[Answer], list[str]]:
    """Read labels of an earlier project: a heading with file and label, a line for each picture."""
    found, problems = [], []
    given: dict[int, int] = {}
    classes = verdicts.rows_by_name(project.classes)
    line = 1
    try:
        for line, file, label in picture_files.label_rows(path, text.splitlines()):
            where = f"{path}: line {line}"
            at, number = project.row(file), verdicts.found(label, classes)
            if at is None:
                problems.append(f"{where}: {file!r} is not among the training pictures")
            elif number is None:
                problems.append(f"{where}: {label!r} is none of the classes")
            elif given.setdefault(at, number) != number:
                problems.append(f"{where}: {file!r} is {label!r} here and {project.classes[given[at]]!r} above")
            else:
                name = project.classes[number]
                found.append(Answer(project.names[at], name, "label", who, answers.now(), 0, IMPORT))
    except csv.Error as error:
        raise SystemExit(f"{path}: after line {line}: {error}") from None
    return found, problems


def from_export(project: Project, export: Any, where: str) -> tuple[list[Answer], list[str]]:
    """Read an export of Label Studio.

    Raises
    ------
    SystemExit
        With one line, if it is none.
    """
    files = {label_studio.key_of(name): name for name in project.names}
    try:
        found, problems = label_studio.read_export(export, files, project.classes)
    except ValueError as error:
        raise SystemExit(f"{where}: {error}") from None
    return found, [f"{where}: {problem}" for problem in problems]


def added(found: Sequence[Answer]) -> str:
    """Append the answers that are not in the file yet, and say how many there were."""
    there = {_same(one) for one in answers.read()[0]}
    new = list({_same(one): one for one in found if _same(one) not in there}.values())
    if new:
        answers.append(new)
    return f"{answers.PATH}: {len(new):,} answers added, {len(found) - len(new):,} were there already"


def _same(one: Answer) -> tuple[Any, ...]:
    """Tell answers apart: those of earlier projects have no time of their own."""
    return (one.file, one.label, one.action, one.who, one.why, "" if one.why == IMPORT else one.when)
