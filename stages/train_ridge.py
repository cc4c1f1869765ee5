"""Train kernel ridge regression on the HOG features of one label set: `python -m stages.train_ridge NAME`."""

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline, make_pipeline

from fewlabels.features.hog import HOG
from fewlabels.label_set import LabelSet
from stages import params, ridge, trainer


def main() -> None:
    trainer.run("ridge", train)


def train(settings: params.Params, name: str, label_set: LabelSet, images: NDArray[np.uint8]) -> Pipeline:
    label_set.require_classes(1)
    hog = HOG(settings.data.image_shape)  # its principal components are those of the label set's images
    model = make_pipeline(hog, ridge.untrained(settings))
    return model.fit(images[label_set.rows], label_set.labels)


if __name__ == "__main__":
    main()
