"""Bring one fault after the other upon a local cluster, and print what came of each as JSON: for test_run.py.

In a process of its own, so that whatever Dask and its workers write can be seen.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chunk_tasks as tasks

from fewlabels.dask_cluster import connected
from fewlabels.pool import Pool
from fewlabels.run import EngineError


def main(folder: Path) -> None:
    pool, found = Pool(folder / "rows"), {}

    def attempt(what: str, work: Callable[[], Any]) -> None:
        start = time.monotonic()
        try:
            result = work()
        except (EngineError, OSError, ValueError) as error:
            result = f"{type(error).__name__}: {error}"
        found[what] = {"seconds": time.monotonic() - start, "result": result}

    with connected("local", folder / "scratch", memory="400 MB", chunk=pool.chunk) as run:

        def total(task: Callable[..., Any], **values: Any) -> str:
            result: str = run.map_reduce(task, tasks.added, pool, **values).tobytes().hex()
            return result

        attempt("killed once", lambda: total(tasks.killed_once, marker=folder / "killed"))
        attempt("killed always", lambda: total(tasks.killed_always))
        attempt("too large", lambda: total(tasks.too_large))
        attempt("then", lambda: total(tasks.total))
        attempt("full disk", lambda: run.map(tasks.without_disk, pool))
        attempt("disk", lambda: run.map(tasks.with_disk, pool).array().tolist())
        (folder / "done").mkdir()
        attempt("refused", lambda: run.map(tasks.refused, pool, folder=folder / "done"))
        attempt("at last", lambda: total(tasks.total))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
