"""Reading and writing what passes between stages. A file is written beside its place, then renamed onto it.

So no file is ever half-written, and a file that DVC links to its cache is replaced, never changed in the cache.
"""

import csv
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from fewlabels.pool import Pool, Rows, as_pool, publish, remove, why_not_written


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a path to write to; it is renamed to `path` if the block succeeds, and removed if it raises.

    Raises
    ------
    SystemExit
        With one line that names the file, if the operating system refuses it: a full disk, a folder for reading only.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{path.name}")
    try:
        with written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            if path.is_dir():
                remove(path)
            partial.replace(path)
    finally:
        with suppress(OSError):  # what could not be written cannot always be removed
            partial.unlink()


@contextmanager
def written(path: str | Path) -> Iterator[None]:
    """End the program with one line where the operating system refuses to write a file.

    Raises
    ------
    SystemExit
        It names `path`, or the other file that the error is about.
    """
    path = Path(path)
    try:
        yield
    except OSError as error:
        other = error.filename and Path(error.filename).name != f".partial-{path.name}"
        raise SystemExit(f"{error.filename if other else path}: {why_not_written(error)}") from None


def save_array(path: str | Path, values: NDArray[Any]) -> None:
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.save(file, values)


def load_array(path: str | Path) -> NDArray[Any]:
    """Map an array into memory, read-only: only the rows that are used are read."""
    values: NDArray[Any] = np.load(path, mmap_mode="r")
    return values


def save_rows(path: str | Path, rows: Rows) -> None:
    """Save rows: an array as a file, a pool on disk as a folder of the same name, which appears when it is whole."""
    if not isinstance(rows, Pool) or rows.in_memory:
        save_array(path, as_pool(rows).array())
        return
    with folder_written(path) as partial:
        for file in rows.files():
            try:
                (partial / file.name).hardlink_to(file)
            except OSError:  # another file system, or one without links
                shutil.copyfile(file, partial / file.name)


@contextmanager
def folder_written(path: str | Path) -> Iterator[Path]:
    """Yield a folder to write to; it takes the place of `path` if the block succeeds, and is removed if it raises.

    Raises
    ------
    SystemExit
        As of `atomic_write`.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with written(path):
            partial.mkdir(parents=True)
            yield partial
            publish(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load_rows(path: str | Path) -> Rows:
    """Open rows: a file is mapped into memory, a folder is a pool."""
    return Pool(path) if Path(path).is_dir() else load_array(path)


def save_arrays(path: str | Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Save named arrays, the same bytes for the same arrays."""
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as arrays:
        return dict(arrays)


def save_object(path: str | Path, value: object) -> None:
    with atomic_write(path) as partial:
        joblib.dump(value, partial)


def load_object(path: str | Path) -> Any:
    return joblib.load(path)


def save_json(path: str | Path, value: object) -> None:
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def load_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def save_table(path: str | Path, rows: Iterable[Mapping[str, Any]], heading: Sequence[str] = ()) -> None:
    """Save rows as CSV, with the heading that is given, or else with the keys of the first row."""
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = iter(rows)
        first = [] if heading else [next(rows)]
        table = csv.DictWriter(file, heading or first[0], lineterminator="\n")
        table.writeheader()
        table.writerows(first)
        table.writerows(rows)


@contextmanager
def record_cost(path: str | Path) -> Iterator[None]:
    """Write the wall seconds of the block, the peak memory of the process in GiB, and which machine it was.

    Two runs never cost the same, so this is no metric and no stage depends on it. A stage that DVC restores from its
    cache comes with what it cost when it ran, and where.
    """
    start = time.perf_counter()
    yield
    cost = {
        "seconds": round(time.perf_counter() - start, 2),
        "peak_memory_gib": round(peak_memory_gib(), 3),
        "machine": machine(),
    }
    save_json(path, cost)


def machine() -> str:
    """Return what tells one machine from another in a table: its kind, its cores, and a digest of its name."""
    name = hashlib.sha256(platform.node().encode()).hexdigest()[:4]
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {name}"


def peak_memory_gib() -> float:
    """Return the peak memory of this process so far, in GiB."""
    if sys.platform == "win32":
        import psutil  # on other systems it does not know the peak

        return float(psutil.Process().memory_info().peak_wset) / 2**30
    import resource  # Windows has none

    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
