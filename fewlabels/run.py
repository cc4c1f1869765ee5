"""Run a function over all rows of pools, a chunk at a time: here, or on a Dask cluster, with the same bits.

A function is called with the rows of its chunk, as a slice, the chunks, and values that are the same for all. It keeps
no state, so that a chunk can be computed again, elsewhere, when a worker was lost. What a cluster runs must be at the
top of a module that its workers can import; they see the same folder as the client.

Sums over chunks are taken in a fixed tree, eight at a time by the number of the chunk, so that they do not depend on
how many workers there are.
"""

import functools
import hashlib
import inspect
import pickle
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self, TypeVar

import joblib
import numpy as np
from tqdm import tqdm

from fewlabels import pool as pools_on_disk
from fewlabels.pool import Pool, Rows, as_pool

Partial = TypeVar("Partial")

FAN_IN = 8
"""Partial results that are combined at once."""
TASKS = 1024
"""Tasks of one pass at most: each costs the one scheduler 2.5 ms."""
STALLED = 1800
"""Seconds without a finished task after which a cluster is given up."""
PATIENCE = 60
"""Seconds to wait for a scheduler, and for its first worker."""
FAILURES = 3
"""Workers that may be lost during one task: with the next, the task is what ends them."""
MALLOC = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "268435456"}
"""Dask has workers return memory to the system at once, which makes gradients three times slower."""
ONE_THREAD = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class EngineError(RuntimeError):
    """A cluster that cannot be used, or that was lost; its text is one line for the person who runs it."""


class Local:
    """Run in this process; compiled loops and matrix products use all its cores.

    Parameters
    ----------
    scratch : Path, optional
        A folder for results that are rows: they are then written a chunk at a time, and a run that ended early goes on
        from what is there. Without it they stay in memory.

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

    def __exit__(self, *error: object) -> None:
        _current.reset(self._before)

    def map(
        self,
        function: Callable[..., Any],
        *sources: Rows,
        outputs: int = 1,
        into: Path | Sequence[Path] | None = None,
        label: str = "",
        **values: Any,
    ) -> Any:
        """Compute new rows from rows.

        Parameters
        ----------
        function : callable
            `(rows, *chunks, **values)`, where `rows` is a slice; returns an array with a row for each, or a tuple of
            such arrays.
        *sources : ndarray or Pool
            Of the same length, and the same rows in a chunk.
        outputs : int, default=1
            How many arrays the function returns.
        into : Path or sequence of Path, optional
            Folders for the results, one for each output. They are complete once they are there.
        label : str
            What is computed, for the progress bar and for errors.
        **values
            The same for all chunks.

        Returns
        -------
        ndarray or Pool, or a tuple of them
            Arrays, if all sources are arrays and there is no `into`.

        Raises
        ------
        ValueError
            If the sources are not as long as each other, and whatever the function raises.
        EngineError
            If a cluster is lost, or a task ends its workers.
        """
        pools = _aligned(sources)
        folders = _listed(into)
        arrays = not folders and not any(isinstance(source, Pool) for source in sources)
        read = [*pools, *(value for value in values.values() if isinstance(value, Pool))]
        if not folders and self._whole(read):
            computed = function(slice(0, len(pools[0])), *(pool.array() for pool in pools), **values)
            found = [Pool(one) for one in (computed if outputs > 1 else [computed])]
        else:
            found = self._by_chunks(_Pass(function, pools, values, label), outputs, folders)
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
        combined: Partial = self._reduced(_Pass(function, _aligned(sources), values, label), combine)
        return combined

    def _whole(self, pools: Sequence[Pool]) -> bool:
        """Whether rows are computed in one call: where all that they are computed from is in memory."""
        return all(pool.in_memory for pool in pools)

    def _by_chunks(self, work: "_Pass", outputs: int, folders: Sequence[Path]) -> list[Pool]:
        if self.scratch is None and not folders:
            chunks = [work.computed(number) for number in work.numbers(shown=True)]
            columns = zip(*chunks, strict=True) if outputs > 1 else [chunks]
            return [Pool(np.concatenate(list(column)), work.pools[0].chunk) for column in columns]
        digest = work.digest()
        finals = folders or [_scratch_of(self.scratch) / f"{digest}-{place}" for place in range(outputs)]
        partials = [final.with_name(f".partial-{final.name}-{digest}"[:200]) for final in finals]
        if folders or not all(final.is_dir() for final in finals):
            for final in finals:
                _remove_partials(final, but=digest)
            missing = [n for n in range(work.chunks) if not all(pools_on_disk.written(one, n) for one in partials)]
            self._write(work, missing, partials)
            for partial, final in zip(partials, finals, strict=True):
                _remove(final)
                partial.rename(final)
        return [Pool(final) for final in finals]

    def _write(self, work: "_Pass", numbers: Sequence[int], folders: Sequence[Path]) -> None:
        for number in work.shown(numbers):
            work.write(number, folders)

    def _reduced(self, work: "_Pass", combine: Callable[[Any, Any], Any]) -> Any:
        bar = iter(work.numbers(shown=True))
        return _tree(
            lambda _: work.computed(next(bar)),
            lambda parts: functools.reduce(combine, parts),
            range(work.chunks),
        )


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


class _Pass:
    """A function, the pools that it is called with, a chunk at a time, and what is the same for all chunks."""

    def __init__(self, function: Callable[..., Any], pools: Sequence[Pool], values: dict[str, Any], label: str) -> None:
        self.function, self.pools, self.values, self.label = function, list(pools), values, label
        self.chunks = pools[0].chunks

    def computed(self, number: int) -> Any:
        chunks = (pool.read(number) for pool in self.pools)
        return self.function(self.pools[0].rows(number), *chunks, **self.values)

    def write(self, number: int, folders: Sequence[Path]) -> None:
        computed = self.computed(number)
        for folder, one in zip(folders, computed if len(folders) > 1 else [computed], strict=True):
            pools_on_disk.write(folder, number, one)

    def numbers(self, shown: bool) -> Iterable[int]:
        return self.shown(range(self.chunks)) if shown else range(self.chunks)

    def shown(self, numbers: Sequence[int]) -> Iterable[int]:
        """Show a progress bar, on a terminal, where there is more than one chunk."""
        few = None if len(numbers) > 1 and self.label else True
        bar: Iterable[int] = tqdm(numbers, desc=self.label, unit=" chunks", leave=False, disable=few)
        return bar

    def digest(self) -> str:
        """Digest whatever the result depends on: code, rows and values."""
        values = {name: value.identity() if isinstance(value, Pool) else value for name, value in self.values.items()}
        rows = [pool.identity() if pool.path else joblib.hash(pool.array()) for pool in self.pools]
        code = (fingerprint(), self.function.__module__, self.function.__qualname__, _source_of(self.function))
        return hashlib.blake2b(repr((code, rows, joblib.hash(values))).encode(), digest_size=12).hexdigest()


def fingerprint() -> str:
    """Digest the code of this package: workers whose digest differs would compute something else.

    Returns
    -------
    str

    Examples
    --------
    >>> len(fingerprint())
    16
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _source_of(function: Callable[..., Any]) -> str:
    try:
        return hashlib.blake2b(Path(inspect.getfile(function)).read_bytes(), digest_size=8).hexdigest()
    except (OSError, TypeError):
        return ""


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
    return [] if into is None else [into] if isinstance(into, Path) else list(into)


def _scratch_of(scratch: Path | None) -> Path:
    assert scratch is not None  # noqa: S101 — who has none keeps results in memory
    return scratch


def _remove_partials(final: Path, but: str) -> None:
    for stale in final.parent.glob(f".partial-{final.name}-*"):
        if not stale.name.endswith(but):
            _remove(stale)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _tree(leaf: Callable[[int], Any], join: Callable[[Iterator[Any]], Any], numbers: range) -> Any:
    """Combine the results of all numbers, FAN_IN neighbours at a time; few of them are alive at once."""
    if len(numbers) == 1:
        return leaf(numbers[0])
    span = 1
    while span * FAN_IN < len(numbers):
        span *= FAN_IN
    return join(_tree(leaf, join, numbers[first : first + span]) for first in range(0, len(numbers), span))


# ---- Dask


class Cluster(Local):
    """Run on the workers of a Dask scheduler.

    Parameters
    ----------
    client : distributed.Client
    scratch : Path
        A folder that the client and all workers see under the same path.
    chunk : int, default=20480
        Rows that a task works through at least.

    Raises
    ------
    EngineError
        If no worker comes, a worker has no fewlabels or another version of it, or does not see the folder.

    Examples
    --------
    >>> from distributed import Client
    >>> with Client("tcp://host:8786") as client, Cluster(client, Path("/shared/scratch")):  # doctest: +SKIP
    ...     HOG((28, 28)).fit_transform(Pool("/shared/images"))
    """

    def __init__(self, client: Any, scratch: Path, chunk: int = pools_on_disk.CHUNK) -> None:
        super().__init__(scratch.absolute())
        self.client, self.chunk = client, chunk
        self._check()

    def _check(self) -> None:
        scratch = _scratch_of(self.scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        token = scratch / f".seen-{uuid.uuid4().hex}"
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise EngineError(f"engine.scheduler: {self._address}: no worker came within {PATIENCE} s") from None
        token.touch()
        try:
            seen = self.client.run(_state_of_worker, str(token), on_error="return")
        finally:
            token.unlink()
        for worker, state in seen.items():
            if isinstance(state, Exception):
                raise EngineError(f"engine.scheduler: worker {worker} cannot import this fewlabels: {state}")
            if state[0] != fingerprint():
                raise EngineError(f"engine.scheduler: worker {worker} has another version of fewlabels")
            if not state[1]:
                raise EngineError(f"engine.scheduler: worker {worker} does not see the folder {scratch}")

    @property
    def _address(self) -> str:
        return str(self.client.scheduler.address if self.client.scheduler else "")

    def _whole(self, pools: Sequence[Pool]) -> bool:
        return False

    def _write(self, work: _Pass, numbers: Sequence[int], folders: Sequence[Path]) -> None:
        group = self._group(work)
        parts = [numbers[first : first + group] for first in range(0, len(numbers), group)]
        with self._specified(work) as spec:
            tasks = self.client.map(_write_chunks, parts, spec=spec, folders=list(folders), pure=False)
            self._results(tasks, tasks, work)

    def _reduced(self, work: _Pass, combine: Callable[[Any, Any], Any]) -> Any:
        group = self._group(work)
        starts = range(0, work.chunks, group)
        parts = [range(first, min(first + group, work.chunks)) for first in starts]
        with self._specified(work) as spec:
            leaves = self.client.map(_reduce_chunks, parts, spec=spec, combine=combine, pure=False)
            root = _tree(
                leaves.__getitem__,
                lambda futures: self.client.submit(_fold, combine, list(futures), pure=False),
                range(len(leaves)),
            )
            return self._results([*leaves, root], [root], work)[0]

    def _group(self, work: _Pass) -> int:
        """Count the chunks of a task: a power of FAN_IN, so that the tree of sums is the same."""
        group = 1
        while work.chunks / group > TASKS or group * work.pools[0].chunk < self.chunk:
            group *= FAN_IN
        return group

    @contextmanager
    def _specified(self, work: _Pass) -> Iterator[str]:
        """Write what a pass needs to a file, once: centroids are megabytes, and tasks go through one scheduler."""
        scratch = _scratch_of(self.scratch)
        spec = scratch / f"pass-{uuid.uuid4().hex}.pickle"
        shared = [pool if pool.path else _saved(pool, scratch) for pool in work.pools]
        values = {
            name: _saved(value, scratch) if isinstance(value, Pool) and not value.path else value
            for name, value in work.values.items()
        }
        spec.write_bytes(pickle.dumps(_Pass(work.function, shared, values, work.label)))
        try:
            yield str(spec)
        finally:
            spec.unlink(missing_ok=True)

    def _results(self, tasks: Sequence[Any], wanted: Sequence[Any], work: _Pass) -> list[Any]:
        """Wait for tasks, with a progress bar, and give the results wanted; the first error ends all tasks."""
        from distributed import CancelledError, KilledWorker, wait
        from distributed.comm.core import CommClosedError

        what, pending = work.label or work.function.__name__, set(tasks)
        bar = tqdm(total=len(tasks), desc=work.label, unit=" tasks", leave=False, disable=None if work.label else True)
        try:
            while pending:
                state = wait(list(pending), timeout=STALLED, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
                bar.update(len(state.done))
                pending = set(state.not_done)
                for future in state.done:
                    if future.status != "finished":
                        future.result()
            results: list[Any] = self.client.gather(list(wanted))
            return results
        except KilledWorker as error:
            raise EngineError(
                f"engine.memory: {what}: a task ended {FAILURES + 1} workers, the last {error.last_worker.address}: "
                "did it need more memory than they have?"
            ) from None
        except (CancelledError, CommClosedError, TimeoutError) as error:
            lost = "went away" if not isinstance(error, TimeoutError) else f"finished no task within {STALLED} s"
            raise EngineError(f"engine.scheduler: {self._address}: {lost} during {what}") from None
        finally:
            bar.close()
            if pending:
                self.client.cancel(list(tasks), force=True)


def _saved(pool: Pool, scratch: Path) -> Pool:
    """Write a pool that is in memory to a file that workers can read."""
    path = scratch / f"{joblib.hash(pool.array())}.npy"
    if not path.exists():
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with partial.open("wb") as file:
            np.save(file, pool.array())
        partial.replace(path)
    return Pool(path, pool.chunk)


@contextmanager
def connected(
    scheduler: str, scratch: Path, *, workers: int = 2, memory: str = "1.5 GB", chunk: int = pools_on_disk.CHUNK
) -> Iterator[Cluster]:
    """Run on a cluster for as long as the block lasts.

    Parameters
    ----------
    scheduler : str
        `local`, for a cluster of processes on this machine, or the address of a scheduler, such as tcp://host:8786.
    scratch : Path
        A folder that the client and all workers see under the same path.
    workers : int, default=2
        Processes of a local cluster, each with one thread.
    memory : str, default="1.5 GB"
        Of each of them: a process that needs more is ended.
    chunk : int, default=20480
        Rows that a task works through at least.

    Yields
    ------
    Cluster

    Raises
    ------
    EngineError
        As `Cluster` does, or if the scheduler cannot be reached.

    Examples
    --------
    >>> with connected("local", Path("scratch"), workers=2):  # doctest: +SKIP
    ...     HOG((28, 28)).fit_transform(Pool("images"))
    """
    import dask

    own = {
        "distributed.nanny.pre-spawn-environ": MALLOC | ONE_THREAD,
        "distributed.scheduler.allowed-failures": FAILURES,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.comm.timeouts.connect": f"{PATIENCE}s",
        "logging": {"distributed": "critical", "distributed.client": "critical", "tornado": "critical"},
    }
    with dask.config.set(own):
        from distributed import Client, LocalCluster  # not above: it reads how to log when it is imported

        if scheduler == "local":
            cluster = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=memory,
                dashboard_address=None,
                local_directory=str(scratch.absolute()),
            )
            with cluster, Client(cluster) as client, Cluster(client, scratch, chunk) as run:  # type: ignore[no-untyped-call]
                yield run
            return
        try:
            client = Client(scheduler, timeout=PATIENCE)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise EngineError(f"engine.scheduler: {scheduler}: cannot be reached: {error}") from None
        with client, Cluster(client, scratch, chunk) as run:
            yield run


@contextmanager
def served(folder: Path, *, workers: int, memory: str) -> Iterator[tuple[str, str]]:
    """Serve a scheduler with its workers and its dashboard on this machine, for as long as the block lasts."""
    raise NotImplementedError
    yield "", ""


@functools.lru_cache(maxsize=2)
def _loaded(spec: str) -> _Pass:
    work: _Pass = pickle.loads(Path(spec).read_bytes())  # noqa: S301 — written by the client, in the shared folder
    return work


def _write_chunks(numbers: Sequence[int], spec: str, folders: Sequence[Path]) -> None:
    for number in numbers:
        if not all(pools_on_disk.written(folder, number) for folder in folders):
            _loaded(spec).write(number, folders)


def _reduce_chunks(numbers: range, spec: str, combine: Callable[[Any, Any], Any]) -> Any:
    return _tree(_loaded(spec).computed, lambda parts: functools.reduce(combine, parts), numbers)


def _fold(combine: Callable[[Any, Any], Any], parts: Sequence[Any]) -> Any:
    return functools.reduce(combine, parts)


def _state_of_worker(token: str) -> tuple[str, bool]:
    return fingerprint(), Path(token).exists()
