"""Cluster the training images by k-means: as many clusters as labels can be bought."""

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fewlabels.clustering.assignment import distinct_nearest
from fewlabels.clustering.kmeans import KMeans
from fewlabels.features.pixels import scale_pixels
from fewlabels.pool import Pool
from stages import command, engine, files, inputs, params


@files.record_cost("data/costs/kmeans.json")
def main() -> None:
    settings = params.load()
    images = inputs.images("train")
    if settings.clusters > len(images):
        raise SystemExit(f"params.yaml: clusters: {settings.clusters} is more than the {len(images)} training images")
    print(f"k-means: {settings.clusters} clusters of {len(images):,} images, features: {settings.features}", flush=True)
    with engine.running(settings, "kmeans"):
        if settings.features == "pixels":
            transformer, features = FunctionTransformer(scale_pixels), scale_pixels(images)
        else:
            transformer, features = inputs.transformer(), inputs.features("train")
        kmeans = KMeans(settings.clusters, random_state=settings.seed).fit(features)
        print(f"inertia {kmeans.inertia_:,.0f} after {kmeans.n_iter_} passes")
        files.save_rows(inputs.CLUSTERS / "assignments.npy", kmeans.labels_)
        files.save_rows(inputs.CLUSTERS / "distances.npy", kmeans.distances_)
        scores = {
            "inertia": kmeans.inertia_,
            "iterations": kmeans.n_iter_,
            "distinct_nearest": distinct_nearest(features, kmeans.cluster_centers_),
        }
        files.save_object(inputs.CLUSTERS / "kmeans.joblib", make_pipeline(transformer, _without_rows(kmeans)))
    files.save_json(inputs.CLUSTERS / "scores.json", scores)


def _without_rows(kmeans: KMeans) -> KMeans:
    """Leave out what a pool on disk holds: it will not be there when the model is loaded."""
    if isinstance(kmeans.labels_, Pool):
        del kmeans.labels_, kmeans.distances_
    return kmeans


if __name__ == "__main__":
    command.run(main)
