"""Run a function over all rows of pools on the workers of a Dask scheduler: the only module that knows Dask.

Tasks are runs of chunks. What they need besides their rows is in one file of the folder that the client and all workers
see; a task writes its rows there, or returns a small partial result. So a worker can be lost at any moment: others
compute its chunks again. A task that ends one worker after the other is given up.
"""

import functools
import logging
import os
import pickle
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import joblib

from fewlabels import pool as pools_on_disk
from fewlabels.pool import CHUNK, CHUNK_BYTES, Pool
from fewlabels.run import FAN_IN, EngineError, Local, Pass, fingerprint, in_tree, source_of
from fewlabels.threads import use_one_thread

TASKS = 1024
"""Tasks of one pass at most: each costs the one scheduler 2.5 ms."""
STALLED = 1800
"""Seconds without a finished task after which a cluster is given up; of slow work, eight times as many."""
PATIENCE = 60
"""Seconds to wait for a scheduler, for its first worker, and for another one when all are gone."""
FAILURES = 3
"""Workers that may be lost during one task: with the next, the task is what ends them."""
BEFORE_START = {
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_MMAP_THRESHOLD_": "16777216",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "DASK_LOGGING__DISTRIBUTED": "CRITICAL",
}
"""Environment of our workers. Dask has them return memory at once, which makes gradients three times slower; arrays of
16 MB and more are returned, for a worker would keep the largest that it ever had."""
CONFIGURATION = {
    "distributed.nanny.pre-spawn-environ": BEFORE_START,
    "distributed.scheduler.allowed-failures": FAILURES,
    # So long after it lost a worker, a local cluster gives up for ever whichever one is just being started again.
    "distributed.deploy.lost-worker-timeout": "100 days",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
TENSORFLOW_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Environment that TensorFlow reads when it is first used."""
OTHER_CODE = "has another version of fewlabels or of a package that it computes with, or was started before a change"
IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""Run by our workers when they start: the terminal sends Ctrl-C to them, too, and the client ends them."""
QUIET = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application")

fingerprint()  # is remembered: workers of `served` import this at their start, and are asked much later


class Cluster(Local):
    """Run on the workers of a Dask scheduler.

    Parameters
    ----------
    client : distributed.Client
    scratch : Path
        A folder that the client and all workers see under the same path, see `Local`.
    chunk : int, default=20480
        Rows that a task works through, about: whole files, fewer where they have more than some 32 MB.

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
            self._answer(self.client.wait_for_workers, 1, timeout=PATIENCE)
        except TimeoutError:
            raise EngineError(f"engine.scheduler: {self.address}: no worker came within {PATIENCE} s") from None
        try:
            code = self._answer(self.client.run_on_scheduler, fingerprint)
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"engine.scheduler: {self.address} cannot import this fewlabels: {error}") from None
        if code != fingerprint():
            raise EngineError(f"engine.scheduler: {self.address} {OTHER_CODE}")
        token = self._unfinished / f"seen-{uuid.uuid4().hex}"
        self._unfinished.mkdir(parents=True, exist_ok=True)
        token.touch()
        try:
            asked = (_fault_of_worker, str(token), fingerprint())
            faults = self._answer(self.client.run, *asked, on_error="return")
        finally:
            token.unlink(missing_ok=True)
        for worker, fault in faults.items():
            if isinstance(fault, Exception):
                fault = f"cannot import this fewlabels: {fault}"
            if fault:
                raise _unfit(worker, fault)

    def _answer(self, ask: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Ask scheduler or workers; Dask waits for ever for one that says nothing while its connection stands."""
        answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

        def wait() -> None:
            try:
                answers.put((ask(*arguments, **named), None))
            except BaseException as error:
                answers.put((None, error))

        threading.Thread(target=wait, daemon=True).start()
        try:
            answer, error = answers.get(timeout=PATIENCE + named.get("timeout", 0))
        except Empty:
            raise EngineError(
                f"engine.scheduler: {self.address}: it, or one of its workers, did not answer within {PATIENCE} s"
            ) from None
        if error is not None:
            raise error
        return answer

    def _in_memory(self, work: Pass) -> bool:
        return False

    def _write(self, work: Pass, numbers: Sequence[int], folders: Sequence[Path]) -> None:
        group = self._group(work)
        parts = [numbers[first : first + group] for first in range(0, len(numbers), group)]
        with self._specified(work) as spec, self._faults_named(work):
            self._finish(self.client.map(_write_chunks, parts, spec=spec, folders=list(folders), pure=False), work)

    def _reduced(self, work: Pass, combine: Callable[[Any, Any], Any]) -> Any:
        group = self._group(work)
        parts = [range(first, min(first + group, work.chunks)) for first in range(0, work.chunks, group)]
        with self._specified(work) as spec, self._faults_named(work):
            tasks = self.client.map(_reduce_chunks, parts, spec=spec, combine=combine, pure=False)

            def join(futures: Iterator[Any]) -> Any:
                tasks.append(self.client.submit(functools.reduce, combine, list(futures), pure=False))
                return tasks[-1]

            root = in_tree(tasks.__getitem__, join, range(len(parts)))
            return self._finish(tasks, work, root)

    def _group(self, work: Pass) -> int:
        """Count the chunks of a task; of large images it has fewer: they take longer."""
        wanted = 1 if work.slow else min(self.chunk / work.chunk, CHUNK_BYTES / work.chunk_bytes)
        return chunks_of_task(work.chunks, wanted)

    @contextmanager
    def _specified(self, work: Pass) -> Iterator[str]:
        """Write what a pass needs to a file, once: centroids are megabytes, and tasks go through one scheduler."""
        values = {
            name: self._shared(value) if isinstance(value, Pool) else value for name, value in work.values.items()
        }
        pools = [self._shared(pool) for pool in work.pools]
        spec = self._unfinished / f"pass-{uuid.uuid4().hex}.pickle"
        code = fingerprint(), source_of(work.function)
        try:
            with pools_on_disk.whole_file(spec) as file:
                pickle.dump((code, Pass(work.function, pools, values, work.label, work.slow)), file)
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

    def _finish(self, tasks: Sequence[Any], work: Pass, wanted: Any = None) -> Any:
        """Wait for all tasks, with a progress bar, and give the result of one; the first error ends all."""
        done: SimpleQueue[Any] = SimpleQueue()
        for task in tasks:
            task.add_done_callback(done.put)
        try:
            with work.bar(len(tasks), "tasks") as bar:
                for _ in tasks:
                    task = self._next(done, work)
                    if task.status != "finished":
                        self._result(task, work)  # raises its error; lost with its worker, it is computed again
                    bar.update()
            return self._result(wanted, work) if wanted is not None else None
        finally:
            with suppress(Exception):  # there is nobody to tell
                self.client.cancel([task for task in tasks if not task.done()], force=True)

    def _result(self, task: Any, work: Pass) -> Any:
        try:
            return task.result(timeout=STALLED)
        except TimeoutError:
            if task.status == "error":  # it is the task's own
                raise
            raise self._stalled(STALLED, work) from None

    def _stalled(self, seconds: float, work: Pass) -> EngineError:
        return EngineError(f"engine.scheduler: {self.address}: no task done for {seconds} s, during {work.name}")

    @contextmanager
    def _faults_named(self, work: Pass) -> Iterator[None]:
        """Say in one line what has ended a pass, or kept it from being begun."""
        from distributed import CancelledError, KilledWorker
        from distributed.client import ClosedClientError

        where = f"engine.scheduler: {self.address}"
        try:
            yield
        except KilledWorker as error:
            raise EngineError(
                f"{where}: {work.name}: a task ended {FAILURES + 1} workers, the last on {error.last_worker.host}: did "
                "it need more memory than they have? That is engine.memory with `local`, else --memory-limit"
            ) from None
        except (CancelledError, ClosedClientError):
            raise EngineError(f"{where}: went away during {work.name}, or before") from None

    def _next(self, done: "SimpleQueue[Any]", work: Pass) -> Any:
        """Wait for the next task that is done, for as long as there are workers."""
        started = alive = time.monotonic()
        stalled = STALLED * (FAN_IN if work.slow else 1)
        while True:
            with suppress(Empty):
                return done.get(timeout=min(5, PATIENCE))
            with suppress(OSError):
                if self._answer(self.client.scheduler_info, n_workers=0)["n_workers"]:
                    alive = time.monotonic()
            if time.monotonic() > alive + PATIENCE:
                raise EngineError(
                    f"engine.scheduler: {self.address}: no worker is left, during {work.name}: "
                    "did they need more memory than they have?"
                )
            if time.monotonic() > started + stalled:
                raise self._stalled(stalled, work)


def chunks_of_task(chunks: int, wanted: float = 1) -> int:
    """Count the chunks that one task works through: a power of FAN_IN, so that the tree of sums is the same.

    Parameters
    ----------
    chunks : int
        Of the whole pass, which has at most TASKS tasks.
    wanted : float, default=1
        A task has no fewer.

    Returns
    -------
    int

    Examples
    --------
    >>> chunks_of_task(49), chunks_of_task(49, 3), chunks_of_task(48_829)
    (1, 8, 64)
    """
    group = 1
    while chunks / group > TASKS or group < wanted:
        group *= FAN_IN
    return group


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
        Rows that a task works through, about: whole files, fewer where they have more than some 32 MB.

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
            try:
                scheduler = stack.enter_context(_local_cluster(scratch, workers=workers, memory=memory))
            except (OSError, RuntimeError, AssertionError) as error:
                raise EngineError(f"engine.scheduler: local: its workers cannot be started: {_said(error)}") from None
        try:
            client = stack.enter_context(Client(scheduler, timeout=PATIENCE))  # type: ignore[no-untyped-call]
        except (OSError, TypeError, ValueError, AssertionError) as error:  # TypeError: tls:// without Dask's settings
            raise EngineError(f"engine.scheduler: {scheduler}: cannot be reached: {_said(error)}") from None
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
        If the port is taken, or the folder cannot be written.

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
        except (OSError, RuntimeError, AssertionError) as error:
            raise EngineError(f"port {port} or {folder}: {_said(error)}") from None
        yield cluster.scheduler_address, cluster.dashboard_link


@contextmanager
def _local_cluster(scratch: Path, *, workers: int, memory: str, **where: Any) -> Iterator[Any]:
    from distributed import LocalCluster

    _silence()
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        _environment_kept(),
        TemporaryDirectory(dir=scratch, prefix="dask-", ignore_cleanup_errors=True) as folder,
    ):
        cluster = LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=memory,
            local_directory=str(Path(folder).absolute()),
            preload=IGNORE_CTRL_C,
            **{"dashboard_address": "127.0.0.1:0", **where},
        )
        try:
            yield cluster
        finally:
            with suppress(TimeoutError):  # on a busy machine a worker takes longer to end than Dask waits for it
                cluster.close()


def _said(error: Exception) -> str:
    """Say why Dask did not start; where its thread has not begun within 10 s, it raises an assertion without words."""
    if isinstance(error, AssertionError):
        return "this machine is too busy to start Dask"
    return str(error) or type(error).__name__


def _unfit(worker: str, fault: str) -> EngineError:
    return EngineError(f"engine.scheduler: worker {worker} {fault}")


def _silence() -> None:
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # whatever matters is raised


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
        return OTHER_CODE
    if not Path(token).exists():
        return f"does not see the folder {Path(token).parents[1]}"
    return _fault_of_threads(dask_worker)


def _fault_of_threads(worker: Any) -> str:
    threads = worker.state.nthreads
    return f"has {threads} threads: start it with --nthreads 1" if threads > 1 else ""


@functools.lru_cache(maxsize=2)
def _loaded(spec: str) -> Pass:
    """Read what a pass needs."""
    try:
        (code, source), work = pickle.loads(Path(spec).read_bytes())  # noqa: S301 — written by the client, in the shared folder
    except FileNotFoundError:
        raise _unfit(platform.node(), f"does not see the file {spec}") from None
    if code != fingerprint() or source != source_of(work.function):
        raise _unfit(platform.node(), OTHER_CODE)
    loaded: Pass = work
    return loaded


def _in_one_thread(spec: str) -> Pass:
    """Take a worker's one thread for all: chunks and TensorFlow would have one for each core.

    Workers may have come since the run began, and have not been looked at.
    """
    from distributed import get_worker

    fault = _fault_of_threads(get_worker())
    if fault:
        raise _unfit(platform.node(), fault)
    use_one_thread()
    os.environ.update(dict.fromkeys(TENSORFLOW_THREADS, "1"))
    return _loaded(spec)


def _write_chunks(numbers: Sequence[int], spec: str, folders: Sequence[Path]) -> None:
    for number in numbers:
        if not all(pools_on_disk.written(folder, number) for folder in folders):
            _in_one_thread(spec).write(number, folders)


def _reduce_chunks(numbers: range, spec: str, combine: Callable[[Any, Any], Any]) -> Any:
    return in_tree(_in_one_thread(spec).computed, functools.partial(functools.reduce, combine), numbers)
