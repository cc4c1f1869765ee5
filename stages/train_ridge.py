"""Train kernel ridge regression on one label set: `python -m stages.train_ridge NAME`."""

import argparse
from pathlib import Path

from sklearn.pipeline import make_pipeline

from fewlabels.kernel_ridge import KernelRidgeClassifier
from fewlabels.label_set import LabelSet
from stages import files, params

MODELS = Path("data/models/ridge")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_set", choices=params.BOUGHT_SETS)
    name = parser.parse_args().label_set
    with files.cost_written(f"data/costs/ridge_{name}.json"):
        train(name)


def train(name: str) -> None:
    settings = params.load()
    label_set = LabelSet(**files.load_arrays(f"data/labels/{name}.npz"))
    images = files.load_array("data/flat/train_images.npy")[label_set.rows]
    print(f"kernel ridge regression on {name}: {len(label_set):,} images")
    ridge = settings.kernel_ridge
    classifier = KernelRidgeClassifier(ridge.gamma, ridge.alpha, range(len(settings.data.classes)))
    model = make_pipeline(files.load_object("data/flat/gradients.joblib"), classifier)
    files.save_object(MODELS / f"{name}.joblib", model.fit(images, label_set.labels))


if __name__ == "__main__":
    main()
