"""What is asked next: the simulation's own questions, wherever a person stops; skipped images are replaced."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.questions import draw_order, next_questions, round_of
from fewlabels.choosing.rounds import round_sizes, simulate
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier

NONE = np.empty(0, np.int64)
SIZES = round_sizes(40, first_round=10)


def pile(count: int = 300) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, count).astype(np.uint8)
    return (np.eye(3)[truth] + random.normal(scale=0.6, size=(count, 3))).astype(np.float32), truth


FEATURES, TRUTH = pile()
QUERY = partial(cluster_margin, classifier=KernelRidgeClassifier(classes=range(3)), random_state=0)


class Person:
    """Answers, and keeps what was answered in which round."""

    def __init__(self) -> None:
        self.rows, self.rounds = NONE, NONE
        self.skipped, self.skipped_rounds = NONE, NONE

    def questions(self, **how: Any) -> tuple[int, NDArray[np.int64]]:
        known = {"exclude": NONE, "skipped": self.skipped, "skipped_rounds": self.skipped_rounds} | how
        return next_questions(QUERY, FEATURES, self.rows, TRUTH[self.rows], self.rounds, sizes=SIZES, **known)

    def answer(self, row: int, number: int) -> None:
        self.rows, self.rounds = np.append(self.rows, row), np.append(self.rounds, number)

    def skip(self, row: int, number: int) -> None:
        self.skipped, self.skipped_rounds = np.append(self.skipped, row), np.append(self.skipped_rounds, number)


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_whoever_stops_anywhere_answers_what_the_simulation_buys(at_once: int) -> None:
    person = Person()
    while len((asked := person.questions())[1]):
        number, rows = asked
        for row in rows[::-1][:at_once]:  # in whatever order
            person.answer(int(row), number)
    rows, _ = simulate(QUERY, FEATURES, SimulatedAnnotator(TRUTH), 40, rounds=SIZES)
    ends = np.cumsum(SIZES)
    for start, end in zip([0, *ends], ends, strict=False):
        assert set(person.rows[start:end]) == set(rows[start:end])
    assert person.rounds.tolist() == np.repeat(np.arange(len(SIZES)) + 1, SIZES).tolist()
    assert asked[0] == len(SIZES) + 1


def test_skipped_images_are_replaced_and_the_others_of_the_round_stay() -> None:
    person = Person()
    number, first = person.questions()
    person.skip(int(first[2]), number)
    number, left = person.questions()
    assert (number, len(left)) == (1, SIZES[0])
    assert set(first) - {first[2]} == set(left[: SIZES[0] - 1])
    assert left[-1] not in first
    while number == 1:
        person.answer(int(left[0]), number)
        number, left = person.questions()
    assert first[2] not in person.rows
    while len(left):
        assert first[2] not in left, "never again, in later rounds either"
        person.answer(int(left[0]), number)
        number, left = person.questions()
    assert len(person.rows) == 40


def test_excluded_images_are_not_asked_about_whatever_the_query_strategy_does() -> None:
    person = Person()
    _, first = person.questions()
    _, questions = person.questions(exclude=first[:4])
    assert not set(first[:4]) & set(questions)
    assert len(questions) == SIZES[0]


def test_labels_from_before_cost_no_budget_and_are_learned_from() -> None:
    person = Person()
    for row in range(5):
        person.answer(row, 0)
    number, questions = person.questions()
    assert (number, len(questions)) == (1, SIZES[0])
    assert not set(range(5)) & set(questions)
    without = Person().questions()[1]
    assert set(without) != set(questions)


def test_answers_of_another_branch_end_the_round_earlier() -> None:
    """Rows that this round did not ask about, labelled in it all the same."""
    person = Person()
    _, first = person.questions()
    others = np.setdiff1d(np.arange(300), first)[:7]
    for row in others:
        person.answer(int(row), 1)
    _, questions = person.questions()
    assert len(questions) == SIZES[0] - 7
    assert set(questions) <= set(first)


def test_an_undone_answer_of_an_earlier_round_is_asked_again() -> None:
    person = Person()
    number, rows = person.questions()
    for row in rows:
        person.answer(int(row), number)
    number, rows = person.questions()
    person.answer(int(rows[0]), number)
    person.rows, person.rounds = person.rows[1:], person.rounds[1:]
    number, questions = person.questions()
    assert number == 2, "ten labels, so the second round is under way"
    person.rows, person.rounds = person.rows[:-1], person.rounds[:-1]
    number, questions = person.questions()
    assert (number, len(questions)) == (1, 1)


def test_a_small_pile_is_asked_about_to_its_end() -> None:
    features, truth = pile(12)
    rows, rounds, asked = NONE, NONE, 0
    while True:
        number, questions = next_questions(
            QUERY, features, rows, truth[rows], rounds, sizes=SIZES,
            exclude=np.array([0]), skipped=np.array([1]), skipped_rounds=np.array([1]),
        )  # fmt: skip
        if not len(questions):
            break
        rows, rounds, asked = np.append(rows, questions), np.append(rounds, [number] * len(questions)), asked + 1
        assert asked < 20
    assert sorted(rows.tolist()) == list(range(2, 12))


@pytest.mark.parametrize(
    ("bought", "number", "end"), [(0, 1, 10), (9, 1, 10), (10, 2, 14), (39, 5, 40), (40, 6, 40), (70, 6, 40)]
)
def test_the_round_follows_from_the_labels(bought: int, number: int, end: int) -> None:
    assert SIZES == [10, 4, 6, 9, 11]
    assert round_of(bought, SIZES) == (number, end)


def test_the_draw_is_that_of_the_names_and_the_seed() -> None:
    names = [f"{number}.png" for number in range(500)]
    order = draw_order(names, 1)
    assert sorted(order) == list(range(500))
    assert (draw_order(names, 1) == order).all()
    assert (draw_order(names, 2) != order).mean() > 0.9
    shuffled = names[::-1]
    assert [names[row] for row in order] == [shuffled[row] for row in draw_order(shuffled, 1)]
    without = [name for name in names if name != "7.png"]
    assert [without[row] for row in draw_order(without, 1)] == [names[row] for row in order if row != 7]
    halves = np.array([(draw_order(names, seed)[:250] < 250).mean() for seed in range(20)])
    assert abs(halves.mean() - 0.5) < 0.03
