"""Saved models: what may be loaded, how their pictures are read, and a form that holds no program."""

from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from skops import io as skops

TRUSTED = (
    "builtins.range",
    "fewlabels.classifiers.kernel_ridge.KernelRidgeClassifier",
    "fewlabels.features.hog.HOG",
    "fewlabels.features.pixels.scale_pixels",
    "fewlabels.features.scaled_pca.ScaledPCA",
    "fewlabels.networks.pretrained.PretrainedEmbedding",
    "sklearn.frozen._frozen.FrozenEstimator",
)
"""Types of ours, and what scikit-learn has that skops does not know yet."""


class Model(NamedTuple):
    """A classifier, and how pictures become the rows of pixels that it takes."""

    classifier: Any
    image_shape: list[int]
    fit: str
    classes: list[str]


def load(path: Path) -> Model:
    """Load a model.

    Parameters
    ----------
    path : Path
        Of data/models: .joblib, which is a program, or .skops, which is none.

    Returns
    -------
    Model

    Raises
    ------
    SystemExit
        With one line that names the file, if it is none, holds no model, or one that does not say how its pictures are
        read.
    """
    if not path.is_file():
        raise SystemExit(f"{path}: there is no such file")
    if path.suffix not in (".joblib", ".skops"):
        raise SystemExit(f"{path}: neither a .joblib nor a .skops file; of a network, take the .joblib file beside it")
    try:
        classifier = skops.load(path, trusted=TRUSTED) if path.suffix == ".skops" else joblib.load(path)
    except Exception as error:
        raise SystemExit(f"{path}: no model can be read from it: {' '.join(str(error).split())[:200]}") from None
    if classifier is None:
        raise SystemExit(f"{path}: this model could not be trained, for want of labels")
    how = getattr(classifier, "pictures_", None)
    if not isinstance(how, dict) or how.keys() < {"image_shape", "fit", "classes"}:
        raise SystemExit(f"{path}: it does not say how its pictures are read: was it trained by `dvc repro`?")
    takes = getattr(classifier, "n_features_in_", None)
    if takes is not None and takes != np.prod(how["image_shape"]):
        raise SystemExit(f"{path}: it takes {takes} numbers of each picture, not image_shape {how['image_shape']}")
    return Model(classifier, how["image_shape"], how["fit"], how["classes"])


def share(path: Path, output: Path) -> None:
    """Write a model as a .skops file.

    Raises
    ------
    SystemExit
        With one line, if it cannot be loaded, or is made of what skops cannot hold, such as a network.
    """
    model = load(path)
    if output.suffix != ".skops":
        raise SystemExit(f"{output}: the name of such a file ends in .skops")
    try:
        content = skops.dumps(model.classifier)
        skops.loads(content, trusted=TRUSTED)
    except Exception as error:
        raise SystemExit(f"{path}: skops cannot hold it: {' '.join(str(error).split())[:200]}") from None
    output.write_bytes(content)
    print(f"{output}: {len(content) / 2**20:.1f} MiB")
