"""Reading and writing label sets, `data/labels/NAME.npz`."""

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from stages import files, inputs

AUDIT_ROWS = "data/labels/audit_rows.npy"
"""The training images that people labelled to judge the models by, without their labels: what a training may know."""


def path_of(name: str) -> str:
    return f"data/labels/{name}.npz"


def load(name: str) -> LabelSet:
    return LabelSet(**files.load_arrays(path_of(name)))


def save(name: str, label_set: LabelSet) -> None:
    files.save_arrays(path_of(name), label_set.arrays())


def not_judging() -> NDArray[np.bool_]:
    """Find the training images that may be given a label, even one that is spread: all but what judges, and copies."""
    originals = files.load_array(inputs.FEATURES / "originals.npy")
    kept: NDArray[np.bool_] = ~np.isin(originals, originals[files.load_array(AUDIT_ROWS)])
    return kept
