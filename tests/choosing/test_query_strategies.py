"""The contract of a query strategy, which every one of them keeps, and the loop around it."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.representatives import representatives
from fewlabels.choosing.rounds import QueryStrategy, round_sizes, simulate
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier

ALL_CLASSES = KernelRidgeClassifier(classes=range(7))
STRATEGIES: dict[str, Callable[[int], QueryStrategy]] = {
    "random": lambda seed: partial(random, random_state=seed),
    "representatives": lambda seed: partial(representatives, random_state=seed),
    "cluster_margin": lambda seed: partial(cluster_margin, classifier=ALL_CLASSES, random_state=seed),
    "cluster_margin, seen classes": lambda seed: partial(
        cluster_margin, classifier=KernelRidgeClassifier(), random_state=seed
    ),
    "cluster_margin, scikit-learn's classifier": lambda seed: partial(
        cluster_margin, classifier=LogisticRegression(), random_state=seed, candidates=3
    ),
}
"""Another strategy keeps the contract if it passes here."""

every_strategy = pytest.mark.parametrize("name", STRATEGIES)
POINTS = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
LABELS = (np.arange(120) % 7).astype(np.uint8)


def labelled(count: int, classes: int = 7) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """So many rows, out of order, with the labels of so many classes."""
    rows = np.random.default_rng(1).permutation(120)[:count]
    return rows, LABELS[rows] % np.uint8(classes)


@every_strategy
@pytest.mark.parametrize("n", [1, 10, 57])
@pytest.mark.parametrize(
    ("count", "classes"),
    [(0, 7), (3, 1), (20, 1), (3, 7), (30, 2), (40, 7)],
    ids=["no labels", "one class", "one class, more labels", "fewer labels than classes", "two classes", "all classes"],
)
def test_exactly_n_distinct_unlabelled_rows_that_are_not_excluded(name: str, n: int, count: int, classes: int) -> None:
    rows, labels = labelled(count, classes)
    exclude = np.setdiff1d(np.arange(120), rows)[:9]
    asked = STRATEGIES[name](0)(POINTS, rows, labels, n, exclude=exclude)
    assert asked.shape == (n,)
    assert np.issubdtype(asked.dtype, np.integer)
    assert len(set(asked)) == n
    assert not set(asked) & {*rows, *exclude}
    assert set(asked) <= set(range(120))


@every_strategy
def test_all_that_are_left_where_fewer_than_n_remain(name: str) -> None:
    rows, labels = labelled(100)
    exclude = set(range(120)) - set(rows)
    kept = [exclude.pop() for _ in range(6)]
    query = STRATEGIES[name](0)
    assert sorted(query(POINTS, rows, labels, 6, exclude=exclude)) == sorted(kept)
    assert sorted(query(POINTS, rows, labels, 50, exclude=exclude)) == sorted(kept)
    assert len(query(POINTS, rows, labels, 5, exclude=[*exclude, *kept])) == 0


@every_strategy
def test_the_same_seed_asks_the_same_and_changes_nothing(name: str) -> None:
    rows, labels = labelled(40)
    before = POINTS.copy(), rows.copy(), labels.copy()
    one, other = (STRATEGIES[name](1)(POINTS, rows, labels, 12) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    for array, copy in zip((POINTS, rows, labels), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert not hasattr(ALL_CLASSES, "dual_coef_"), "a clone is trained"


@pytest.mark.parametrize("name", ["random", "representatives", "cluster_margin"])
def test_another_seed_asks_something_else(name: str) -> None:
    rows, labels = labelled(40)
    one, other = (STRATEGIES[name](seed)(POINTS, rows, labels, 12) for seed in (1, 2))
    assert not np.array_equal(one, other)


@every_strategy
@pytest.mark.parametrize("labels_so_far", [0, 30])
def test_no_copy_of_a_labelled_image_while_others_remain(name: str, labels_so_far: int) -> None:
    """Sixty images, each stored twice; those labelled so far and those excluded count as labelled."""
    twice = np.concatenate([POINTS[:60], POINTS[:60]])
    rows = np.arange(labels_so_far)
    query = STRATEGIES[name](0)
    left = 60 - labels_so_far - 5
    asked = query(twice, rows, LABELS[rows], left, exclude=range(55, 60))
    assert sorted(asked % 60) == list(range(labels_so_far, 55))
    more = query(twice, rows, LABELS[rows], left + 3, exclude=range(55, 60))
    assert len(set(more)) == left + 3
    assert set(range(labels_so_far, 55)) <= set(more % 60)


@every_strategy
def test_images_that_are_all_the_same_are_no_obstacle(name: str) -> None:
    same = np.ones((30, 4), np.float32)
    query = STRATEGIES[name](0)
    assert len(set(query(same, [], [], 7))) == 7
    assert len(set(query(same, [3, 4], [0, 1], 28))) == 28


@every_strategy
def test_a_budget_of_all_is_spent_to_the_last_label(name: str) -> None:
    annotator = SimulatedAnnotator(LABELS)
    rows, labels = simulate(STRATEGIES[name](0), POINTS, annotator, 120)
    assert sorted(rows) == list(range(120))
    np.testing.assert_array_equal(labels, LABELS[rows])


@every_strategy
@pytest.mark.parametrize(
    ("rows", "labels", "n", "exclude", "message"),
    [
        ([], [], 0, [], "n: 0 is not 1 or more"),
        ([1, 2], [0], 5, [], "2 rows with 1 labels"),
        ([1, 1], [0, 0], 5, [], "rows: one of them is labelled twice"),
        ([120], [0], 5, [], "rows: one of them is not between 0 and 119"),
        ([1.5], [0], 5, [], "rows: float64"),
        ([], [], 5, [-1], "exclude: one of them is not between 0 and 119"),
        ([], [], -3, [], "n: -3 is not 1 or more"),
        ([], [], 4.0, [], "n: 4.0 is no whole number"),
        ([], [], "4", [], "n: '4' is no whole number"),
        ([], [], True, [], "n: True is no whole number"),
        ([], [], None, [], "n: None is no whole number"),
        ([[1], [2]], [0, 1], 5, [], "rows: int64 of shape"),
        ([True, False], [0, 1], 5, [], "rows: bool of shape"),
        (3, [0], 5, [], "rows: int64 of shape"),
        ([-1], [0], 5, [], "rows: one of them is not between 0 and 119"),
        ([1], 0, 5, [], "labels: 0 dimensions in place of 1"),
        ([1, 2], [[0], [1]], 5, [], "labels: 2 dimensions in place of 1"),
        ([], [], 5, 7, "exclude: 7 is no list of row numbers"),
        ([], [], 5, "7", "exclude: '7' is no list of row numbers"),
        ([], [], 5, [1.0], "exclude: float64"),
        ([], [], 5, [[1]], "exclude: int64 of shape"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, rows: Any, labels: Any, n: Any, exclude: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STRATEGIES[name](0)(POINTS, rows, labels, n, exclude=exclude)


@every_strategy
def test_features_of_another_shape_are_refused(name: str) -> None:
    for features in (POINTS[:, 0], POINTS.reshape(120, 2, 2)):
        with pytest.raises(ValueError, match=r"features: . dimensions in place of 2"):
            STRATEGIES[name](0)(features, [], [], 5)


def test_a_random_sample_is_uniform() -> None:
    """Of thirty images ten are drawn; over 600 seeds each comes up about 200 times, with a standard deviation of 12."""
    counts = np.zeros(30)
    for seed in range(600):
        counts[random(POINTS[:30], [], [], 10, random_state=seed)] += 1
    assert counts.min() > 200 - 5 * 12
    assert counts.max() < 200 + 5 * 12


def test_no_candidates_are_refused() -> None:
    for candidates, problem in ((0, "is not 1 or more"), (-3, "is not 1 or more"), (1.5, "is no whole number")):
        with pytest.raises(ValueError, match=f"candidates: {candidates} {problem}"):
            cluster_margin(POINTS, *labelled(40), 5, classifier=ALL_CLASSES, random_state=0, candidates=candidates)


# ---- rounds


@pytest.mark.parametrize("budget", [1, 49, 50, 51, 120, 2000])
@pytest.mark.parametrize(("first", "growth"), [(50, 1.45), (1, 1.0), (7, 3.0)])
def test_rounds_add_up_to_the_budget_and_grow_as_told(budget: int, first: int, growth: float) -> None:
    sizes = round_sizes(budget, first_round=first, growth=growth)
    after = np.cumsum(sizes)
    assert after[-1] == budget
    assert sizes[0] == min(first, budget)
    assert min(sizes) >= 1
    for before, now in pairwise(after[:-1]):
        assert now == max(first, round(growth * before), before + 1)


def test_the_default_rounds_are_these() -> None:
    assert round_sizes(500) == [50, 22, 32, 47, 68, 99, 143, 39]


@pytest.mark.parametrize(("name", "value"), [("budget", 0), ("first_round", 0), ("growth", 0.9)])
def test_rounds_that_cannot_be_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: {value} is not 1 or more"):
        round_sizes(**({"budget": 5} | {name: value}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 2.5}, "budget: 2.5 is no whole number"),
        ({"budget": "3"}, "budget: '3' is no whole number"),
        ({"budget": True}, "budget: True is no whole number"),
        ({"first_round": 4.0}, "first_round: 4.0 is no whole number"),
        ({"growth": "2"}, "growth: '2' is not 1 or more"),
        ({"growth": np.nan}, "growth: nan is not 1 or more"),
        ({"growth": np.inf}, "growth: inf is not 1 or more"),
    ],
)
def test_what_is_no_number_of_labels_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        round_sizes(**({"budget": 5} | changes))


@pytest.mark.parametrize("budget", [1, 2, 3])
@every_strategy
def test_a_budget_of_one_two_or_three_is_spent(name: str, budget: int) -> None:
    rows, labels = simulate(STRATEGIES[name](0), POINTS, SimulatedAnnotator(LABELS), budget, rounds=[1] * budget)
    assert len(set(rows)) == budget
    np.testing.assert_array_equal(labels, LABELS[rows])


@pytest.mark.parametrize(
    ("budget", "rounds", "message"),
    [
        (6, [6, 0], "rounds: 0 is not 1 or more"),
        (6, ["6"], "rounds: '6' is no whole number"),
        (6, 6, "rounds: 6 is no list of numbers"),
        (6, "6", "rounds: '6' is no list of numbers"),
        (2.0, None, "budget: 2.0 is no whole number"),
        ("3", None, "budget: '3' is no whole number"),
        (None, None, "budget: None is no whole number"),
        (True, None, "budget: True is no whole number"),
        (0, None, "budget: 0 is not 1 or more"),
        (-1, None, "budget: -1 is not 1 or more"),
    ],
)
def test_rounds_of_nothing_are_refused(budget: Any, rounds: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        simulate(partial(random, random_state=0), POINTS, SimulatedAnnotator(LABELS), budget, rounds=rounds)


def test_a_simulation_asks_as_often_as_there_are_rounds() -> None:
    annotator = SimulatedAnnotator(LABELS)
    rows, labels = simulate(partial(random, random_state=0), POINTS, annotator, 60, rounds=[10, 20, 30])
    assert [len(asked) for asked, _ in annotator.log] == [10, 20, 30]
    np.testing.assert_array_equal(np.concatenate([asked for asked, _ in annotator.log]), rows)
    np.testing.assert_array_equal(np.concatenate([answer for _, answer in annotator.log]), labels)


def test_a_budget_that_cannot_be_spent_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^budget: 121 labels for 120 images$"):
        simulate(partial(random, random_state=0), POINTS, SimulatedAnnotator(LABELS), 121)


def test_rounds_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="rounds: 5 labels in all, not the 6 of the budget"):
        simulate(partial(random, random_state=0), POINTS, SimulatedAnnotator(LABELS), 6, rounds=[2, 3])


def test_an_annotator_is_paid_for_no_label_twice() -> None:
    annotator = SimulatedAnnotator(np.arange(9, dtype=np.uint8))
    np.testing.assert_array_equal(annotator(np.array([5, 2])), [5, 2])
    for rows in ([1, 2], [3, 3]):
        with pytest.raises(ValueError, match=f"row {rows[1]} would be paid for twice"):
            annotator(np.array(rows))
    assert [rows.tolist() for rows, _ in annotator.log] == [[5, 2]]


@pytest.mark.parametrize("row", [-1, 9])
def test_an_annotator_knows_no_other_image(row: int) -> None:
    with pytest.raises(ValueError, match="rows: one of them is not between 0 and 8"):
        SimulatedAnnotator(np.arange(9, dtype=np.uint8))(np.array([0, row]))


def test_the_log_keeps_the_answers_and_not_the_truth() -> None:
    annotator = SimulatedAnnotator(np.array([3, 1], np.uint8))
    annotator(np.array([0]))
    annotator.true_labels[0] = 9
    assert annotator.log[0][1].tolist() == [3]
