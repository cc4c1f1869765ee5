"""Active selection: it pays for its budget and nothing else, and its labels are worth more than others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels import active
from fewlabels.kernel_ridge import KernelRidgeClassifier
from fewlabels.oracle import Oracle

SETTINGS = {"gamma": 1.0, "alpha": 0.2}


def rings(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Two classes with one thin boundary between them: far from it, a label tells nothing."""
    random = np.random.default_rng(seed)
    points = random.uniform(-1, 1, (count, 2)).astype(np.float32)
    return points, (np.hypot(*points.T) < 0.7).astype(np.uint8)


@pytest.mark.parametrize("budget", [1, 49, 50, 51, 120, 400])
def test_the_budget_is_spent_to_the_last_label(budget: int) -> None:
    features, truth = rings(400)
    oracle = Oracle(truth)
    rows, labels = active.buy(features, oracle, budget, classes=2, random_state=0, **SETTINGS)
    assert len(np.unique(rows)) == len(rows) == budget
    np.testing.assert_array_equal(labels, truth[rows])
    np.testing.assert_array_equal(np.concatenate(oracle.purchases), rows)
    sizes = np.cumsum([len(purchase) for purchase in oracle.purchases])
    assert sizes[0] == min(50, budget)
    assert (sizes[1:] <= np.ceil(1.45 * sizes[:-1])).all()


def test_the_same_seed_buys_the_same() -> None:
    features, truth = rings(600)
    one, other, third = (
        active.buy(features, Oracle(truth), 100, classes=2, random_state=seed, **SETTINGS)[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)


def test_labels_are_bought_where_classes_meet_and_are_worth_more() -> None:
    features, truth = rings(5000)
    unseen, answers = rings(5000, seed=1)
    rows, labels = active.buy(features, Oracle(truth), 200, classes=2, random_state=0, **(SETTINGS | {"gamma": 20.0}))
    from_boundary = np.abs(np.hypot(*features.T) - 0.7)
    assert np.median(from_boundary[rows[50:]]) < 0.5 * np.median(from_boundary)
    accuracies = []
    for seed in range(5):
        at_random = np.random.default_rng(seed).choice(5000, 200, replace=False)
        model = KernelRidgeClassifier(gamma=20.0).fit(features[at_random], truth[at_random])
        accuracies.append(model.score(unseen, answers))
    assert KernelRidgeClassifier(gamma=20.0).fit(features[rows], labels).score(unseen, answers) > max(accuracies)


def test_one_class_and_images_all_alike_are_no_obstacle() -> None:
    rows, labels = active.buy(
        np.zeros((200, 3), np.float32), Oracle(np.full(200, 1, np.uint8)), 90, classes=3, random_state=0, **SETTINGS
    )
    assert len(np.unique(rows)) == 90
    assert (labels == 1).all()


@pytest.mark.parametrize("budget", [0, 401])
def test_a_budget_that_cannot_be_spent_is_refused(budget: int) -> None:
    features, truth = rings(400)
    with pytest.raises(ValueError, match=f"a budget of {budget} labels for 400 images"):
        active.buy(features, Oracle(truth), budget, classes=2, random_state=0, **SETTINGS)


def test_an_oracle_sells_no_label_twice() -> None:
    oracle = Oracle(np.arange(9, dtype=np.uint8))
    np.testing.assert_array_equal(oracle(np.array([5, 2])), [5, 2])
    for rows in ([1, 2], [3, 3]):
        with pytest.raises(ValueError, match=f"row {rows[1]} would be paid for twice"):
            oracle(np.array(rows))
    assert [purchase.tolist() for purchase in oracle.purchases] == [[5, 2]]
