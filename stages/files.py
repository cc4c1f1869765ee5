"""Reading and writing what passes between stages. A file is written beside its place, then renamed onto it.

So nobody ever reads half a file, and a file that DVC links to its cache is replaced, never written through.
"""

import csv
import json
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray


@contextmanager
def written(path: str | Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `path` when the block ends well and is gone when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def save_array(path: str | Path, values: NDArray[Any]) -> None:
    with written(path) as partial, partial.open("wb") as file:
        np.save(file, values)


def load_array(path: str | Path) -> NDArray[Any]:
    """Map an array into memory, read-only: a stage that looks at few rows reads few."""
    values: NDArray[Any] = np.load(path, mmap_mode="r")
    return values


def save_arrays(path: str | Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Save named arrays, the same bytes for the same arrays."""
    with written(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as arrays:
        return dict(arrays)


def save_object(path: str | Path, value: object) -> None:
    with written(path) as partial:
        joblib.dump(value, partial)


def load_object(path: str | Path) -> Any:
    return joblib.load(path)


def save_json(path: str | Path, value: object) -> None:
    with written(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def load_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def save_table(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Save rows as CSV, with the keys of the first as the heading."""
    with written(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


@contextmanager
def cost_written(path: str | Path) -> Iterator[None]:
    """Write what the block cost: wall seconds, and the peak memory of the process in GiB.

    Two runs never cost the same, so this is no metric and nothing depends on it. A stage taken from DVC's cache brings
    what it cost when it ran.
    """
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of KiB, on Linux
    save_json(path, {"seconds": round(seconds, 2), "peak_memory_gib": round(peak, 3)})
