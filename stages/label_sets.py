"""Reading and writing label sets, `data/labels/NAME.npz`."""

from fewlabels.label_set import LabelSet
from stages import files

AUDIT_ROWS = "data/labels/audit_rows.npy"
"""The training images that people labelled to judge the models by, without their labels: what a training may know."""


def path_of(name: str) -> str:
    return f"data/labels/{name}.npz"


def load(name: str) -> LabelSet:
    return LabelSet(**files.load_arrays(path_of(name)))


def save(name: str, label_set: LabelSet) -> None:
    files.save_arrays(path_of(name), label_set.arrays())
