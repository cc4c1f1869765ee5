"""Average three classifiers on the same bought labels by soft voting: `python -m stages.ensemble NAME`.

They are kernel ridge regression, its student network, and kernel ridge regression on that network's
last features. Those that predict bought labels worse than the best of them are left out, and named. Where the student
learns from so few images that it sees them repeatedly, and the pile is no larger than what a student sees at most, it
is trained twice more for that, each time without half of the labels. With more images that would take too long: there
the student is left out if, although it has seen the labels, it predicts them worse than the regression does each one
when it is left out.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats
from fewlabels.label_set import CannotTrainError, LabelSet
from fewlabels.pool import Rows, as_pool
from fewlabels.run import current
from fewlabels.spreading.graph import neighbour_graph
from stages import command, files, inputs, label_sets, params, ridge, students, trainer


def main() -> None:
    trainer.run("ensemble", train)


def train(settings: params.Params, name: str, label_set: LabelSet) -> trainer.Trained:
    from fewlabels.networks.ensemble import classifier_on_embedding, predicted_together, soft_voting

    label_set.require_classes(1)
    student = files.load_object(f"data/models/nn/{name}.joblib")
    if student is None:
        raise CannotTrainError(f"its network could not be trained on {name}")
    classifier = ridge.untrained(settings, len(inputs.class_names()))
    shown = inputs.pixels("train", label_set.rows)
    on_student = classifier_on_embedding(student.network, shown, label_set, classifier)
    teacher = files.load_object("data/models/ridge/active.joblib")
    members = {"ridge": teacher, "student": student, "ridge_on_student": on_student}
    voting = _voters(settings, label_set, members)
    if len(voting) < len(members):
        others = ", ".join(one for one in members if one not in voting)
        print(f"ensemble on {name}: left out, because worse on the bought labels: {others}", flush=True)

    def voted(
        _: slice,
        features: Floats,
        images: NDArray[np.uint8],
        *,
        models: str = "",  # so that what other models gave in an earlier run is not taken for theirs
    ) -> Floats:
        """Compute what soft voting does, with the features that are there, and with one look at each image."""
        by_member = {"ridge": teacher[-1].predict_proba(features)}
        if voting != ["ridge"]:
            by_member["student"], by_member["ridge_on_student"] = predicted_together(on_student, images)
        return np.asarray(np.mean([by_member[one] for one in voting], axis=0), np.float32)

    def probabilities(part: str, rows: NDArray[np.int64] | None) -> Rows:
        if rows is not None:
            return voted(slice(0, len(rows)), inputs.seen(part, rows), inputs.pixels(part, rows))
        with Path(f"data/models/ensemble/{name}.joblib").open("rb") as file:
            models = hashlib.file_digest(file, "sha256").hexdigest()
        label = f"ensemble, {part} images"
        predicted: Rows = current().map(voted, inputs.features(part), inputs.images(part), models=models, label=label)
        return predicted

    return trainer.Trained(soft_voting({one: members[one] for one in voting}), probabilities, everywhere=True)


def _voters(settings: params.Params, label_set: LabelSet, members: Mapping[str, Any]) -> list[str]:
    from fewlabels.networks.held_out import FOLDS, cross_validated, voters
    from fewlabels.networks.student import sees_repeatedly

    everyone = list(members)
    active = label_sets.load("active")
    bought = LabelSet.from_bought(active.rows[active.bought], active.labels[active.bought])
    if len(bought) < FOLDS:
        return everyone
    how, n_classes = students.settings(settings.network), len(inputs.class_names())
    images = inputs.images("train")
    if len(images) <= how.images and sees_repeatedly(label_set, how):
        predicted = cross_validated(
            as_pool(images).array(),
            bought,
            as_pool(inputs.features("train")).array(),
            neighbour_graph(as_pool(files.load_rows(inputs.FEATURES / "neighbours.npy")).array()),
            ridge.untrained(settings, n_classes),
            label_sets.not_judging(),
            neighbour_weights=settings.label_spreading.neighbour_weights,
            confidence=settings.confidence,
            seed=settings.seed,
            image_shape=settings.data.image_shape,
            n_classes=n_classes,
            settings=how,
        )
        return voters(predicted, bought.labels)
    left_out = members["ridge"][-1].leave_one_out_proba()
    seen = members["student"].predict_proba(inputs.pixels("train", bought.rows))
    return everyone if "student" in voters({"ridge": left_out, "student": seen}, bought.labels) else ["ridge"]


if __name__ == "__main__":
    with command.at_root():
        main()
