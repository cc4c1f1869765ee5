"""A pile for people: ninety points in three groups, whose pictures are grey squares, and nobody's answers yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from conftest import PROJECT
from numpy.typing import NDArray
from ruamel.yaml import YAML

from labelling import answers
from labelling.project import Project
from stages import files, params

CLASSES = ["cat", "skip", "ü, or no"]


@dataclass(frozen=True)
class Pile:
    """What is shown, and what is there."""

    project: Project
    truth: NDArray[np.uint8]


def make_pile(classes: list[str] = CLASSES, originals: NDArray[np.int64] | None = None, **changes: Any) -> Pile:
    """Make a pile in the working directory, with an empty answers file; changes of params.yaml by section."""
    random = np.random.default_rng(0)
    truth = random.integers(0, len(classes), 90).astype(np.uint8)
    middle = random.normal(size=(len(classes), 4))
    features = (middle[truth] + random.normal(scale=0.3, size=(90, 4))).astype(np.float32)
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    values |= {"oracle": "people", "audit": 6, "clusters": 20, "features": "hog"}
    values["cluster_margin"] |= {"first_round": 8}
    values["label_sets"] = {"lr": ["active"], "lr_distances": [], "nn": [], "ridge": ["active"], "ensemble": []}
    values["data"] |= {"image_shape": [8, 8], "source": "idx", "folder": "x"}
    for name, value in changes.items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    files.save_array("data/flat/train_images.npy", np.repeat(np.arange(90, dtype=np.uint8)[:, None], 64, axis=1))
    Path("answers.csv").write_text(f"{','.join(answers.HEADING)}\n", encoding="utf-8")
    names = [f"a {row}#.png" for row in range(90)]
    rows = np.arange(90) if originals is None else originals
    return Pile(Project(params.checked(values, "params.yaml"), names, classes, features, rows, False), truth)
