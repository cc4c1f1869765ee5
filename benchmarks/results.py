"""Write the figures of benchmarks: a section each in metrics/benchmarks.json, with the machine and the versions."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stages import files

RESULTS = Path("metrics/benchmarks.json")
VERSIONS = ("numpy", "scikit-learn", "numba", "faiss-cpu", "tensorflow")


def record(
    section: str, rows: list[dict[str, Any]], runs: list[dict[str, Any]], packages: tuple[str, ...] = ()
) -> None:
    """Replace one section of the file: a row for each contender, and every single run.

    The versions of `packages` that only this section needs are recorded, too.
    """
    recorded = files.load_json(RESULTS) if RESULTS.exists() else {}
    files.save_json(RESULTS, recorded | {section: {"machine": machine(packages), "rows": rows, "runs": runs}})


def mean_and_sd(values: list[float]) -> dict[str, Any]:
    """Compute the mean and the standard deviation over seeds, None for a single seed."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def percent(measured: dict[str, Any]) -> str:
    """Write a mean and its standard deviation in %."""
    sd = "" if measured["sd"] is None else f" ± {100 * measured['sd']:.2f}"
    return f"{100 * measured['mean']:.2f}{sd}"


def machine(packages: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "threads": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")},
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE"),
        "versions": {name: version(name) for name in (*VERSIONS, *packages)},
    }
