"""Random sampling: the baseline of all query strategies."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.choosing.pool import pool_of
from fewlabels.pool import Rows


def random(
    features: Rows, rows: ArrayLike, labels: ArrayLike, n: int, *, exclude: Iterable[int] = (), random_state: int
) -> NDArray[np.int64]:
    """Draw images uniformly at random from the pool.

    Parameters
    ----------
    features : ndarray or Pool of float32, shape (n_images, d)
        Only looked at for exact copies.
    rows : array-like of int, shape (m,)
        The images labelled so far.
    labels : array-like, shape (m,)
        Their labels.
    n : int
        How many images to ask about next, 1 at least.
    exclude : iterable of int, default=()
        Images that must not be asked about.
    random_state : int
        Seeds the draw.

    Returns
    -------
    ndarray of int64, shape (n,)
        Distinct rows of the pool, or all of them where fewer than n remain.

    Raises
    ------
    ValueError
        As `pool_of` does.

    Examples
    --------
    >>> features = np.arange(10, dtype=np.float32)[:, None]
    >>> asked = random(features, rows=[3, 4], labels=[0, 1], n=5, exclude=[9], random_state=0)
    >>> len(asked), np.intersect1d(asked, [3, 4, 9]).size
    (5, 0)
    """
    pool = pool_of(features, rows, labels, n, exclude)
    return np.random.default_rng(random_state).choice(pool, min(n, len(pool)), replace=False)
