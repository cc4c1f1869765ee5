"""What all stages that train have in common: one label set of the command line in, a model and its cost out."""

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fewlabels.label_set import LabelSet
from stages import files, label_sets, params

Train = Callable[[params.Params, str, LabelSet, NDArray[np.uint8]], Any]
"""From the parameters, the label set's name, the label set and all training images to a trained classifier."""


def run(classifier: str, train: Train) -> tuple[str, Any]:
    """Train a classifier on the label set that the command line names; write the model and what it cost.

    Returns
    -------
    str
        The label set's name.
    classifier

    Raises
    ------
    SystemExit
        With one line, if a parameter is wrong or the classifier cannot be trained on that label set.
    """
    parser = argparse.ArgumentParser(description=f"Train the classifier {classifier} on one label set.")
    parser.add_argument("label_set", choices=params.trainable(classifier))
    name = parser.parse_args().label_set
    with files.record_cost(f"data/costs/{classifier}_{name}.json"):
        settings = params.load()
        label_set = label_sets.load(name)
        images = files.load_array("data/flat/train_images.npy")
        print(f"{classifier} on {name}: {len(label_set):,} images", flush=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is a parameter
                model = train(settings, name, label_set, images)
        except ValueError as error:
            raise SystemExit(f"{label_sets.path_of(name)}: {error}") from None
        files.save_object(f"data/models/{classifier}/{name}.joblib", model)
    return name, model
