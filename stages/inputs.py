"""What choosing, spreading and training start from: images, features of them, and the names of the classes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats
from stages import files

FLAT, FEATURES, CLUSTERS = Path("data/flat"), Path("data/features"), Path("data/clusters")


def images(part: str) -> NDArray[np.uint8]:
    """Map the images of a part, `train` or `test`, into memory: raw pixels, one image a row."""
    return files.load_array(FLAT / f"{part}_images.npy")


def features(part: str) -> Floats:
    """Map the features of a part into memory: HOG or a pretrained embedding, whichever describe has chosen."""
    return files.load_array(FEATURES / f"{part}.npy")


def transformer() -> Any:
    """Load what computes these features from raw pixels."""
    return files.load_object(FEATURES / "transformer.joblib")


def clusters() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Map into memory the cluster of each training image, and its distance to the centroid of that."""
    return files.load_array(CLUSTERS / "assignments.npy"), files.load_array(CLUSTERS / "distances.npy")


def names() -> list[str]:
    """Read what each training row is called."""
    return (FLAT / "names.txt").read_text(encoding="utf-8").splitlines()


def class_names() -> list[str]:
    """Read what the labels 0, 1, 2 … stand for."""
    names: list[str] = files.load_json(FLAT / "classes.json")
    return names


def class_names_for_people() -> list[str]:
    """Read the names of the classes that people choose from.

    Raises
    ------
    SystemExit
        With one line, if there are fewer than two, or one has a line break.
    """
    classes = class_names()
    if len(classes) < 2:
        raise SystemExit("params.yaml: data.classes: people need the names of two classes at least to choose from")
    for name in classes:
        if len(name.splitlines()) > 1:
            raise SystemExit(f"params.yaml: data.classes: {name!r} has a line break")
    return classes
