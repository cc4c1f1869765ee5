"""Train logistic regression on one label set: `python -m stages.train_lr NAME`."""

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.features.hog import HOG
from fewlabels.features.pixels import scale_pixels
from fewlabels.label_set import LabelSet
from stages import params, trainer


def main() -> None:
    trainer.run("lr", train)


def train(settings: params.Params, name: str, label_set: LabelSet, images: NDArray[np.uint8]) -> Pipeline:
    label_set.require_classes(2)
    regression = settings.logistic_regression
    if settings.features == "pixels":
        features = FunctionTransformer(scale_pixels, kw_args={"power": regression.pixel_power})
    else:
        features = HOG(settings.data.image_shape)  # its principal components are those of the label set's images
    model = logistic_regression(features, C=regression.C, max_iterations=regression.max_iterations)
    return model.fit(images[label_set.rows], label_set.labels)


if __name__ == "__main__":
    main()
