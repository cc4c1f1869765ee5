"""What the tests of runs compute of each chunk: in a module of its own, which workers import."""

import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.run import current


def doubled(rows: slice, chunk: NDArray[Any], *, plus: int = 0) -> NDArray[Any]:
    return 2 * chunk + plus


def numbered(rows: slice, chunk: NDArray[Any], other: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The number of each row, and the sum of its values."""
    return np.arange(rows.start, rows.stop), chunk.sum(1) + other


def noted(rows: slice, chunk: NDArray[Any], *, folder: Path, fails_at: int = -1) -> NDArray[Any]:
    """Double a chunk, after a note that it was asked for."""
    with (folder / "notes").open("a") as notes:
        notes.write(f"{rows.start}\n")
    if rows.start == fails_at and not (folder / "mended").exists():
        raise ValueError(f"row {fails_at}: cannot be doubled")
    return 2 * chunk


def total(rows: slice, chunk: NDArray[Any]) -> Any:
    """A sum whose last bits depend on the order of what is added."""
    return chunk.sum(0, dtype=np.float32)


def added(first: Any, second: Any) -> Any:
    return first + second


def looked_up(rows: slice, chunk: NDArray[Any], *, table: Any) -> NDArray[Any]:
    return np.asarray(table.take(chunk))


def killed_once(rows: slice, chunk: NDArray[Any], *, marker: Path) -> Any:
    """The total, but the first process that comes to the middle is killed."""
    if rows.start and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return total(rows, chunk)


def killed_always(rows: slice, chunk: NDArray[Any]) -> Any:
    if rows.start:
        os.kill(os.getpid(), signal.SIGKILL)
    return total(rows, chunk)


def too_large(rows: slice, chunk: NDArray[Any]) -> Any:
    """Take 40 MB more, and again, so that whoever watches the memory can see it."""
    held = []
    while True:
        held.append(np.ones(5_000_000))
        time.sleep(0.05)


def without_disk(rows: slice, chunk: NDArray[Any]) -> NDArray[Any]:
    """No file that is written from now on has more than 100 bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    return 2 * chunk


def with_disk(rows: slice, chunk: NDArray[Any]) -> NDArray[Any]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return 2 * chunk


def refused(rows: slice, chunk: NDArray[Any], *, folder: Path) -> NDArray[Any]:
    """The second chunk raises; each other one takes its time and is noted."""
    if rows.start == 8:
        raise ValueError("row 8: is refused")
    time.sleep(0.2)
    (folder / str(rows.start)).touch()
    return chunk


def slow(rows: slice, chunk: NDArray[Any]) -> NDArray[Any]:
    time.sleep(0.5)
    return chunk


def what_is_current() -> str:
    return f"{type(current()).__name__} {'in memory' if current().scratch is None else 'on disk'}"
