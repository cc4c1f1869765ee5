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
import logging
import os
import pickle
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from glob import escape
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import joblib
import numba
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fewlabels import pool as pools_on_disk
from fewlabels.pool import CHUNK, Pool, Rows, as_pool

Partial = TypeVar("Partial")

FAN_IN = 8
"""Partial results that are combined at once."""
TASKS = 1024
"""Tasks of one pass at most: each costs the one scheduler 2.5 ms."""
STALLED = 1800
"""Seconds without a finished task after which a cluster is given up."""
PATIENCE = 60
"""Seconds to wait for a scheduler, for its first worker, and for another one when all are gone."""
FAILURES = 3
"""Workers that may be lost during one task: with the next, the task is what ends them."""
UNFINISHED = "fewlabels-unfinished"
"""The folder within the scratch folder that has all that a run writes, until it ends without an error."""


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
            If the sources are not as long as each other, or the function returns another number of rows than it was
            given. Whatever else the function raises is raised, too.
        OSError
            If a result cannot be written, such as on a full disk.
        EngineError
            If a cluster is lost, or a task ends its workers.
        """
        work, folders = _Pass(function, sources, values, label), _listed(into)
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
        combined: Partial = self._reduced(_Pass(function, sources, values, label), combine)
        return combined

    def _in_memory(self, work: "_Pass") -> bool:
        """Whether new rows are computed in one call: where all that they are computed from is in memory."""
        read = [*work.pools, *(value for value in work.values.values() if isinstance(value, Pool))]
        return all(pool.in_memory for pool in read)

    @property
    def _unfinished(self) -> Path:
        assert self.scratch is not None  # noqa: S101 — who has none keeps results in memory
        return self.scratch / UNFINISHED

    def _by_chunks(self, work: "_Pass", outputs: int, folders: Sequence[Path]) -> list[Pool]:
        if self.scratch is None and not folders:
            columns = zip(*(work.mapped(outputs, number) for number in work.shown(range(work.chunks))), strict=True)
            return [Pool(np.concatenate(column), work.chunk) for column in columns]
        digest = work.digest()
        finals = folders or [self._unfinished / f"rows-{digest}-{place}" for place in range(outputs)]
        if folders or not all(final.is_dir() for final in finals):
            partials = [_partial_of(final, digest) for final in finals]
            missing = [n for n in range(work.chunks) if not all(pools_on_disk.written(one, n) for one in partials)]
            self._write(work, missing, partials)
            for partial, final in zip(partials, finals, strict=True):
                pools_on_disk.publish(partial, final)
        return [Pool(final) for final in finals]

    def _write(self, work: "_Pass", numbers: Sequence[int], folders: Sequence[Path]) -> None:
        for number in work.shown(numbers):
            work.write(number, folders)

    def _reduced(self, work: "_Pass", combine: Callable[[Any, Any], Any]) -> Any:
        with work.bar(work.chunks, "chunks") as bar:

            def leaf(number: int) -> Any:
                bar.update()
                return work.computed(number)

            return _tree(leaf, functools.partial(functools.reduce, combine), range(work.chunks))


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

    def __init__(self, function: Callable[..., Any], sources: Sequence[Rows], values: dict[str, Any], label: str):
        self.function, self.pools, self.values, self.label = function, _aligned(sources), values, label
        self.chunks, self.chunk = self.pools[0].chunks, self.pools[0].chunk
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
        code = (fingerprint(), self.function.__module__, self.function.__qualname__, _source_of(self.function))
        return str(joblib.hash((code, self.pools, self.values)))


@functools.cache
def fingerprint() -> str:
    """Digest the code of this package and the version of numpy: workers that have others might compute something else.

    Returns
    -------
    str

    Examples
    --------
    >>> len(fingerprint())
    16
    """
    digest = hashlib.blake2b(np.__version__.encode(), digest_size=8)
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


def _partial_of(final: Path, digest: str) -> Path:
    """Name the folder of a result until it is complete; remove those of other code, rows or values."""
    partial = final.with_name(f".partial-{final.name}-{digest}")
    for other in final.parent.glob(f".partial-{escape(final.name)}-{'?' * len(digest)}"):
        if other != partial:
            pools_on_disk.remove(other)
    return partial


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
        A folder that the client and all workers see under the same path, see `Local`.
    chunk : int, default=20480
        Rows that a task works through at least.

    Raises
    ------
    EngineError
        If no worker comes, or the scheduler or a worker has no fewlabels or another version of it, or a worker has more
        than one thread, or does not see the folder.

    Examples
    --------
    >>> from distributed import Client
    >>> with Client("tcp://host:8786") as client, Cluster(client, Path("/shared/scratch")):  # doctest: +SKIP
    ...     HOG((28, 28)).fit_transform(Pool("/shared/images"))
    """

    def __init__(self, client: Any, scratch: Path, chunk: int = CHUNK) -> None:
        super().__init__(scratch.absolute())
        self.client, self.chunk, self.address = client, chunk, str(client.scheduler.address)
        self._check()

    def _check(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise EngineError(f"engine.scheduler: {self.address}: no worker came within {PATIENCE} s") from None
        try:
            code = self.client.run_on_scheduler(fingerprint)
        except Exception as error:
            raise EngineError(f"engine.scheduler: {self.address} cannot import this fewlabels: {error}") from None
        if code != fingerprint():
            raise EngineError(f"engine.scheduler: {self.address} has another version of fewlabels or numpy")
        token = self._unfinished / f"seen-{uuid.uuid4().hex}"
        self._unfinished.mkdir(parents=True, exist_ok=True)
        token.touch()
        faults = self.client.run(_fault_of_worker, str(token), fingerprint(), on_error="return")
        token.unlink()
        for worker, fault in faults.items():
            if isinstance(fault, Exception):
                fault = f"cannot import this fewlabels: {fault}"
            if fault:
                raise EngineError(f"engine.scheduler: worker {worker} {fault}")

    def _in_memory(self, work: _Pass) -> bool:
        return False

    def _write(self, work: _Pass, numbers: Sequence[int], folders: Sequence[Path]) -> None:
        group = self._group(work)
        parts = [numbers[first : first + group] for first in range(0, len(numbers), group)]
        with self._specified(work) as spec:
            self._finish(self.client.map(_write_chunks, parts, spec=spec, folders=list(folders), pure=False), work)

    def _reduced(self, work: _Pass, combine: Callable[[Any, Any], Any]) -> Any:
        group = self._group(work)
        parts = [range(first, min(first + group, work.chunks)) for first in range(0, work.chunks, group)]
        with self._specified(work) as spec:
            tasks = self.client.map(_reduce_chunks, parts, spec=spec, combine=combine, pure=False)

            def join(futures: Iterator[Any]) -> Any:
                tasks.append(self.client.submit(functools.reduce, combine, list(futures), pure=False))
                return tasks[-1]

            root = _tree(tasks.__getitem__, join, range(len(parts)))
            return self._finish(tasks, work, root)

    def _group(self, work: _Pass) -> int:
        """Count the chunks of a task: a power of FAN_IN, so that the tree of sums is the same."""
        group = 1
        while work.chunks / group > TASKS or group * work.chunk < self.chunk:
            group *= FAN_IN
        return group

    @contextmanager
    def _specified(self, work: _Pass) -> Iterator[str]:
        """Write what a pass needs to a file, once: centroids are megabytes, and tasks go through one scheduler."""
        values = {
            name: self._shared(value) if isinstance(value, Pool) else value for name, value in work.values.items()
        }
        pools = [self._shared(pool) for pool in work.pools]
        spec = self._unfinished / f"pass-{uuid.uuid4().hex}.pickle"
        spec.write_bytes(pickle.dumps((fingerprint(), _Pass(work.function, pools, values, work.label))))
        try:
            yield str(spec)
        finally:
            spec.unlink(missing_ok=True)

    def _shared(self, pool: Pool) -> Pool:
        """Write a pool that is only in memory to a file that workers can read."""
        if pool.path:
            return pool
        path = self._unfinished / f"array-{joblib.hash(pool.array())}.npy"
        if not path.exists():
            pools_on_disk.save(path, pool.array())
        return Pool(path, pool.chunk)

    def _finish(self, tasks: Sequence[Any], work: _Pass, wanted: Any = None) -> Any:
        """Wait for all tasks, with a progress bar, and give the result of one; the first error ends all."""
        from distributed import CancelledError, KilledWorker

        done: SimpleQueue[Any] = SimpleQueue()
        for task in tasks:
            task.add_done_callback(done.put)
        try:
            with work.bar(len(tasks), "tasks") as bar:
                for _ in tasks:
                    task = self._next(done, work)
                    if task.status != "finished":
                        task.result()  # raises its error
                    bar.update()
            return wanted.result(timeout=STALLED) if wanted is not None else None
        except KilledWorker as error:
            raise EngineError(
                f"engine.memory: {work.name}: a task ended {FAILURES + 1} workers, the last on "
                f"{error.last_worker.host}: did it need more memory than they have?"
            ) from None
        except CancelledError:
            raise EngineError(f"engine.scheduler: {self.address}: went away during {work.name}") from None
        finally:
            with suppress(Exception):  # there is nobody to tell
                self.client.cancel([task for task in tasks if not task.done()], force=True)

    def _next(self, done: "SimpleQueue[Any]", work: _Pass) -> Any:
        """Wait for the next task that is done, for as long as there are workers."""
        started = alive = time.monotonic()
        while True:
            with suppress(Empty):
                return done.get(timeout=min(5, PATIENCE))
            with suppress(OSError):
                if self.client.scheduler_info(n_workers=0)["n_workers"]:
                    alive = time.monotonic()
            if time.monotonic() > alive + PATIENCE:
                raise EngineError(f"engine.scheduler: {self.address}: no worker is left, during {work.name}")
            if time.monotonic() > started + STALLED:
                raise EngineError(f"engine.scheduler: {self.address}: no task done for {STALLED} s, during {work.name}")


@contextmanager
def connected(
    scheduler: str, scratch: Path, *, workers: int = 2, memory: str = "1.5 GB", chunk: int = CHUNK
) -> Iterator[Cluster]:
    """Run on a cluster for as long as the block lasts.

    Parameters
    ----------
    scheduler : str
        `local`, for a cluster of processes on this machine, or the address of a scheduler, such as tcp://host:8786.
    scratch : Path
        A folder that the client and all workers see under the same path, see `Local`.
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
    from distributed import Client

    _silence()
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(CONFIGURATION | {"distributed.comm.timeouts.connect": f"{PATIENCE} s"}))
        if scheduler == "local":
            scheduler = stack.enter_context(_local_cluster(scratch, workers=workers, memory=memory))
        try:
            client = stack.enter_context(Client(scheduler, timeout=PATIENCE))  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise EngineError(f"engine.scheduler: {scheduler}: cannot be reached: {error}") from None
        yield stack.enter_context(Cluster(client, scratch, chunk))


@contextmanager
def served(folder: Path, *, workers: int = 2, memory: str = "1.5 GB", port: int = 8786) -> Iterator[tuple[str, str]]:
    """Serve a scheduler, its workers and its dashboard on this machine for as long as the block lasts.

    Parameters
    ----------
    folder : Path
        For what Dask writes on the way.
    workers : int, default=2
        Processes, each with one thread.
    memory : str, default="1.5 GB"
        Of each of them: a process that needs more is ended.
    port : int, default=8786
        Of the scheduler; 0 for any that is free, also for the dashboard.

    Yields
    ------
    scheduler, dashboard : str
        Addresses.

    Raises
    ------
    EngineError
        If the port is taken.

    Examples
    --------
    >>> with served(Path("scratch")) as (scheduler, dashboard):  # doctest: +SKIP
    ...     print(scheduler, dashboard)
    tcp://127.0.0.1:8786 http://127.0.0.1:8787/status
    """
    import dask

    with ExitStack() as stack:
        stack.enter_context(dask.config.set(CONFIGURATION))
        dashboard = f"127.0.0.1:{port + 1 if port else 0}"
        try:
            cluster = stack.enter_context(
                _local_cluster(folder, workers=workers, memory=memory, scheduler_port=port, dashboard_address=dashboard)
            )
        except (OSError, RuntimeError) as error:
            raise EngineError(f"port {port}: {error}") from None
        yield cluster.scheduler_address, cluster.dashboard_link


@contextmanager
def _local_cluster(scratch: Path, *, workers: int, memory: str, **where: Any) -> Iterator[Any]:
    from distributed import LocalCluster

    _silence()
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        _environment_kept(),
        TemporaryDirectory(dir=scratch, prefix="dask-", ignore_cleanup_errors=True) as folder,
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=memory,
            local_directory=str(Path(folder).absolute()),
            **{"dashboard_address": "127.0.0.1:0", **where},
        ) as cluster,
    ):
        yield cluster


def _silence() -> None:
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # whatever matters is raised


BEFORE_START = {
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "268435456",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "DASK_LOGGING__DISTRIBUTED": "CRITICAL",
}
"""Environment of our workers. Dask has them return memory at once, which makes gradients three times slower."""
CONFIGURATION = {
    "distributed.nanny.pre-spawn-environ": BEFORE_START,
    "distributed.scheduler.allowed-failures": FAILURES,
    # So long after it lost a worker, a local cluster gives up for ever whichever one is just being started again.
    "distributed.deploy.lost-worker-timeout": "100 days",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
QUIET = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application")


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo what Dask does where it starts workers: it sets their environment in this process, too."""
    before = {name: os.environ.get(name) for name in (*BEFORE_START, "PYTHONHASHSEED")}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


# ---- in a worker


def _fault_of_worker(token: str, code: str, dask_worker: Any) -> str:
    if fingerprint() != code:
        return "has another version of fewlabels or numpy"
    if not Path(token).exists():
        return f"does not see the folder {Path(token).parents[1]}"
    threads = dask_worker.state.nthreads
    return f"has {threads} threads: start it with --nthreads 1" if threads > 1 else ""


@functools.lru_cache(maxsize=2)
def _loaded(spec: str) -> _Pass:
    """Read what a pass needs; workers may have come since the run began, and have not been looked at."""
    try:
        code, work = pickle.loads(Path(spec).read_bytes())  # noqa: S301 — written by the client, in the shared folder
    except FileNotFoundError:
        raise EngineError(f"engine.scheduler: worker {platform.node()} does not see the file {spec}") from None
    if code != fingerprint():
        raise EngineError(f"engine.scheduler: worker {platform.node()} has another version of fewlabels or numpy")
    loaded: _Pass = work
    return loaded


def _in_one_thread(spec: str) -> _Pass:
    """Take a worker's one thread for all: numba would have one for each core."""
    numba.set_num_threads(1)
    return _loaded(spec)


def _write_chunks(numbers: Sequence[int], spec: str, folders: Sequence[Path]) -> None:
    for number in numbers:
        if not all(pools_on_disk.written(folder, number) for folder in folders):
            _in_one_thread(spec).write(number, folders)


def _reduce_chunks(numbers: range, spec: str, combine: Callable[[Any, Any], Any]) -> Any:
    return _tree(_in_one_thread(spec).computed, functools.partial(functools.reduce, combine), numbers)
