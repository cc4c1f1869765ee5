"""Run compiled loops and matrix products on all cores, from one pool of threads.

numpy's matrix products and numba's parallel loops each keep threads of their own, which wait actively for a while
after their work is done: a program that alternates between them keeps its cores busy with waiting. So matrix products
run on one core each, compiled loops release Python's interpreter lock, and Python's own threads work on chunks of rows.
What is computed for a chunk does not depend on how many threads there are.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

import joblib
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")

_one_thread = ContextVar("one_thread", default=False)


def map_chunks(work: Callable[[slice], Result], rows: int, chunk: int) -> Iterator[Result]:
    """Call a function for consecutive slices of rows, several at a time.

    Parameters
    ----------
    work : callable
        Takes a slice.
    rows : int
        How many there are.
    chunk : int
        Rows in a slice at most.

    Yields
    ------
    Whatever `work` returns, in the order of the slices.

    Examples
    --------
    >>> list(map_chunks(lambda rows: (rows.start, rows.stop), rows=5, chunk=2))
    [(0, 2), (2, 4), (4, 5)]
    """
    slices = [slice(start, min(start + chunk, rows)) for start in range(0, rows, chunk)]
    if len(slices) == 1:
        with one_blas_thread():
            yield work(slices[0])
        return
    with one_blas_thread(), ThreadPoolExecutor(thread_count()) as pool:
        yield from pool.map(work, slices)


def for_each_chunk(work: Callable[[slice], None], rows: int, chunk: int) -> None:
    """Call a function for all slices, as `map_chunks` does, for what it writes.

    Parameters
    ----------
    work, rows, chunk
        As for `map_chunks`.

    Examples
    --------
    >>> import numpy as np
    >>> squares = np.empty(3)
    >>> def fill(rows):
    ...     squares[rows] = np.arange(3)[rows] ** 2
    >>> for_each_chunk(fill, rows=3, chunk=2)
    >>> squares
    array([0., 1., 4.])
    """
    for _ in map_chunks(work, rows, chunk):
        pass


def thread_count() -> int:
    """Count the threads that chunks are worked on by: the cores that this process may use, unless it was told one.

    Of cores, `joblib.cpu_count` tells: it knows of containers' limits, and of the variable LOKY_MAX_CPU_COUNT.

    Returns
    -------
    int

    Examples
    --------
    >>> thread_count() >= 1
    True
    """
    return 1 if _one_thread.get() else _cores()


def use_one_thread() -> None:
    """Work on chunks one after the other from now on, where each core has a process of its own.

    Examples
    --------
    >>> from contextvars import copy_context
    >>> def alone():
    ...     use_one_thread()
    ...     return thread_count()
    >>> copy_context().run(alone)
    1
    """
    _one_thread.set(True)


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep matrix products and LAPACK to one core, for as long as the context lasts.

    Eigenvectors of up to some thousand dimensions take longer on several cores, and many times as long on a busy
    machine; on one, they do not depend on how many there are.

    Examples
    --------
    >>> with one_blas_thread():
    ...     pass
    """
    context: AbstractContextManager[Any] = _blas().limit(limits=1, user_api="blas")
    return context


@cache
def _cores() -> int:
    return int(joblib.cpu_count())  # reads files of the system each time


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()  # looks for the libraries in the process, which takes milliseconds
