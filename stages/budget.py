"""Whether the labels that are known, or the pictures that people can be asked about, allow for the budget."""

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import UNKNOWN


def check(parameter: str, budget: int, true_labels: NDArray[np.uint8]) -> None:
    """Refuse to buy more labels than are known.

    Parameters
    ----------
    parameter : str
        What says how many.
    budget : int
    true_labels : ndarray of uint8, shape (n,)

    Raises
    ------
    SystemExit
        With one line that names the parameter.
    """
    known = int((true_labels != UNKNOWN).sum())
    if not known:
        raise SystemExit(
            "data.folder: no training picture has a label: sort some into a folder for each class, or name them in a "
            "labels.csv (file,label) beside them"
        )
    if budget > known:
        raise SystemExit(f"params.yaml: {parameter}: {budget} is more than the {known} training images with a label")


def check_pictures(audit: int, clusters: int, originals: NDArray[np.int64]) -> None:
    """Refuse to ask about more pictures than there are.

    Parameters
    ----------
    audit, clusters : int
        How many pictures params.yaml has people asked about.
    originals : ndarray of int64, shape (n,)
        For each picture the first one that equals it.

    Raises
    ------
    SystemExit
        With one line that names the parameters.
    """
    distinct = len(np.unique(originals))
    if audit + clusters > distinct:
        raise SystemExit(
            f"params.yaml: audit: {audit} pictures and the {clusters} labels of clusters are more "
            f"than the {distinct} different pictures"
        )
