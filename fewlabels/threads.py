"""Compiled loops, and one kind of thread to run them on all cores.

numpy's matrix products and numba's parallel loops each keep threads of their own, which spin for a while after their
work is done: alternate between them, and the cores are busy waiting. So matrix products run on one core each, compiled
loops release the interpreter lock, and Python's own threads share out chunks of rows. What is computed for a chunk
does not depend on how many threads there are.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numba
from numba import njit
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")

compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"arcp", "contract", "nnan", "nsz", "reassoc"})
"""Compile a loop, keep it on disk, let sums be taken in any order. Infinity keeps its meaning."""


def in_chunks(work: Callable[[slice], Result], rows: int, chunk: int) -> Iterator[Result]:
    """Call `work` for consecutive slices of at most `chunk` of the `rows`, several at a time.

    Parameters
    ----------
    work : callable
        Takes a slice.
    rows, chunk : int

    Yields
    ------
    Whatever `work` returns, in the order of the slices.
    """
    slices = [slice(start, min(start + chunk, rows)) for start in range(0, rows, chunk)]
    with _pools().limit(limits=1, user_api="blas"), ThreadPoolExecutor(numba.get_num_threads()) as pool:
        yield from pool.map(work, slices)


def each(work: Callable[[slice], None], rows: int, chunk: int) -> None:
    """Call `work` for all slices, as `in_chunks` does, for what it writes."""
    for _ in in_chunks(work, rows, chunk):
        pass


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()  # searches the process for libraries: milliseconds
