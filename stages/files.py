"""Reading and writing what passes between stages. A file is written beside its place, then renamed onto it.

So nobody ever reads half a file, and a file that DVC links to its cache is replaced, never written through.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet


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
    return np.load(path, mmap_mode="r")


def save_label_set(path: str | Path, label_set: LabelSet) -> None:
    arrays = {name: values for name, values in vars(label_set).items() if values is not None}
    with written(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_label_set(path: str | Path) -> LabelSet:
    with np.load(path) as arrays:
        return LabelSet(**arrays)


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
