"""What the answers amount to: a label for each picture, by majority, or the reason why it has none.

Each person has one say for each picture, their latest. The label that most people gave counts; where two labels have as
many, the picture has none, and somebody else should be asked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelling.answers import AUDIT, IMPORT, PATH, REVIEW, Answer
from stages.picture_files import composed

SKIPPED = -1
"""In place of a label: this person could not tell."""
SHOWN = 10
"""Problems that are printed; of more, their number."""


class Say(NamedTuple):
    """The answer of one person for one picture: a class, or SKIPPED; and why and in which round it was asked for."""

    label: int
    why: str
    round: int


@dataclass(frozen=True)
class Verdict:
    """What people said of one picture.

    Attributes
    ----------
    says : dict of Say
        By person.
    audit : bool
        Whether it was asked about to judge the models: then nothing is ever trained on it, whatever was said later.
    """

    says: dict[str, Say]
    audit: bool

    @property
    def label(self) -> int | None:
        """The class that most people gave; None of a tie, or if nobody gave one."""
        return None if self.tie or not self._counts else self._counts[0][0]

    @property
    def tie(self) -> bool:
        """Whether several labels have the same number of votes, more than any other."""
        return len(self._counts) > 1 and self._counts[0][1] == self._counts[1][1]

    @property
    def skipped(self) -> bool:
        """Whether somebody could not tell, and nobody could."""
        return not self._counts and any(say.label == SKIPPED for say in self.says.values())

    @property
    def disputed(self) -> bool:
        """Whether two people gave different labels."""
        return len(self._counts) > 1

    @property
    def reviewed(self) -> bool:
        """Whether somebody has looked at it again."""
        return any(say.why == REVIEW for say in self.says.values())

    @property
    def round(self) -> int:
        """The round in which it was asked about; 0 of the audit and of earlier projects, which cost no budget."""
        return min((say.round for say in self.says.values() if say.round), default=0)

    @cached_property
    def _counts(self) -> list[tuple[int, int]]:
        """How many people gave each label, the most first."""
        return Counter(say.label for say in self.says.values() if say.label >= 0).most_common()


class Labelled(NamedTuple):
    """Labelled pictures: their rows, ascending; their labels; and the round of each, 0 for what cost no budget."""

    rows: NDArray[np.int64]
    labels: NDArray[np.uint8]
    rounds: NDArray[np.int64]

    def only(self, which: NDArray[np.bool_]) -> "Labelled":
        """Take some of them."""
        return Labelled(self.rows[which], self.labels[which], self.rounds[which])


def rows_by_name(names: Sequence[str]) -> dict[str, int]:
    """Find the row of each name, and of its form with composed characters: systems differ in how they store an ü."""
    return {composed(name): row for row, name in enumerate(names)} | {name: row for row, name in enumerate(names)}


def resolve(
    answers: Iterable[Answer], row_of: Mapping[str, int], classes: Sequence[str], path: Path = PATH
) -> tuple[dict[int, Verdict], list[str]]:
    """Find out what the answers amount to.

    Parameters
    ----------
    answers : iterable of Answer
        In the order of their lines.
    row_of : mapping of str to int
        As from `rows_by_name`.
    classes : sequence of str
    path : Path, default=PATH
        That the problems name.

    Returns
    -------
    dict of Verdict
        By row; of every picture that somebody said something of.
    list of str
        A sentence for each answer that does not count, which names its line: of a picture that is not there (any more),
        or with a label that is no class.
    """
    number_of = rows_by_name(classes)
    says: dict[int, dict[str, Say]] = {}
    audit: set[int] = set()
    problems = []
    answers = list(answers)
    for answer in answers:
        where = f"{path}: line {answer.line}: "
        row = found(answer.file, row_of)
        if row is None:
            problems.append(f"{where}{answer.file!r} is not among the training pictures (any more); its answer is kept")
        elif answer.action == "label" and found(answer.label, number_of) is None:
            problems.append(f"{where}{answer.label!r} is none of the {len(classes)} classes; its answer is kept")
        if row is not None and answer.why == AUDIT:
            audit.add(row)
    for answer in live(answers):
        row = found(answer.file, row_of)
        if row is not None:
            label = SKIPPED if answer.action == "skip" else found(answer.label, number_of)
            says.setdefault(row, {}).pop(answer.who, None)
            if label is not None:
                says[row][answer.who] = Say(label, answer.why, answer.round)
    there = sorted({row for row, one in says.items() if one} | audit)
    return {row: Verdict(says.get(row, {}), row in audit) for row in there}, problems


def found(name: str, number_of: Mapping[str, int]) -> int | None:
    """Look a name up, however its characters are composed; None if it is not there."""
    return number_of.get(name, number_of.get(composed(name)))


def live(answers: Iterable[Answer]) -> list[Answer]:
    """Take the answers that no undo has taken back, in the order in which they count.

    It is that of their times, as lines of two branches are merged in any order. What somebody knew before comes first,
    whenever it was read in.
    """
    kept: dict[tuple[str, str], list[Answer]] = {}
    order = sorted(answers, key=lambda one: (one.why != IMPORT, _time(one.when)))
    for answer in order:
        mine = kept.setdefault((answer.file, answer.who), [])
        if answer.action != "undo":
            mine.append(answer)
            continue
        undone = [place for place, one in enumerate(mine) if one.label == answer.label]
        if undone:
            del mine[undone[-1]]
    still = {id(one) for mine in kept.values() for one in mine}
    return [one for one in order if id(one) in still]


@lru_cache(maxsize=100_000)
def _time(when: str) -> datetime:
    return datetime.fromisoformat(when)


def for_training(verdicts: dict[int, Verdict], originals: NDArray[np.int64]) -> Labelled:
    """Take the labels that a model may be trained on: those of no audited picture, and of no copy of one.

    Parameters
    ----------
    verdicts : dict of Verdict
        By row.
    originals : ndarray of int64, shape (n,)
        For each picture the first one that equals it.

    Returns
    -------
    Labelled
    """
    judging = {int(originals[row]) for row, verdict in verdicts.items() if verdict.audit}
    return _labelled({row: one for row, one in verdicts.items() if int(originals[row]) not in judging})


def for_audit(verdicts: dict[int, Verdict]) -> Labelled:
    """Take the labels that models are judged by."""
    return _labelled({row: verdict for row, verdict in verdicts.items() if verdict.audit})


def report(problems: Sequence[str]) -> list[str]:
    """Shorten a list of problems to what a person reads."""
    more = [f"and {len(problems) - SHOWN:,} lines more"] if len(problems) > SHOWN else []
    return [*problems[:SHOWN], *more]


def _labelled(verdicts: dict[int, Verdict]) -> Labelled:
    found = [(row, verdict.label, verdict.round) for row, verdict in verdicts.items() if verdict.label is not None]
    rows, labels, rounds = zip(*found, strict=True) if found else ((), (), ())
    return Labelled(np.array(rows, np.int64), np.array(labels, np.uint8), np.array(rounds, np.int64))
