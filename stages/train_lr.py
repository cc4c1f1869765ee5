"""Train logistic regression on one label set: `python -m stages.train_lr NAME`."""

import argparse
import warnings
from pathlib import Path

from sklearn.exceptions import ConvergenceWarning

from fewlabels.label_set import LabelSet
from fewlabels.logistic import logistic_regression
from stages import files, params

MODELS = Path("data/models/lr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_set", choices=params.LABEL_SETS)
    name = parser.parse_args().label_set
    with files.cost_written(f"data/costs/lr_{name}.json"):
        train(name)


def train(name: str) -> None:
    settings = params.load()
    regression = settings.logistic_regression
    label_set = LabelSet(**files.load_arrays(f"data/labels/{name}.npz"))
    images = files.load_array("data/flat/train_images.npy")[label_set.rows]
    print(f"logistic regression on {name}: {len(label_set):,} images, by their {settings.features}")
    model = logistic_regression(
        label_set,
        C=regression.C if label_set.centroids is None else regression.distances_C,
        max_iterations=regression.max_iterations,
        pixel_power=regression.pixel_power,
        features=None if settings.features == "pixels" else files.load_object("data/flat/gradients.joblib"),
    )
    with warnings.catch_warnings():
        # The number of iterations is a setting, and stopping there is no accident.
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            model.fit(images, label_set.labels)
        except ValueError as error:
            raise SystemExit(f"data/labels/{name}.npz: {error}") from None
    files.save_object(MODELS / f"{name}.joblib", model)


if __name__ == "__main__":
    main()
