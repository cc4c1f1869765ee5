"""Where a stage computes what it computes for all rows: `engine` in params.yaml. It changes no result.

No stage depends on these parameters, so a run that was begun in one process can be finished on a cluster.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewlabels.dask_cluster import connected
from fewlabels.run import EngineError, Local
from stages import inputs, params

SCRATCH = Path("data/scratch")
"""Results on the way, of piles on disk and of clusters: a folder for each stage, which stays only if the stage fails.

The next run of that stage goes on from there. A cluster's workers see it under the same path.
"""


@contextmanager
def running(settings: params.Params, stage: str, *, here: bool = False) -> Iterator[Path]:
    """Compute on the engine of params.yaml for as long as the block lasts.

    Parameters
    ----------
    settings : Params
    stage : str
        Names the folder of what it computes on the way.
    here : bool, default=False
        Whether it computes in this process, whatever the engine: networks use its threads.

    Yields
    ------
    Path
        That folder, which is removed after a success.

    Raises
    ------
    SystemExit
        With one line, if the scheduler or its workers cannot be used, or are lost.
    """
    how, scratch = settings.engine, SCRATCH / stage
    try:
        if here or how.scheduler is None:
            with Local(scratch if inputs.on_disk() else None):
                yield scratch
        else:
            with connected(how.scheduler, scratch, workers=how.workers, memory=f"{how.memory} GB", chunk=how.chunk):
                yield scratch
    except EngineError as error:
        raise SystemExit(f"params.yaml: {error}") from None
    shutil.rmtree(scratch, ignore_errors=True)
