"""Run a function over all rows of pools, a chunk at a time: here, or on a cluster, with the same bits.

A function is called with the rows of its chunk, as a slice, the chunks, and values that are the same for all. It keeps
no state, so that a chunk can be computed again, elsewhere, when a worker was lost. What a cluster runs must be at the
top of a module that its workers can import; they see the same folder as the client, see `fewlabels.dask_cluster`.

Sums over chunks are taken in a fixed tree, eight at a time by the number of the chunk, so that they do not depend on
how many workers there are.
"""

import functools
import hashlib
import inspect
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from glob import escape
from importlib import metadata
from pathlib import Path
from typing import Any, Self, TypeVar

import joblib
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fewlabels import pool as pools_on_disk
from fewlabels.pool import DIGEST, Pool, Rows, as_pool

Partial = TypeVar("Partial")

FAN_IN = 8
"""Partial results that are combined at once."""
UNFINISHED = "fewlabels-unfinished"
"""The folder within the scratch folder that has all that a run writes, until it ends without an error."""
PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "pillow", "tensorflow", "keras", "onnxruntime")
"""What the values of results depend on, besides our code and the version of Python."""


class EngineError(RuntimeError):
    """A cluster that cannot be used, or that was lost; its text is one line for the person who runs it."""


class Local:
    """Run in this process; compiled loops and matrix products use all its cores.

    Parameters
    ----------
    scratch : Path, optional
        A folder for results that are rows: they are written there a chunk at a time. Without it they stay in memory.
        It is for one run at a time. Where the `with` block of the run ends without an error, all that was written is
        removed; after an error it stays, and the next run of the same code goes on from it.

    Examples
    --------
    >>> def doubled(rows, chunk, *, plus):
    ...     return 2 * chunk + plus
    >>> Local().map(doubled, np.arange(3), plus=1)
    array([1, 3, 5])
    >>> Local().map_reduce(lambda rows, chunk: chunk.sum(), lambda a, b: a + b, np.arange(4)).item()
    6
    """

    def __init__(self, scratch: Path | None = None) -> None:
        self.scratch = scratch

    def __enter__(self) -> Self:
        self._before = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        _current.reset(self._before)
        if self.scratch is not None and kind is None:
            shutil.rmtree(self._unfinished, ignore_errors=True)  # NFS keeps files that a worker has still open

    def map(
        self,
        function: Callable[..., Any],
        *sources: Rows,
        outputs: int = 1,
        into: Path | Sequence[Path] | None = None,
        label: str = "",
        slow: bool = False,
        **values: Any,
    ) -> Any:
        """Compute new rows from rows.

        Parameters
        ----------
        function : callable
            `(rows, *chunks, **values)`, where `rows` is a slice; returns an array with a row for each, or with one row
            for the chunk; or a tuple of such arrays.
        *sources : ndarray or Pool
            Of the same length, and the same rows in a chunk.
        outputs : int, default=1
            How many arrays the function returns.
        into : Path or sequence of Path, optional
            Folders for the results, one for each output. They are complete once they are there, and replace earlier
            rows of that name.
        label : str
            What is computed, for the progress bar and for errors.
        slow : bool, default=False
            Whether a row takes milliseconds, as a picture that is read from its file: a cluster's workers are then
            given single chunks, and longer time.
        **values
            The same for all chunks.

        Returns
        -------
        ndarray or Pool, or a tuple of them
            Arrays, if all sources are arrays and there is no `into`.

        Raises
        ------
        ValueError
            If the sources are not as long as each other, or the function returns another number of rows than it was
            given. Whatever else the function raises is raised, too.
        OSError
            If a result cannot be written, such as on a full disk, or a folder for it holds anything but rows.
        EngineError
            If a cluster is lost, or a task ends its workers.
        """
        work, folders = Pass(function, sources, values, label, slow), _listed(into)
        arrays = not folders and not any(isinstance(source, Pool) for source in sources)
        if not folders and self._in_memory(work):
            found = [Pool(one) for one in work.mapped(outputs)]
        else:
            found = self._by_chunks(work, outputs, folders)
        results = tuple(pool.array() if arrays else pool for pool in found)
        return results if outputs > 1 else results[0]

    def map_reduce(
        self,
        function: Callable[..., Partial],
        combine: Callable[[Partial, Partial], Partial],
        *sources: Rows,
        label: str = "",
        **values: Any,
    ) -> Partial:
        """Compute one result from all rows: a partial result of each chunk, combined in a fixed tree.

        Parameters
        ----------
        function : callable
            `(rows, *chunks, **values)`, where `rows` is a slice; returns something small.
        combine : callable
            From two partial results, the earlier rows first, to one. It changes neither of them.
        *sources : ndarray or Pool
            Of the same length, and the same rows in a chunk.
        label : str
            What is computed, for the progress bar and for errors.
        **values
            The same for all chunks.

        Returns
        -------
        The combined result.

        Raises
        ------
        ValueError, EngineError
            As `map` does.
        """
        combined: Partial = self._reduced(Pass(function, sources, values, label), combine)
        return combined

    def _in_memory(self, work: "Pass") -> bool:
        """Whether new rows are computed in one call: where all that they are computed from is in memory."""
        read = [*work.pools, *(value for value in work.values.values() if isinstance(value, Pool))]
        return all(pool.in_memory for pool in read)

    @property
    def _unfinished(self) -> Path:
        assert self.scratch is not None  # noqa: S101 — who has none keeps results in memory
        return self.scratch / UNFINISHED

    def _by_chunks(self, work: "Pass", outputs: int, folders: Sequence[Path]) -> list[Pool]:
        if self.scratch is None and not folders:
            columns = zip(*(work.mapped(outputs, number) for number in work.shown(range(work.chunks))), strict=True)
            return [Pool(np.concatenate(column), work.chunk) for column in columns]
        for folder in folders:
            pools_on_disk.refuse_to_replace(folder)
        digest = work.digest()
        finals = folders or [self._unfinished / f"rows-{digest}-{place}" for place in range(outputs)]
        if not all(_is_complete(final, digest, work.chunks) for final in finals):
            partials = [_partial_of(final, digest) for final in finals]
            missing = [n for n in range(work.chunks) if not all(pools_on_disk.written(one, n) for one in partials)]
            self._write(work, missing, partials)
            for partial, final in zip(partials, finals, strict=True):
                with pools_on_disk.whole_file(partial / DIGEST) as file:
                    file.write(digest.encode())
                pools_on_disk.publish(partial, final)
        return [Pool(final) for final in finals]

    def _write(self, work: "Pass", numbers: Sequence[int], folders: Sequence[Path]) -> None:
        for number in work.shown(numbers):
            work.write(number, folders)

    def _reduced(self, work: "Pass", combine: Callable[[Any, Any], Any]) -> Any:
        with work.bar(work.chunks, "chunks") as bar:

            def leaf(number: int) -> Any:
                bar.update()
                return work.computed(number)

            return in_tree(leaf, functools.partial(functools.reduce, combine), range(work.chunks))


_current: ContextVar[Local] = ContextVar("_current", default=Local())  # noqa: B039 — it has no state


def current() -> Local:
    """Give the run of the `with` block that we are in; outside of one, in memory.

    Returns
    -------
    Local or Cluster

    Examples
    --------
    >>> with Local() as mine:
    ...     current() is mine
    True
    """
    return _current.get()


class Pass:
    """A function, the pools that it is called with, a chunk at a time, and what is the same for all chunks.

    Parameters
    ----------
    function, sources, values, label, slow
        As for `Local.map`.

    Attributes
    ----------
    pools : list of Pool
    chunks, chunk, chunk_bytes : int
        How many chunks there are, the rows of each but the last, and their bytes at most.
    name : str
        For errors: the label, or else the function's name.

    Examples
    --------
    >>> work = Pass(lambda rows, chunk, plus: chunk.sum() + plus, [np.arange(4)], {"plus": 1}, label="")
    >>> work.chunks, int(work.computed(0))
    (1, 7)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        sources: Sequence[Rows],
        values: dict[str, Any],
        label: str,
        slow: bool = False,
    ) -> None:
        self.function, self.pools, self.values, self.label = function, _aligned(sources), values, label
        self.slow = slow
        self.chunks, self.chunk = self.pools[0].chunks, self.pools[0].chunk
        self.chunk_bytes = self.chunk * max(1, sum(pool.row_bytes for pool in self.pools))
        self.name = label or function.__name__

    def computed(self, number: int | None = None) -> Any:
        """Call the function with one chunk or, without a number, with all rows."""
        if number is None:
            return self.function(self._rows(None), *(pool.array() for pool in self.pools), **self.values)
        return self.function(self._rows(number), *(pool.read(number) for pool in self.pools), **self.values)

    def mapped(self, outputs: int, number: int | None = None) -> list[NDArray[Any]]:
        """Compute new rows, as `computed` does."""
        computed, rows = self.computed(number), self._rows(number)
        arrays: list[NDArray[Any]] = list(computed) if outputs > 1 else [computed]
        for array in arrays:
            if len(array) not in (rows.stop - rows.start, 1):
                raise ValueError(f"{self.name}: {len(array)} rows computed from {rows.stop - rows.start}")
        return arrays

    def _rows(self, number: int | None) -> slice:
        return slice(0, len(self.pools[0])) if number is None else self.pools[0].rows(number)

    def write(self, number: int, folders: Sequence[Path]) -> None:
        for folder, array in zip(folders, self.mapped(len(folders), number), strict=True):
            pools_on_disk.write(folder, number, array)

    def shown(self, numbers: Sequence[int]) -> Iterator[int]:
        with self.bar(len(numbers), "chunks") as bar:
            for number in numbers:
                yield number
                bar.update()

    def bar(self, total: int, unit: str) -> "tqdm[Any]":
        """Show a progress bar, on a terminal, for what has a label and more than one part."""
        hidden = None if self.label and total > 1 else True
        return tqdm(total=total, desc=self.label, unit=f" {unit}", leave=False, disable=hidden)

    def digest(self) -> str:
        """Digest whatever the result depends on: code, rows and values."""
        code = (fingerprint(), self.function.__module__, self.function.__qualname__, source_of(self.function))
        return str(joblib.hash((code, self.pools, self.values)))


@functools.cache
def fingerprint() -> str:
    """Digest the code of this package and the versions of others: workers that have others might compute otherwise.

    Returns
    -------
    str

    Examples
    --------
    >>> len(fingerprint())
    16
    """
    versions = [sys.version_info[:2], *(_version_of(name) for name in PACKAGES)]
    digest = hashlib.blake2b(repr(versions).encode(), digest_size=8)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def source_of(function: Callable[..., Any]) -> str:
    """Digest the module of a function, as it was when this process first asked.

    Parameters
    ----------
    function : callable

    Returns
    -------
    str
        Empty where there is no file.

    Examples
    --------
    >>> len(source_of(source_of)), source_of(print)
    (16, '')
    """
    try:
        return _digest_of(inspect.getfile(function))
    except (OSError, TypeError):
        return ""


@functools.cache
def _digest_of(file: str) -> str:
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()


def _aligned(sources: Sequence[Rows]) -> list[Pool]:
    pools = [as_pool(source) for source in sources]
    on_disk = [pool for pool in pools if not pool.in_memory]
    chunk = on_disk[0].chunk if on_disk else pools[0].chunk
    pools = [Pool(pool.array(), chunk) if pool.in_memory and pool.chunk != chunk else pool for pool in pools]
    for pool in pools:
        if len(pool) != len(pools[0]) or pool.chunk != chunk:
            raise ValueError(f"pools of {len(pools[0])} and {len(pool)} rows, {chunk} and {pool.chunk} in a chunk")
    return pools


def _listed(into: Path | Sequence[Path] | None) -> list[Path]:
    folders = [] if into is None else [into] if isinstance(into, Path) else into
    return [folder.absolute() for folder in folders]  # a worker may be in another folder


def _is_complete(final: Path, digest: str, chunks: int) -> bool:
    """Tell whether a result is there, and whole; not if whoever removed it was ended on the way."""
    try:
        same = (final / DIGEST).read_text(encoding="ascii") == digest and Pool(final).chunks == chunks
        return same and all(pools_on_disk.written(final, number) for number in range(chunks))
    except OSError:
        return False


def _partial_of(final: Path, digest: str) -> Path:
    """Name the folder of a result until it is complete; remove those of other code, rows or values."""
    partial = final.with_name(f".partial-{final.name}-{digest}")
    for other in final.parent.glob(f".partial-{escape(final.name)}-{'?' * len(digest)}"):
        if other != partial:
            pools_on_disk.remove(other)
    return partial


def in_tree(leaf: Callable[[int], Any], join: Callable[[Iterator[Any]], Any], numbers: range) -> Any:
    """Combine the results of all numbers, FAN_IN neighbours at a time; few of them are alive at once.

    Parameters
    ----------
    leaf : callable
        From a number to its result.
    join : callable
        From results, in the order of their numbers, to one.
    numbers : range
        One at least.

    Returns
    -------
    The result of all.

    Examples
    --------
    >>> in_tree(str, lambda parts: f"({' '.join(parts)})", range(10))
    '((0 1 2 3 4 5 6 7) (8 9))'
    """
    if len(numbers) == 1:
        return leaf(numbers[0])
    span = 1
    while span * FAN_IN < len(numbers):
        span *= FAN_IN
    return join(in_tree(leaf, join, numbers[first : first + span]) for first in range(0, len(numbers), span))
