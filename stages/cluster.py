"""Start a Dask scheduler and its workers on this machine, for a look at Dask's dashboard, until Ctrl-C.

With `engine.scheduler: tcp://127.0.0.1:8786` in params.yaml the stages compute on them.
"""

import time

from fewlabels.dask_cluster import served
from fewlabels.run import EngineError
from stages import command, engine, params


def main() -> None:
    how = params.load().engine
    folder = engine.SCRATCH / "workers"
    try:
        with served(folder, workers=how.workers, memory=f"{how.memory} GB") as (scheduler, dashboard):
            print(f"{how.workers} workers of {how.memory:g} GB at {scheduler}, dashboard at {dashboard}", flush=True)
            while True:
                time.sleep(3600)
    except EngineError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    command.run(main)
