"""What further labels may bring: the learning curve so far, carried on.

The error of a classifier falls about as a power of the number of labels: C. Cortes et al., "Learning Curves: Asymptotic
Values and Rate of Convergence", NIPS 1993; J. Hestness et al., "Deep Learning Scaling is Predictable, Empirically",
2017.
"""

import numpy as np
from numpy.typing import ArrayLike

LEAST = 3
"""Points that a curve is drawn through."""
STEEPEST = 1.0
"""The largest power: doubling the labels halves the error at best."""


def expected_gain(labels: ArrayLike, wrong: ArrayLike, judged: int, more: int) -> float | None:
    """Estimate by how much the accuracy rises with further labels.

    A straight line is fitted to the logarithms of labels and error, by least squares, and carried on from the last
    point. Half a mistake is added to each count, so that an error of 0 has a logarithm. Few judged images make the
    counts, and so the estimate, rough.

    Parameters
    ----------
    labels : array-like of int, shape (r,)
        How many labels the classifier was trained on, after each round; ascending.
    wrong : array-like of int, shape (r,)
        How many of the judged images it had wrong then.
    judged : int
        How many images judge it.
    more : int
        How many labels would be added.

    Returns
    -------
    float or None
        The difference in accuracy, 0 or more; None with fewer than three points.

    Examples
    --------
    >>> round(expected_gain([50, 100, 200], [399, 199, 99], judged=999, more=200), 2)
    0.05
    >>> expected_gain([50], [40], judged=100, more=100) is None
    True
    """
    counts, mistakes = np.asarray(labels, float), np.asarray(wrong, float)
    if len(counts) < LEAST or not judged:
        return None
    logs = np.log((mistakes + 0.5) / (judged + 1))
    slope, start = np.polyfit(np.log(counts), logs, 1)
    power = float(np.clip(-slope, 0, STEEPEST))
    start = float(np.mean(logs + power * np.log(counts)))
    now, then = (np.exp(start - power * np.log(count)) for count in (counts[-1], counts[-1] + more))
    return float(now - then)
