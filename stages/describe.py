"""Describe the images by the features that suit them: HOG or a pretrained embedding; and find neighbours and copies.

What `features` names is taken; for `auto` the embedding, if it lets kernel ridge regression predict each label of the
first round clearly better when it is left out, else HOG. For `pixels` it is HOG: only k-means and logistic regression
see pixels then.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats, evenly_spaced, first_occurrences
from fewlabels.choosing.which_features import choose_features, left_out_log_losses
from fewlabels.features.hog import HOG
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.networks.pretrained import SAMPLE, PretrainedEmbedding
from fewlabels.pool import Rows, as_pool
from fewlabels.spreading.copies import features_of_originals
from stages import command, engine, files, inputs, label_sets, params, ridge

FEATURES = inputs.FEATURES
CANDIDATES = {"pixels": ["hog"], "hog": ["hog"], "embedding": ["embedding"], "auto": ["hog", "embedding"]}


def main() -> None:
    settings = params.load()
    images = inputs.images("train")
    with engine.running(settings, "describe"):
        _describe(settings, images)


def _describe(settings: params.Params, images: Rows) -> None:
    originals = as_pool(first_occurrences(images)).array()
    distinct = np.unique(originals)
    print(f"{len(images):,} images, {len(images) - len(distinct):,} of them exact copies", flush=True)
    files.save_array(FEATURES / "originals.npy", originals)
    describe = {"hog": _hog, "embedding": _embedding}
    seen = {name: describe[name](settings, images, distinct) for name in CANDIDATES[settings.features]}
    losses = {}
    first = label_sets.load("first_round")
    if len(seen) > 1 and not len(first):
        print("features auto: hog, until people have answered the first round")
    elif len(seen) > 1:
        classifier = ridge.untrained(settings, len(inputs.class_names()))
        for name, (_, train, _) in seen.items():
            losses[name] = left_out_log_losses(classifier, as_pool(train).take(first.rows), first.labels)
            shown = f"{losses[name].mean():.3f} of the {len(first):,} labels of the first round, each left out"
            print(f"{name}: log loss {shown}")
    chosen = choose_features(losses) if losses else CANDIDATES[settings.features][0]
    transformer, train, test = seen[chosen]
    features = features_of_originals(train, originals)
    print(f"{chosen}: {features.shape[1]} numbers for each image", flush=True)
    files.save_json(
        FEATURES / "chosen.json",
        {"features": chosen, "left_out_log_loss": {name: loss.mean() for name, loss in losses.items()}},
    )
    files.save_object(FEATURES / "transformer.joblib", transformer)
    files.save_rows(FEATURES / "train.npy", features)
    files.save_rows(FEATURES / "test.npy", test)
    files.save_rows(FEATURES / "neighbours.npy", nearest_neighbours(features, settings.label_spreading.neighbours))


def _hog(settings: params.Params, images: Rows, distinct: NDArray[np.int64]) -> tuple[Any, Rows, Rows]:
    test = inputs.images("test")
    hog = HOG(settings.data.image_shape).fit_rows(images, distinct)
    return hog, hog.transform(images), hog.transform(test) if len(test) else _none(hog)


def _embedding(settings: params.Params, images: Rows, distinct: NDArray[np.int64]) -> tuple[Any, Rows, Rows]:
    train, test = (files.load_rows(FEATURES / f"embedding_{part}.npy") for part in ("train", "test"))
    how = settings.embedding
    embedding = PretrainedEmbedding(settings.data.image_shape, how.model, how.size, how.scale)
    embedding.fit_numbers(as_pool(train).take(distinct[evenly_spaced(len(distinct), SAMPLE)]))
    seen = embedding.transform_numbers(train)
    return embedding, seen, embedding.transform_numbers(test) if len(test) else _none(embedding)


def _none(transformer: Any) -> Floats:
    return np.empty((0, len(transformer.get_feature_names_out())), np.float32)


if __name__ == "__main__":
    command.run(main)
