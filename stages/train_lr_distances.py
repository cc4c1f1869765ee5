"""Train logistic regression on the distances to the centroids: `python -m stages.train_lr_distances NAME`.

As in the study, the distances of an image to all centroids of k-means are its features, in place of its pixels.
"""

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.clustering.assignment import distances_to_centroids
from fewlabels.label_set import LabelSet
from stages import command, files, inputs, params, trainer


def main() -> None:
    trainer.run("lr_distances", train)


def train(settings: params.Params, name: str, label_set: LabelSet) -> trainer.Trained:
    label_set.require_classes(2)
    how = settings.logistic_regression
    *seen, kmeans = files.load_object("data/clusters/kmeans.joblib")
    distances = FunctionTransformer(distances_to_centroids, kw_args={"centroids": kmeans.cluster_centers_})

    on_pixels = settings.features == "pixels"
    steps = [*map(FrozenEstimator, seen), distances] if on_pixels else [distances]
    model = logistic_regression(
        make_pipeline(*steps), C=how.distances_C, max_iterations=how.max_iterations, whiten=True
    )
    points = inputs.pixels if on_pixels else inputs.seen
    model.fit(points("train", label_set.rows), label_set.labels)
    return trainer.on_images(model) if on_pixels else trainer.on_features(model)


if __name__ == "__main__":
    with command.at_root():
        main()
