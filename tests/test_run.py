"""Runs over the chunks of pools: the same bits wherever and by however many; what is left after an error, and used."""

import functools
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import chunk_tasks as tasks
import numpy as np
import pytest
from conftest import PROJECT
from distributed import Client, LocalCluster
from shards import shards

from fewlabels import dask_cluster
from fewlabels import run as run_module
from fewlabels.dask_cluster import Cluster, connected, served
from fewlabels.pool import Pool, write
from fewlabels.run import EngineError, Local, Pass, current

X = np.random.default_rng(0).normal(size=(521, 3)).astype(np.float32)
CHUNK = 8
CHUNKS = 66
OTHER = "has another version of fewlabels or of a package that it computes with, or was started before a change$"
GONE_AWAY = r"^engine.scheduler: tcp://\S+: went away during {}, or before$"
GONE = r"no worker is left, during the slow work: did they need more memory than they have\?$"


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return shards(tmp_path / "rows", X, CHUNK)


def fixed_tree() -> bytes:
    """The sum as it must be: of 8 neighbours, and of 8 of those, and so on, each from the left."""
    level = [X[start : start + CHUNK].sum(0, dtype=np.float32) for start in range(0, len(X), CHUNK)]
    while len(level) > 1:
        level = [functools.reduce(np.add, level[first : first + 8]) for first in range(0, len(level), 8)]
    return level[0].tobytes()


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


# ---- map


def test_rows_of_arrays_are_computed_in_one_call_and_are_arrays(tmp_path: Path) -> None:
    for run in (Local(), Local(tmp_path / "scratch")):
        (tmp_path / "notes").unlink(missing_ok=True)
        doubled = run.map(tasks.noted, X, folder=tmp_path)
        assert isinstance(doubled, np.ndarray)
        assert np.array_equal(doubled, 2 * X)
        assert (tmp_path / "notes").read_text() == "0\n"
    assert not (tmp_path / "scratch").exists()


def test_rows_of_pools_are_pools_in_memory_or_in_the_scratch_folder(pool: Pool, tmp_path: Path) -> None:
    sums = X.sum(1) + np.arange(len(X))
    with Local(tmp_path / "scratch") as scratch:
        for run, in_memory in ((Local(), True), (scratch, False)):
            numbers, found = run.map(tasks.numbered, pool, np.arange(len(X)), outputs=2)
            assert numbers.in_memory == found.in_memory == in_memory
            assert numbers.chunk == CHUNK
            assert np.array_equal(numbers.array(), np.arange(len(X)))
            assert np.array_equal(found.array(), sums)
    assert isinstance(Local().map(tasks.doubled, Pool(X)), Pool)


def test_a_pool_among_the_values_is_looked_up(pool: Pool, tmp_path: Path) -> None:
    rows = np.arange(len(X))[::-1].copy()
    with Local(tmp_path / "scratch") as run:
        assert np.array_equal(run.map(tasks.looked_up, rows, table=pool), X[::-1])
        assert np.array_equal(run.map(tasks.looked_up, Pool(rows), table=pool).array(), X[::-1])


def test_pools_must_be_as_long_as_each_other(pool: Pool) -> None:
    with pytest.raises(ValueError, match="pools of 521 and 520 rows, 8 and 8 in a chunk"):
        Local().map(tasks.numbered, pool, np.arange(520), outputs=2)


def test_a_function_must_return_a_row_for_each(pool: Pool, tmp_path: Path) -> None:
    for run, source in ((Local(), X), (Local(), pool), (Local(tmp_path / "scratch"), pool)):
        with pytest.raises(ValueError, match=rf"the half: \d+ rows computed from {len(X) if source is X else CHUNK}"):
            run.map(half, source, label="the half")


def half(rows: slice, chunk: Any) -> Any:
    return chunk[::2]


def test_the_run_of_a_block_is_current() -> None:
    outside = current()
    with Local() as outer:
        with pytest.raises(KeyError), Local() as inner:
            assert current() is inner
            raise KeyError
        assert current() is outer
    assert current() is outside


# ---- map_reduce


@pytest.mark.parametrize("chunk", [1, 8, 9, 64, 512, 4096])
def test_sums_are_of_a_fixed_tree(pool: Pool, chunk: int) -> None:
    assert Local().map_reduce(tasks.total, tasks.added, pool).tobytes() == fixed_tree()
    assert Local().map_reduce(tasks.total, tasks.added, Pool(X, CHUNK)).tobytes() == fixed_tree()
    assert InThisProcess(chunk).map_reduce(tasks.total, tasks.added, pool).tobytes() == fixed_tree()
    assert fixed_tree() != functools.reduce(np.add, X).tobytes()


class InThisProcess(Cluster):
    """Groups chunks into tasks as a cluster does, and computes them here."""

    def __init__(self, chunk: int) -> None:
        self.chunk, self.scratch = chunk, None

    def _reduced(self, work: Any, combine: Any) -> Any:
        fold = functools.partial(functools.reduce, combine)
        group = self._group(work)
        starts = range(0, work.chunks, group)
        assert len(starts) == -(-CHUNKS // {1: 1, 8: 1, 9: 8, 64: 8, 512: 64, 4096: 512}[self.chunk])
        leaves = [run_module.in_tree(work.computed, fold, range(s, min(s + group, work.chunks))) for s in starts]
        return run_module.in_tree(leaves.__getitem__, fold, range(len(leaves)))


def test_a_pass_has_a_bounded_number_of_tasks() -> None:
    cluster = InThisProcess(1)
    many = Pool(np.zeros(10**6, np.uint8), chunk=1)
    assert cluster._group(run_module.Pass(tasks.total, [many], {}, "")) == 8**4


@pytest.mark.parametrize(("chunks", "quick", "slow"), [(10, 64, 1), (1024, 64, 1), (10**6, 8**4, 8**4)])
def test_slow_work_is_given_out_by_single_chunks_where_these_are_not_too_many(
    chunks: int, quick: int, slow: int
) -> None:
    rows = Pool(np.zeros(chunks, np.uint8), chunk=1)
    works = [run_module.Pass(tasks.total, [rows], {}, "", slow=one) for one in (False, True)]
    assert [InThisProcess(64)._group(work) for work in works] == [quick, slow]


def test_a_task_has_fewer_chunks_of_large_images() -> None:
    """Fewer, the larger they are: where a chunk of 1,024 images has 2**25 bytes or more, each chunk is a task."""
    groups = []
    for side in (8, 96, 224 * 3):
        rows = Pool(np.broadcast_to(np.uint8(0), (10_000, side * side)), chunk=1024)
        groups.append(InThisProcess(20_480)._group(run_module.Pass(tasks.total, [rows], {}, "")))
    assert groups == [64, 8, 1]


# ---- what stays, and is used


def notes(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "notes").read_text().split()]


def fail_at_the_fourth(pool: Pool, folder: Path, into: Path | None = None) -> None:
    with pytest.raises(ValueError, match="row 24: cannot be doubled"), Local(folder / "scratch") as run:
        run.map(tasks.noted, pool, folder=folder, fails_at=24, into=into)
    assert notes(folder) == [0, 8, 16, 24]
    (folder / "notes").unlink()


@pytest.mark.parametrize("named", [False, True])
def test_a_run_goes_on_from_the_one_that_failed(pool: Pool, tmp_path: Path, named: bool) -> None:
    into = tmp_path / "results/rows" if named else None
    fail_at_the_fourth(pool, tmp_path, into)
    assert into is None or not into.exists()
    (tmp_path / "mended").touch()
    with Local(tmp_path / "scratch") as run:
        doubled = run.map(tasks.noted, pool, folder=tmp_path, fails_at=24, into=into)
        assert np.array_equal(doubled.array(), 2 * X)
    assert notes(tmp_path) == list(range(24, len(X), CHUNK))
    assert entries(tmp_path / "scratch") == []
    if into is not None:
        assert doubled.path == into
        assert entries(tmp_path / "results") == [*(f"{number:06}.npy" for number in range(CHUNKS)), "digest", "rows"]


def test_a_result_that_was_complete_when_a_later_step_failed_is_used(pool: Pool, tmp_path: Path) -> None:
    for attempt in range(2):
        with pytest.raises(KeyError), Local(tmp_path / "scratch") as run:
            for _ in range(2):
                assert np.array_equal(run.map(tasks.noted, pool, folder=tmp_path).array(), 2 * X)
            raise KeyError
        assert len(notes(tmp_path)) == CHUNKS, attempt


@pytest.mark.parametrize("change", ["rows", "values", "code", "package"])
def test_what_was_computed_of_something_else_is_removed(
    pool: Pool, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "results/rows"
    other = into.with_name(f".partial-rows-more-{'0' * 32}")
    write(other, 0, X)
    fail_at_the_fourth(pool, tmp_path, into)
    (tmp_path / "mended").touch()
    fails_at = 24
    if change == "rows":
        np.save(tmp_path / "rows/000065.npy", X[-1:] + 1)
    elif change == "values":
        fails_at = 32
    elif change == "code":
        monkeypatch.setattr(run_module, "source_of", lambda function: "other code")
    else:
        monkeypatch.setattr(run_module, "fingerprint", lambda: "other code")
    doubled = Local().map(tasks.noted, Pool(tmp_path / "rows"), folder=tmp_path, fails_at=fails_at, into=into)
    assert notes(tmp_path) == list(range(0, len(X), CHUNK))
    assert np.array_equal(doubled.array(), 2 * Pool(tmp_path / "rows").array())
    assert sorted(path.name for path in into.parent.iterdir()) == [other.name, "rows"]


def test_a_result_replaces_the_one_before(pool: Pool, tmp_path: Path) -> None:
    for plus in (1, 2):
        assert np.array_equal(Local().map(tasks.doubled, pool, plus=plus, into=tmp_path / "out").array(), 2 * X + plus)
    assert entries(tmp_path / "out") == [*(f"{number:06}.npy" for number in range(CHUNKS)), "digest"]


@pytest.mark.parametrize("named", [False, True])
def test_a_complete_result_is_used_and_a_half_removed_one_computed_again(
    pool: Pool, tmp_path: Path, named: bool
) -> None:
    into, notes = tmp_path / "out" if named else None, tmp_path / "notes"
    run = Local(tmp_path / "scratch")
    first = run.map(tasks.noted, pool, folder=tmp_path, into=into)
    counted = len(notes.read_text().split())
    assert run.map(tasks.noted, pool, folder=tmp_path, into=into).path == first.path
    assert len(notes.read_text().split()) == counted
    for removed in ([3], [0], range(CHUNKS)):
        for number in removed:
            (first.path / f"{number:06}.npy").unlink(missing_ok=True)
        again = run.map(tasks.noted, pool, folder=tmp_path, into=into)
        assert len(again) == len(X)
    assert len(notes.read_text().split()) == 4 * counted


def test_a_file_that_was_cut_short_is_computed_again(pool: Pool, tmp_path: Path) -> None:
    """Of a complete result, and of one whose run was ended: as after a machine has lost its power."""
    run, notes = Local(tmp_path / "scratch"), tmp_path / "notes"
    first = run.map(tasks.noted, pool, folder=tmp_path)
    assert first.path is not None
    (first.path / "000002.npy").write_bytes(b"")
    before = len(notes.read_text().split())
    assert np.array_equal(run.map(tasks.noted, pool, folder=tmp_path).array(), 2 * X)
    assert len(notes.read_text().split()) == 2 * before
    digest = (first.path / "digest").read_text()
    partial = first.path.with_name(f".partial-{first.path.name}-{digest}")
    first.path.rename(partial)
    (partial / "digest").unlink()
    cut = partial / "000005.npy"
    cut.write_bytes(cut.read_bytes()[:-1])
    assert np.array_equal(run.map(tasks.noted, pool, folder=tmp_path).array(), 2 * X)
    assert len(notes.read_text().split()) == 2 * before + 1


def test_a_folder_that_holds_anything_else_is_not_replaced(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    with pytest.raises(OSError, match=r"out: is not replaced, because thesis\.txt is in it"):
        Local().map(tasks.noted, pool, folder=tmp_path, into=tmp_path / "out")
    assert (tmp_path / "out/thesis.txt").read_text() == "years of work"
    assert not (tmp_path / "notes").exists(), "before it computes"


def test_several_results_have_a_folder_each(pool: Pool, tmp_path: Path) -> None:
    folders = [tmp_path / "numbers", tmp_path / "sums"]
    numbers, sums = Local().map(tasks.numbered, pool, np.zeros(len(X)), outputs=2, into=folders)
    assert [numbers.path, sums.path] == folders
    assert np.array_equal(numbers.array(), np.arange(len(X)))
    assert np.array_equal(sums.array(), X.sum(1).astype(float))


# ---- on a cluster


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_bits_on_a_cluster(pool: Pool, tmp_path: Path, workers: int) -> None:
    before = {name: value for name, value in os.environ.items() if "DASK_PARENT" not in name}
    with connected("local", tmp_path / "scratch", workers=workers, chunk=CHUNK) as run:
        assert current() is run
        for source in (pool, Pool(X, CHUNK)):
            assert run.map_reduce(tasks.total, tasks.added, source).tobytes() == fixed_tree()
        doubled = run.map(tasks.doubled, pool, plus=1, into=tmp_path / "doubled")
        assert np.array_equal(doubled.array(), 2 * X + 1)
        arrays = run.map(tasks.numbered, X, np.arange(len(X)), outputs=2)
        assert all(isinstance(array, np.ndarray) for array in arrays)
        assert np.array_equal(arrays[0], np.arange(len(X)))
        assert np.array_equal(arrays[1], X.sum(1) + np.arange(len(X)))
        rows = Pool(np.arange(len(X))[::-1].copy(), CHUNK)
        assert np.array_equal(run.map(tasks.looked_up, rows, table=Pool(X, CHUNK)).array(), X[::-1])
        kinds = run.client.run(tasks.what_is_current).values()
        assert set(kinds) == {"Local in memory"}
        assert len(kinds) == workers
    assert entries(tmp_path / "scratch") == []
    assert {name: value for name, value in os.environ.items() if "DASK_PARENT" not in name} == before


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("faults")
    shards(folder / "rows", X, CHUNK)
    done = subprocess.run(
        [sys.executable, str(PROJECT / "tests/cluster_faults.py"), str(folder)],
        env=os.environ | {"PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"stderr": done.stderr, "folder": folder}


@pytest.mark.slow
class TestFaults:
    """Of one cluster, one after the other: each ends in bounded time, and what follows it is right."""

    def test_a_worker_that_is_killed_changes_nothing(self, faults: dict[str, Any]) -> None:
        assert (faults["folder"] / "killed").exists()
        assert faults["killed once"]["result"] == fixed_tree().hex()

    @pytest.mark.parametrize(
        ("what", "task"),
        [("killed always", "killed_always"), ("too large", "too_large")],
    )
    def test_a_task_that_ends_its_workers_is_given_up(self, faults: dict[str, Any], what: str, task: str) -> None:
        assert faults[what]["result"].startswith("EngineError: engine.scheduler: tcp://")
        assert f": {task}: a task ended 4 workers, " in faults[what]["result"]
        assert "\n" not in faults[what]["result"]
        assert faults[what]["seconds"] < 45

    @pytest.mark.parametrize("what", ["then", "at last"])
    def test_the_next_pass_is_right(self, faults: dict[str, Any], what: str) -> None:
        assert faults[what]["result"] == fixed_tree().hex()
        assert faults[what]["seconds"] < 20

    def test_a_full_disk_is_named_and_the_next_pass_is_right(self, faults: dict[str, Any]) -> None:
        assert faults["full disk"]["result"].startswith("OSError: ")
        assert "npy: cannot be written: File too large" in faults["full disk"]["result"]
        assert faults["disk"]["result"] == (2 * X).tolist()

    def test_an_error_of_a_task_is_raised_and_ends_the_others(self, faults: dict[str, Any]) -> None:
        assert faults["refused"]["result"] == "ValueError: row 8: is refused"
        assert len(list((faults["folder"] / "done").iterdir())) < CHUNKS // 2

    def test_nothing_else_is_written(self, faults: dict[str, Any]) -> None:
        assert faults["stderr"] == ""

    def test_nothing_is_left(self, faults: dict[str, Any]) -> None:
        assert entries(faults["folder"] / "scratch") == []


# ---- a cluster that others started


def dask(command: str, *arguments: str, path: Sequence[Path] = ()) -> subprocess.Popen[bytes]:
    paths = [*map(str, path), str(PROJECT), str(PROJECT / "tests")]
    return subprocess.Popen(
        [sys.executable, "-m", "dask", command, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def scheduler(folder: Path, path: Sequence[Path] = ()) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    file = folder / "scheduler.json"
    process = dask("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file), path=path)
    try:
        until = time.monotonic() + 60
        while not file.exists() or not file.read_text().strip():
            assert time.monotonic() < until
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"], process
    finally:
        end(process)
        file.unlink()


@contextmanager
def worker(address: str, threads: int = 1, path: Sequence[Path] = ()) -> Iterator[subprocess.Popen[bytes]]:
    process = dask("worker", address, "--nthreads", str(threads), "--no-dashboard", "--no-nanny", path=path)
    try:
        yield process
    finally:
        end(process)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scheduler(tmp_path_factory.mktemp("scheduler")) as (address, _):
        yield address


@pytest.fixture
def alone(address: str) -> str:
    """The scheduler, when the workers of the test before are gone."""
    with Client(address) as client:
        until = time.monotonic() + 30
        while client.scheduler_info(n_workers=0)["n_workers"]:
            assert time.monotonic() < until
            time.sleep(0.1)
    return address


def other_package(folder: Path, kind: str) -> list[Path]:
    """What comes first on the path of a worker."""
    folder.mkdir()
    if kind == "version":
        shutil.copytree(PROJECT / "fewlabels", folder / "fewlabels", ignore=shutil.ignore_patterns("__pycache__"))
        with (folder / "fewlabels/arrays.py").open("a") as file:
            file.write("# changed\n")
    elif kind == "none":
        (folder / "fewlabels.py").write_text("raise ModuleNotFoundError('No module named fewlabels')\n")
    elif kind == "folder":
        (folder / "sitecustomize.py").write_text("import pathlib\npathlib.Path.exists = lambda path, **_: False\n")
    return [folder]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "threads", "message"),
    [
        ("version", 1, rf"worker tcp://\S+ {OTHER}"),
        ("none", 1, r"worker tcp://\S+ cannot import this fewlabels: .*No module named fewlabels"),
        ("folder", 1, r"worker tcp://\S+ does not see the folder \S+scratch$"),
        ("threads", 2, r"worker tcp://\S+ has 2 threads: start it with --nthreads 1$"),
    ],
)
def test_a_worker_that_does_not_fit_is_named(alone: str, tmp_path: Path, kind: str, threads: int, message: str) -> None:
    with (
        worker(alone, threads, other_package(tmp_path / "other", kind)),
        pytest.raises(EngineError, match="^engine.scheduler: " + message),
        connected(alone, tmp_path / "scratch"),
    ):
        pass


@pytest.mark.slow
def test_a_scheduler_without_the_package_is_named(tmp_path: Path) -> None:
    with (
        scheduler(tmp_path, other_package(tmp_path / "other", "none")) as (address, _),
        worker(address),
        pytest.raises(EngineError, match=r"^engine.scheduler: tcp://\S+ cannot import this fewlabels: No module"),
        connected(address, tmp_path / "scratch"),
    ):
        pass


def test_an_address_where_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(dask_cluster, "PATIENCE", 1)
    for address in ("tcp://127.0.0.1:9", "tls://127.0.0.1:9", "nonsense://here"):
        with pytest.raises(EngineError, match=f"^engine.scheduler: {address}: cannot be reached"):  # noqa: SIM117
            with connected(address, tmp_path / "scratch"):
                pass
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("scheduler", "started", "fault"),
    [
        ("tcp://127.0.0.1:9", "Client", "tcp://127.0.0.1:9: cannot be reached"),
        ("local", "LocalCluster", "local: its workers cannot be started"),
    ],
)
def test_a_machine_too_busy_to_start_dask_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str, started: str, fault: str
) -> None:
    def without_a_word(*_: Any, **__: Any) -> None:
        raise AssertionError  # as Dask does where its thread has not begun within 10 s

    monkeypatch.setattr(f"distributed.{started}", without_a_word)
    with (
        pytest.raises(EngineError, match=f"^engine.scheduler: {fault}: this machine is too busy to start Dask$"),
        connected(scheduler, tmp_path / "scratch"),
    ):
        pytest.fail("Dask did not start")
    monkeypatch.setattr("distributed.LocalCluster", without_a_word)
    with (
        pytest.raises(EngineError, match=r"^port 0 or .*: this machine is too busy to start Dask$"),
        served(tmp_path, port=0),
    ):
        pytest.fail("Dask did not start")


@pytest.mark.slow
def test_a_worker_that_is_slow_to_end_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowToEnd(LocalCluster):
        def close(self, timeout: float | None = None) -> None:
            super().close(timeout)
            raise TimeoutError

    monkeypatch.setattr("distributed.LocalCluster", SlowToEnd)
    with connected("local", tmp_path, workers=1):
        total = current().map_reduce(tasks.total, np.add, X)
    assert np.allclose(total, X.sum(0))
    assert entries(tmp_path) == []


def test_workers_that_cannot_be_started_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(EngineError, match="local: its workers cannot be started"),
        connected("local", tmp_path / "file"),
    ):
        pytest.fail("there is no folder for them")


@pytest.mark.slow
def test_no_worker_comes(alone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "PATIENCE", 1)
    with pytest.raises(EngineError, match=r"no worker came within 1 s$"), connected(alone, tmp_path / "scratch"):
        pass


@pytest.mark.slow
def test_a_scheduler_that_goes_away(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(dask_cluster, "PATIENCE", 10)
    with scheduler(tmp_path) as (address, process), worker(address):
        start = time.monotonic()
        with pytest.raises(EngineError, match=GONE_AWAY.format("the slow work")):  # noqa: SIM117
            with connected(address, tmp_path / "scratch", chunk=CHUNK) as run:
                threading.Timer(2, process.kill).start()
                run.map(tasks.slow, pool, label="the slow work")
        assert time.monotonic() - start < 60
    assert capfd.readouterr().err == ""


class Unchecked(Cluster):
    """Asks neither its scheduler nor the workers who they are."""

    def _check(self) -> None:
        pass


@pytest.mark.slow
def test_a_scheduler_that_went_away_between_two_passes(address: str, pool: Pool, tmp_path: Path) -> None:
    with Client(address) as client:
        run = Unchecked(client, tmp_path / "scratch")
    with pytest.raises(EngineError, match=GONE_AWAY.format("the second pass")):
        run.map(tasks.doubled, pool, label="the second pass")
    with pytest.raises(EngineError, match=GONE_AWAY.format("total")):
        run.map_reduce(tasks.total, tasks.added, pool)
    assert not list((tmp_path / "scratch").rglob("pass-*"))


class Task:
    """Is over at once, and in the state that is named; whoever waits for its result has none in time."""

    def __init__(self, status: str, waited: list[float]) -> None:
        self.status, self.waited = status, waited

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        call(self)

    def result(self, timeout: float) -> None:
        self.waited.append(timeout)
        raise TimeoutError("no answer from the disk")

    def done(self) -> bool:
        return True


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        ("lost", EngineError, r"^engine.scheduler: tcp://here:1: no task done for 1800 s, during the work$"),
        ("pending", EngineError, r"^engine.scheduler: tcp://here:1: no task done for 1800 s, during the work$"),
        ("error", TimeoutError, r"^no answer from the disk$"),
    ],
)
def test_a_task_that_is_lost_is_given_up_and_an_error_of_its_own_raised(
    tmp_path: Path, status: str, kind: type[Exception], message: str, wanted: bool
) -> None:
    waited: list[float] = []
    client = SimpleNamespace(scheduler=SimpleNamespace(address="tcp://here:1"), cancel=lambda tasks, force: None)
    work = Pass(tasks.total, [X], {}, "the work")
    one, done = Task(status, waited), Task("finished", waited)
    with pytest.raises(kind, match=message):
        Unchecked(client, tmp_path)._finish([done] if wanted else [done, one], work, one if wanted else None)
    assert waited == [1800]


@pytest.mark.slow
@pytest.mark.parametrize("who", ["scheduler", "worker"])
def test_who_stops_answering_is_given_up(who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Its connection stands, as with a machine that is frozen: Dask alone would wait for ever."""
    with scheduler(tmp_path) as (address, process), worker(address) as other:
        stopped = process if who == "scheduler" else other
        message = r"^engine.scheduler: tcp://\S+: it, or one of its workers, did not answer within 3 s$"
        try:
            with pytest.raises(EngineError, match=message), Client(address, timeout=3) as client:  # noqa: SIM117
                with Cluster(client, tmp_path / "scratch") as run:
                    monkeypatch.setattr(dask_cluster, "PATIENCE", 3)
                    stopped.send_signal(signal.SIGSTOP)
                    run._check()
        finally:
            stopped.send_signal(signal.SIGCONT)
    assert not list((tmp_path / "scratch").rglob("seen-*"))


@pytest.mark.slow
def test_a_scheduler_that_stops_answering_during_a_pass_is_given_up(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    with scheduler(tmp_path) as (address, process), worker(address):
        try:
            with pytest.raises(EngineError, match=r"did not answer within 3 s$"):  # noqa: SIM117
                with connected(address, tmp_path / "scratch", chunk=CHUNK) as run:
                    monkeypatch.setattr(dask_cluster, "PATIENCE", 3)
                    threading.Timer(2, process.send_signal, [signal.SIGSTOP]).start()
                    run.map(tasks.slow, pool, label="the slow work")
        finally:
            process.send_signal(signal.SIGCONT)


@pytest.mark.slow
def test_the_last_worker_goes_away(alone: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with worker(alone) as process, pytest.raises(EngineError, match=GONE):  # noqa: SIM117
        with connected(alone, tmp_path / "scratch", chunk=CHUNK) as run:
            monkeypatch.setattr(dask_cluster, "PATIENCE", 2)
            threading.Timer(1, process.kill).start()
            run.map(tasks.slow, pool, label="the slow work")


FINGERPRINT = "from fewlabels.run import fingerprint; print(fingerprint())"
CHANGE = "file = open('fewlabels/arrays.py', 'a'); file.write('# changed\\n'); file.close()"


def test_a_worker_knows_the_code_that_it_has_loaded_though_files_change_later(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "fewlabels", tmp_path / "fewlabels", ignore=shutil.ignore_patterns("__pycache__"))

    def printed(*lines: str) -> str:
        command = [sys.executable, "-c", "\n".join(lines)]
        found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return found.stdout

    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    before = printed(FINGERPRINT)
    changed_meanwhile = printed("import fewlabels.dask_cluster", CHANGE, FINGERPRINT)
    after = printed(FINGERPRINT)
    assert changed_meanwhile == before != after


def test_a_worker_that_came_later_is_looked_at_when_it_has_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "pass.pickle"
    spec.write_bytes(pickle.dumps((("other code", ""), None)))
    with pytest.raises(EngineError, match=rf"worker .+ {OTHER}"):
        dask_cluster._loaded(str(spec))
    spec.write_bytes(pickle.dumps(((run_module.fingerprint(), "module of before"), Pass(tasks.total, [X], {}, ""))))
    dask_cluster._loaded.cache_clear()
    with pytest.raises(EngineError, match=rf"worker .+ {OTHER}"):
        dask_cluster._loaded(str(spec))
    with pytest.raises(EngineError, match=r"worker .+ does not see the file .*nowhere\.pickle"):
        dask_cluster._loaded(str(tmp_path / "nowhere.pickle"))
    with_threads = SimpleNamespace(state=SimpleNamespace(nthreads=4))
    monkeypatch.setattr("distributed.get_worker", lambda: with_threads)
    with pytest.raises(EngineError, match=r"worker .+ has 4 threads: start it with --nthreads 1"):
        dask_cluster._in_one_thread(str(spec))
