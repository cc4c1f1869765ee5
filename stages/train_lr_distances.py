"""Train logistic regression on the distances to the centroids: `python -m stages.train_lr_distances NAME`.

As in the study, the distances of an image to all centroids of k-means are its features, in place of its pixels.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.clustering.assignment import distances_to_centroids
from fewlabels.label_set import LabelSet
from stages import files, params, trainer


def main() -> None:
    trainer.run("lr_distances", train)


def train(settings: params.Params, name: str, label_set: LabelSet, images: NDArray[np.uint8]) -> Pipeline:
    label_set.require_classes(2)
    regression = settings.logistic_regression
    *seen, kmeans = files.load_object("data/clusters/kmeans.joblib")
    distances = FunctionTransformer(distances_to_centroids, kw_args={"centroids": kmeans.cluster_centers_})
    model = logistic_regression(
        make_pipeline(*map(FrozenEstimator, seen), distances),
        C=regression.distances_C,
        max_iterations=regression.max_iterations,
        whiten=True,
    )
    return model.fit(images[label_set.rows], label_set.labels)


if __name__ == "__main__":
    main()
