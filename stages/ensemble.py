"""Average three classifiers on the same bought labels by soft voting: `python -m stages.ensemble NAME`.

They are kernel ridge regression on HOG features, its student network, and kernel ridge regression on that network's
last features. Those that predict bought labels worse than the best of them are left out, and named. Where images are so
few that the student sees them repeatedly, two more students are trained for that, each without half of the labels. With
more images that would take too long: there the student is left out if, although it has seen the labels, it predicts
them worse than the regression does each one when it is left out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.features.neighbours import neighbour_graph
from fewlabels.label_set import CannotTrainError, LabelSet
from stages import command, files, label_sets, params, ridge, students, trainer


def main() -> None:
    trainer.run("ensemble", train)


def train(settings: params.Params, name: str, label_set: LabelSet, images: NDArray[np.uint8]) -> Any:
    from fewlabels.networks.ensemble import classifier_on_embedding, soft_voting  # not above: it imports TensorFlow

    label_set.require_classes(1)
    student = files.load_object(f"data/models/nn/{name}.joblib")
    if student is None:
        raise CannotTrainError(f"its network could not be trained on {name}")
    shown = images[label_set.rows]
    on_embedding = classifier_on_embedding(student.network, shown, label_set, ridge.untrained(settings))
    teacher = files.load_object("data/models/ridge/active.joblib")
    members = {"ridge": teacher, "student": student, "ridge_on_student": on_embedding}
    voting = _voters(settings, label_set, images, members)
    if len(voting) < len(members):
        others = ", ".join(one for one in members if one not in voting)
        print(f"ensemble on {name}: left out, because worse on the bought labels: {others}", flush=True)
    return soft_voting({one: members[one] for one in voting})


def _voters(
    settings: params.Params, label_set: LabelSet, images: NDArray[np.uint8], members: Mapping[str, Any]
) -> list[str]:
    from fewlabels.networks.held_out import FOLDS, cross_validated, voters
    from fewlabels.networks.student import sees_repeatedly

    everyone = list(members)
    active = label_sets.load("active")
    bought = LabelSet.from_bought(active.rows[active.bought], active.labels[active.bought])
    if len(bought) < FOLDS:
        return everyone
    how = students.settings(settings.network)
    if sees_repeatedly(label_set, how):
        predicted = cross_validated(
            images,
            bought,
            files.load_array("data/features/train_hog.npy"),
            neighbour_graph(files.load_array("data/features/neighbours.npy")),
            members["ridge"],
            ridge.untrained(settings),
            neighbour_weight=settings.label_spreading.neighbour_weight,
            seed=settings.seed,
            image_shape=settings.data.image_shape,
            n_classes=len(settings.data.classes),
            settings=how,
        )
        return voters(predicted, bought.labels)
    left_out = members["ridge"][-1].leave_one_out_proba()[active.bought]
    seen = members["student"].predict_proba(images[bought.rows])
    return everyone if "student" in voters({"ridge": left_out, "student": seen}, bought.labels) else ["ridge"]


if __name__ == "__main__":
    with command.at_root():
        main()
