"""Where benchmarks leave their figures: a section each in metrics/benchmarks.json, with what they were measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages import files

RESULTS = Path("metrics/benchmarks.json")


def record(section: str, rows: list[dict[str, Any]], runs: list[dict[str, Any]]) -> None:
    """Replace one section of the file: its summary, a row a contender, and every single run."""
    recorded = files.load_json(RESULTS) if RESULTS.exists() else {}
    files.save_json(RESULTS, recorded | {section: {"machine": machine(), "rows": rows, "runs": runs}})


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "threads": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")},
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE"),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "numba", "faiss-cpu", "tensorflow")},
    }
