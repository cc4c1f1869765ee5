"""What each model predicts, `data/predictions/CLASSIFIER/LABEL_SET.npz`: all that evaluate needs to know of it.

A stage that trains writes them beside its model. It has the images that are predicted, never their labels.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import files

FOLDER = Path("data/predictions")
LABEL_THE_PILE = ("ensemble", "ridge")
"""Classifiers that write the probabilities of all training images: the first of them that there is labels the pile."""


def path_of(classifier: str, label_set: str) -> Path:
    return FOLDER / classifier / f"{label_set}.npz"


def everywhere_of(classifier: str, label_set: str) -> Path:
    """Name the file, or the pool, of the probabilities of all training images; none of them where nobody wants them."""
    return FOLDER / classifier / f"{label_set}_everywhere.npy"


def curves_of(label_set: str) -> Path:
    """Name the file of a network's training curves."""
    return FOLDER / "nn" / f"{label_set}_curves.json"


def save(classifier: str, label_set: str, arrays: dict[str, NDArray[Any]]) -> None:
    files.save_arrays(path_of(classifier, label_set), arrays)


def load(classifier: str, label_set: str) -> dict[str, NDArray[Any]]:
    return files.load_arrays(path_of(classifier, label_set))


def likeliest(_: slice, probabilities: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Give the likeliest class of each row, and its probability. Here, because workers import what a run calls: they
    cannot find it in a stage that calls it, which Python has under another name."""
    return probabilities.argmax(axis=1).astype(np.uint8), probabilities.max(axis=1, initial=0)


def remove_others(models: Iterable[tuple[str, str]]) -> None:
    """Remove the predictions of models that this run did not train, left in the folder by a run that did.

    DVC compares the folder as a whole: with what an earlier run left in it, nobody who checks this run out would have
    the same one. DVC's cache keeps what is removed.
    """
    models = list(models)
    kept = {path_of(*model) for model in models} | {
        curves_of(name) for classifier, name in models if classifier == "nn"
    }
    kept |= {everywhere_of(*model) for model in models if model[0] in LABEL_THE_PILE}
    for path in FOLDER.rglob("*"):
        if path.is_file() and kept.isdisjoint((path, path.parent)):
            path.unlink()
