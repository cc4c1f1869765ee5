"""Cluster the training images: as many clusters as labels can be bought."""

from pathlib import Path

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fewlabels.kmeans import KMeans
from fewlabels.pixels import scaled
from stages import files, params

CLUSTERS = Path("data/clusters")


def main() -> None:
    settings = params.load()
    images = files.load_array("data/flat/train_images.npy")
    if settings.clusters > len(images):
        raise SystemExit(f"params.yaml: clusters: {settings.clusters} is more than the {len(images)} training images")
    print(f"k-means: {settings.clusters} clusters of {len(images):,} images, by their {settings.features}")
    if settings.features == "pixels":
        transformer, described = FunctionTransformer(scaled), scaled(images)
    else:
        transformer = files.load_object("data/flat/gradients.joblib")
        described = files.load_array("data/flat/train_gradients.npy")
    kmeans = KMeans(settings.clusters, random_state=settings.seed).fit(described)
    print(f"inertia {kmeans.inertia_:,.0f} after {kmeans.n_iter_} passes")
    files.save_array(CLUSTERS / "assignments.npy", kmeans.labels_)
    files.save_array(CLUSTERS / "distances.npy", kmeans.distances_)
    files.save_object(CLUSTERS / "kmeans.joblib", make_pipeline(transformer, kmeans))


if __name__ == "__main__":
    with files.cost_written("data/costs/kmeans.json"):
        main()
