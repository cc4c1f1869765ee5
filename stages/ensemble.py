"""Average three classifiers on the same bought labels by soft voting: `python -m stages.ensemble NAME`.

They are kernel ridge regression on HOG features, its student network, and kernel ridge regression on that network's
last features.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import CannotTrainError, LabelSet
from stages import command, files, params, ridge, trainer


def main() -> None:
    trainer.run("ensemble", train)


def train(settings: params.Params, name: str, label_set: LabelSet, images: NDArray[np.uint8]) -> Any:
    from fewlabels.networks.ensemble import classifier_on_embedding, soft_voting  # not above: it imports TensorFlow

    student = files.load_object(f"data/models/nn/{name}.joblib")
    if student is None:
        raise CannotTrainError(f"its network could not be trained on {name}")
    shown = images[label_set.rows]
    on_embedding = classifier_on_embedding(student.network, shown, label_set, ridge.untrained(settings))
    teacher = files.load_object("data/models/ridge/active.joblib")
    return soft_voting({"ridge": teacher, "student": student, "ridge_on_student": on_embedding})


if __name__ == "__main__":
    with command.at_root():
        main()
