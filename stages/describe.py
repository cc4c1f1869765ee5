"""Compute HOG features of the training images, their nearest neighbours, and which of them are exact copies."""

from pathlib import Path

import numpy as np

from fewlabels.arrays import first_occurrences
from fewlabels.features.hog import HOG
from fewlabels.features.neighbours import nearest_neighbours
from stages import command, files, params

FEATURES = Path("data/features")


def main() -> None:
    settings = params.load()
    images = files.load_array("data/flat/train_images.npy")
    originals = first_occurrences(images)
    distinct, place = np.unique(originals, return_inverse=True)
    hog = HOG(settings.data.image_shape).fit(images[distinct])
    # Copies take the very features of their original: computed anew, rounding could tell them apart.
    features = hog.transform(images[distinct])[place]
    print(f"{len(images):,} images, {len(images) - len(distinct):,} of them exact copies", flush=True)
    print(f"HOG: {features.shape[1]} numbers for each image", flush=True)
    files.save_array(FEATURES / "originals.npy", originals)
    files.save_object(FEATURES / "hog.joblib", hog)
    files.save_array(FEATURES / "train_hog.npy", features)
    files.save_array(FEATURES / "neighbours.npy", nearest_neighbours(features, settings.label_spreading.neighbours))


if __name__ == "__main__":
    command.run(main)
