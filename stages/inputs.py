"""What choosing, spreading and training start from: images, features of them, and the names of the classes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats
from fewlabels.pool import Rows, as_pool
from stages import files

FLAT, FEATURES, CLUSTERS = Path("data/flat"), Path("data/features"), Path("data/clusters")


def images(part: str) -> Rows:
    """Open the images of a part, `train` or `test`: raw pixels, one image a row; a pool, where they are many."""
    return files.load_rows(FLAT / f"{part}_images.npy")


def pixels(part: str, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Read some images of a part."""
    return as_pool(images(part)).take(rows)


def features(part: str) -> Rows:
    """Open the features of a part: HOG or a pretrained embedding, whichever describe has chosen."""
    return files.load_rows(FEATURES / f"{part}.npy")


def seen(part: str, rows: NDArray[np.int64]) -> Floats:
    """Read the features of some images of a part."""
    return as_pool(features(part)).take(rows)


def on_disk() -> bool:
    """Tell whether the training images are so many that they are a pool on disk."""
    return (FLAT / "train_images.npy").is_dir()


def transformer() -> Any:
    """Load what computes these features from raw pixels."""
    return files.load_object(FEATURES / "transformer.joblib")


def clusters() -> tuple[Rows, Rows]:
    """Open the cluster of each training image, and its distance to the centroid of that."""
    return files.load_rows(CLUSTERS / "assignments.npy"), files.load_rows(CLUSTERS / "distances.npy")


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
