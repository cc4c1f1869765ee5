"""Which images to ask people about next: a pure function of what they have answered, however far they have come.

A round's images are chosen from the answers of earlier rounds, and so are those that take the places of skipped ones.
So they stay the same while the round is answered: who stops in the middle goes on where they were, and who answers all
of it gets what `fewlabels.choosing.rounds.simulate` buys.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fewlabels.choosing.rounds import QueryStrategy
from fewlabels.pool import Rows

Numbers = NDArray[np.int64]
RESERVE = 10
"""Images that are chosen at a time, to take the places of skipped ones."""


def round_of(bought: int, sizes: Sequence[int]) -> tuple[int, int]:
    """Find the round that comes next, after so many labels.

    Parameters
    ----------
    bought : int
    sizes : sequence of int
        The labels of each round, as from `round_sizes`.

    Returns
    -------
    number : int
        From 1 on; one more than there are rounds if the budget is spent.
    end : int
        The labels bought when it is over.

    Examples
    --------
    >>> round_of(0, [50, 22]), round_of(50, [50, 22]), round_of(72, [50, 22])
    ((1, 50), (2, 72), (3, 72))
    """
    ends = np.cumsum(sizes)
    number = int(np.searchsorted(ends, bought, side="right")) + 1
    return number, int(ends[min(number, len(ends)) - 1])


def next_questions(
    query: QueryStrategy,
    features: Rows,
    rows: Numbers,
    labels: NDArray[np.uint8],
    rounds: Numbers,
    *,
    sizes: Sequence[int],
    exclude: Numbers,
    skipped: Numbers,
    skipped_rounds: Numbers,
) -> tuple[int, Numbers]:
    """Choose what is left to ask about in the round that is under way.

    Parameters
    ----------
    query : callable
        A query strategy with all but features, rows, labels, n and exclude bound.
    features : ndarray or Pool of float32, shape (n_images, d)
    rows : ndarray of int64, shape (m,)
        The images labelled so far, in whatever rounds.
    labels : ndarray of uint8, shape (m,)
    rounds : ndarray of int64, shape (m,)
        The round of each, from 1 on; 0 for labels that were there before and cost no budget.
    sizes : sequence of int
        The labels of each round, as from `round_sizes`.
    exclude : ndarray of int64
        Images that must not be asked about, in any round.
    skipped, skipped_rounds : ndarray of int64, shape (s,)
        The images that people could not name, and in which round each was asked about. The next best take their places.

    Returns
    -------
    number : int
        Of the round, as from `round_of`.
    questions : ndarray of int64
        Distinct rows: first what is left of the round, then the next best in place of skipped ones. Empty if the budget
        is spent, or no image is left.

    Raises
    ------
    ValueError
        As the query strategy does.

    Examples
    --------
    >>> from functools import partial
    >>> from fewlabels.choosing.at_random import random
    >>> features, none = np.eye(9, dtype=np.float32), np.empty(0, np.int64)
    >>> ask = partial(next_questions, partial(random, random_state=0), features, exclude=none, sizes=[4, 2])
    >>> _, first = ask(none, none, none, skipped=none, skipped_rounds=none)
    >>> done, left = first[:2], first[2:]
    >>> number, questions = ask(done, done % 2, np.ones(2, int), skipped=none, skipped_rounds=none)
    >>> number, bool((questions == left).all())
    (1, True)
    """
    bought = int((rounds > 0).sum())
    number, end = round_of(bought, sizes)
    wanted = end - bought
    if wanted <= 0:
        return number, np.empty(0, np.int64)
    before, earlier = rounds < number, skipped[skipped_rounds < number]
    never, n = np.union1d(exclude, earlier), end - int((rounds[before] > 0).sum())
    known, left = np.concatenate([rows, skipped, exclude]), np.empty(0, np.int64)
    while len(left) < wanted and len(np.union1d(never, rows[before])) < len(features):
        chosen = np.sort(query(features, rows[before], labels[before], n, exclude=never))
        if not len(chosen):
            break
        left = np.append(left, np.setdiff1d(chosen, known))
        never, n = np.union1d(never, chosen), RESERVE
    return number, left[:wanted]


def draw_order(names: Sequence[str], random_state: int) -> Numbers:
    """Put all images into a random order, from whose beginning those are drawn that judge models.

    It is the order of a digest of seed and name. So another image more or less moves no other, and a draw goes on where
    it stopped.

    Parameters
    ----------
    names : sequence of str
        What each image is called.
    random_state : int
        Seeds the order.

    Returns
    -------
    ndarray of int64, shape (n,)
        Each row once.

    Examples
    --------
    >>> names = list("abcdefgh")
    >>> drawn = [names[row] for row in draw_order(names, random_state=0)]
    >>> [names[row] for row in draw_order(names[1:], random_state=0) + 1] == [one for one in drawn if one != "a"]
    True
    """
    digests = b"".join(hashlib.sha256(f"{random_state}\n{name}".encode()).digest()[:8] for name in names)
    return np.argsort(np.frombuffer(digests, ">u8"), kind="stable").astype(np.int64)
