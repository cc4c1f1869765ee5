"""What answers amount to: each person's latest counts, the majority decides, and the audit stays apart."""

from typing import Any

import numpy as np
import pytest

from labelling import verdicts
from labelling.answers import Answer
from labelling.verdicts import Verdict

NAMES = ["a.png", "b.png", "c.png", "u\u0308.png", "copy of a.png"]
ROWS = verdicts.rows_by_name(NAMES)
CLASSES = ["cat", "skip", "dog"]


def given(*lines: str) -> list[Answer]:
    """Answers from words: who, file, then a label, `-` for a skip, or `<` and what is undone; round and why, if any."""
    found = []
    for number, one in enumerate(lines, start=2):
        who, file, what, *more = one.split()
        action = {"-": "skip", "<": "undo"}.get(what[0], "label")
        label = what.strip("<-")
        round_, why = (int(more[0]), more[1]) if more else (1, "round")
        found.append(Answer(f"{file}.png", label, action, who, "2026-01-01T00:00:00Z", round_, why, number))
    return found


def of(*lines: str) -> dict[int, Verdict]:
    found, problems = verdicts.resolve(given(*lines), ROWS, CLASSES)
    assert problems == []
    return found


@pytest.mark.parametrize(
    ("lines", "label", "tie", "skipped"),
    [
        (["ana a cat"], 0, False, False),
        (["ana a skip"], 1, False, False),
        (["ana a -"], None, False, True),
        (["ana a cat", "ana a dog"], 2, False, False),
        (["ana a cat", "ana a <cat"], None, False, False),
        (["ana a cat", "ana a dog", "ana a <dog"], 0, False, False),
        (["ana a cat", "ana a <cat", "ana a <cat", "ana a dog"], 2, False, False),
        (["ana a cat", "ben a <cat"], 0, False, False),
        (["ana a -", "ana a <-"], None, False, False),
        (["ana a cat", "ana a -", "ana a <-"], 0, False, False),
        (["ana a cat", "ana a dog", "ana a <cat"], 2, False, False),  # undone on another branch than corrected
        (["ana a cat", "ben a dog"], None, True, False),
        (["ana a cat", "ben a dog", "cem a dog"], 2, False, False),
        (["ana a cat", "ben a dog", "cem a skip", "dan a dog"], 2, False, False),
        (["ana a cat", "ana a cat", "ana a cat", "ben a dog"], None, True, False),
        (["ana a -", "ben a dog"], 2, False, False),
        (["ana a -", "ben a -"], None, False, True),
        (["ana a cat", "ana a -"], None, False, True),
    ],
)
def test_the_majority_of_the_latest_answers_counts(
    lines: list[str], label: int | None, tie: bool, skipped: bool
) -> None:
    verdict = of(*lines).get(0, Verdict({}, False))
    assert (verdict.label, verdict.tie, verdict.skipped) == (label, tie, skipped)


def test_what_is_not_there_any_more_is_named_by_line_and_the_rest_counts() -> None:
    found, problems = verdicts.resolve(given("ana a cat", "ana gone cat", "ana b bird"), ROWS, CLASSES)
    assert list(found) == [0]
    assert problems == [
        "answers.csv: line 3: 'gone.png' is not among the training pictures (any more); its answer is kept",
        "answers.csv: line 4: 'bird' is none of the 3 classes; its answer is kept",
    ]
    assert verdicts.report([str(number) for number in range(12)])[-1] == "and 2 lines more"


def test_what_a_class_was_called_that_is_gone_hides_what_was_said_before_and_can_be_undone() -> None:
    found, _ = verdicts.resolve(given("ana a cat", "ana a bird"), ROWS, CLASSES)
    assert found == {}
    found, problems = verdicts.resolve(given("ana a cat", "ana a bird", "ana a <bird"), ROWS, CLASSES)
    assert found[0].label == 0
    assert len(problems) == 1


def test_one_persons_answers_count_in_the_order_of_their_times() -> None:
    """Whatever branch or export they come from; but what was known before counts least."""

    def said(label: str, when: str, why: str = "round") -> Answer:
        return Answer("a.png", label, "label", "ana", when, 1 if why == "round" else 0, why)

    early, late = said("cat", "2026-01-01T00:00:00Z"), said("dog", "2026-01-01T01:30:00+01:00")
    known = said("skip", "2026-02-01T00:00:00Z", "import")
    for lines in ([early, late, known], [known, late, early]):
        found, _ = verdicts.resolve(lines, ROWS, CLASSES)
        assert (found[0].label, found[0].round) == (2, 1)


def test_composed_and_decomposed_names_are_the_same() -> None:
    assert list(of("ana \u00fc cat")) == [3]


def test_an_audited_picture_is_never_trained_on_nor_is_a_copy_of_it() -> None:
    """Whatever else is said of it: row 4 is a copy of row 0."""
    originals = np.array([0, 1, 2, 3, 0])
    lines = given("ana a cat 0 audit", "ben a cat 2 round", "ana b dog")
    lines.append(Answer("copy of a.png", "cat", "label", "ana", "2026-01-01T00:00:00Z", 1, "import"))
    found, _ = verdicts.resolve(lines, ROWS, CLASSES)
    training, audit = verdicts.for_training(found, originals), verdicts.for_audit(found)
    assert (training.rows.tolist(), training.labels.tolist()) == ([1], [2])
    assert (audit.rows.tolist(), audit.labels.tolist()) == ([0], [0])


def test_a_review_keeps_the_round_and_what_was_there_before_costs_nothing() -> None:
    found = of(
        "ana a cat 3 round", "ana a dog 3 review", "ana b cat 0 import", "ben b cat 0 review", "ana c -  2 round"
    )
    labelled: Any = verdicts.for_training(found, np.arange(5))
    assert labelled.rows.tolist() == [0, 1]
    assert labelled.labels.tolist() == [2, 0]
    assert labelled.rounds.tolist() == [3, 0]
    assert (found[0].reviewed, found[1].reviewed, found[2].reviewed) == (True, True, False)
    assert found[2].round == 2
    assert verdicts.for_audit({}).rows.shape == (0,)
