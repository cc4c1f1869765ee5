"""Rounds of labelling: how large each is, and a loop around a query strategy and an annotator who answers at once."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.choosing.pool import check_count
from fewlabels.pool import Rows

QueryStrategy = Callable[..., NDArray[np.int64]]
"""`(features, rows, labels, n, *, exclude=()) -> rows`: rows and labels are those so far, n is how many to ask for."""
Annotator = Callable[[NDArray[np.int64]], NDArray[Any]]
"""From rows to their labels."""


def round_sizes(budget: int, *, first_round: int = 50, growth: float = 1.45) -> list[int]:
    """Divide a budget into rounds that grow with the labels so far.

    Early labels change the classifier most, so early rounds are small; few rounds in all keep people from waiting.

    Parameters
    ----------
    budget : int
        Labels in all, 1 at least.
    first_round : int, default=50
        Labels of the first round.
    growth : float, default=1.45
        Each further round multiplies the number of labels by this; it asks for one at least.

    Returns
    -------
    list of int
        The labels of each round; their sum is the budget.

    Raises
    ------
    ValueError
        If budget or first_round is no whole number, or a number is below 1.

    Examples
    --------
    >>> round_sizes(200)
    [50, 22, 32, 47, 49]
    """
    check_count("budget", budget)
    check_count("first_round", first_round)
    if not isinstance(growth, Real) or not 1 <= growth < float("inf"):
        raise ValueError(f"growth: {growth!r} is not 1 or more")
    sizes: list[int] = []
    while (labelled := sum(sizes)) < budget:
        sizes.append(min(budget, max(first_round, round(growth * labelled), labelled + 1)) - labelled)
    return sizes


def simulate(
    query: QueryStrategy, features: Rows, annotator: Annotator, budget: int, *, rounds: Sequence[int] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Spend a budget round by round, with an annotator who answers at once.

    Parameters
    ----------
    query : callable
        A query strategy with everything but features, rows, labels and n bound, as by `functools.partial`.
    features : ndarray or Pool of float32, shape (n_images, d)
    annotator : callable
        From rows to labels; asked once in each round.
    budget : int
        Between 1 and n_images.
    rounds : sequence of int, optional
        The labels of each round; their sum is the budget. As from `round_sizes` if not given.

    Returns
    -------
    rows : ndarray of int64, shape (budget,)
        Distinct, in the order of asking.
    labels : ndarray of uint8, shape (budget,)

    Raises
    ------
    ValueError
        If the budget is no whole number between 1 and n_images, or the rounds are none of 1 or more or do not add up to
        it.

    Examples
    --------
    >>> from functools import partial
    >>> from fewlabels.choosing.annotator import SimulatedAnnotator
    >>> from fewlabels.choosing.at_random import random
    >>> features, truth = np.eye(9, dtype=np.float32), np.arange(9, dtype=np.uint8)
    >>> rows, labels = simulate(partial(random, random_state=0), features, SimulatedAnnotator(truth), budget=4)
    >>> bool((labels == truth[rows]).all())
    True
    """
    check_count("budget", budget)
    if budget > len(features):
        raise ValueError(f"budget: {budget} labels for {len(features)} images")
    sizes = round_sizes(budget) if rounds is None else rounds
    if np.ndim(sizes) != 1:
        raise ValueError(f"rounds: {sizes!r} is no list of numbers")
    for size in sizes:
        check_count("rounds", size)
    if sum(sizes) != budget:
        raise ValueError(f"rounds: {sum(sizes)} labels in all, not the {budget} of the budget")
    rows, labels = np.empty(0, np.int64), np.empty(0, np.uint8)
    for n in sizes:
        asked = query(features, rows, labels, n)
        rows, labels = np.append(rows, asked), np.append(labels, annotator(asked))
    return rows, labels
