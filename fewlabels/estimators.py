"""Let estimators that compute rows from rows take pools: each chunk of a pool as an array of its own.

A model is fitted to few rows, and then looks at all of them. It is a value of the task, so that workers need nothing
but its chunk.
"""

import functools
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from fewlabels.pool import Pool
from fewlabels.run import current

Method = Callable[[Any, Any], Any]


def over_pools(label: str) -> Callable[[Method], Method]:
    """Let a method that computes a row from each row of an array take a pool, too, and return one.

    Parameters
    ----------
    label : str
        What is computed, for the progress bar and for errors.

    Returns
    -------
    callable
        A decorator. An array is computed with as before; a chunk of a pool as such an array, and an error in it begins
        with the rows of the chunk.

    Examples
    --------
    >>> import numpy as np
    >>> class Doubling:
    ...     @over_pools("doubles")
    ...     def transform(self, X):
    ...         return X * 2
    >>> Doubling().transform(np.arange(3)), Doubling().transform(Pool(np.arange(3), chunk=2)).array()
    (array([0, 2, 4]), array([0, 2, 4]))
    """

    def decorated(method: Method) -> Method:
        @functools.wraps(method)
        def called(self: Any, X: Any) -> Any:
            if isinstance(X, Pool):
                return current().map(_of_chunk, X, model=self, method=method.__name__, label=label)
            return method(self, X)

        return called

    return decorated


def _of_chunk(rows: slice, chunk: NDArray[Any], *, model: Any, method: str) -> Any:
    try:
        return getattr(model, method)(chunk)
    except ValueError as error:
        raise ValueError(f"rows {rows.start} to {rows.stop - 1}: {error}") from None
