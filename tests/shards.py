"""Arrays as folders of files, for tests of what looks at a chunk of rows at a time."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fewlabels.pool import Pool, write


def shards(folder: Path, rows: NDArray[Any], chunk: int = 1024) -> Pool:
    """Write rows to a folder, a few in each file."""
    for number, start in enumerate(range(0, max(1, len(rows)), chunk)):
        write(folder, number, rows[start : start + chunk])
    return Pool(folder)
