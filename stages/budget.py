"""Whether the labels that are known allow for the budget."""

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
