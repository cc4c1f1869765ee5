"""Which query strategy asks, and in which rounds: the same for the annotator who knows all labels and for people."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.arrays import Floats
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.rounds import QueryStrategy, round_sizes
from stages import params, ridge


def sizes(settings: params.Params) -> list[int]:
    """Compute how many labels each round of `active` buys."""
    sampling = settings.cluster_margin
    return round_sizes(settings.clusters, first_round=sampling.first_round, growth=sampling.growth)


def active(settings: params.Params, n_classes: int) -> QueryStrategy:
    """Give the query strategy of `active`, with everything bound that params.yaml says."""
    return partial(
        cluster_margin,
        classifier=ridge.untrained(settings, n_classes),
        random_state=settings.seed,
        candidates=settings.cluster_margin.candidates,
    )


def begin_with(first: NDArray[np.int64], query: QueryStrategy) -> QueryStrategy:
    """Ask about given images in the first round, where there are any, and go on with a query strategy."""

    def asked(features: Floats, rows: ArrayLike, labels: ArrayLike, n: int, **how: Any) -> NDArray[np.int64]:
        return first if len(first) and not len(np.asarray(rows)) else query(features, rows, labels, n, **how)

    return asked
