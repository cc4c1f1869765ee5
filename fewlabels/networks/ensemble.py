"""The mean of several classifiers, or networks. They err differently, so their mean errs less."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline

from fewlabels.arrays import Floats
from fewlabels.label_set import LabelSet
from fewlabels.networks.batches import JOIN, predict_in_batches
from fewlabels.networks.embedding import Embedding, without_last_layer
from fewlabels.networks.quiet_keras import keras
from fewlabels.parameters import WholeNumber

CHUNK = 2_048
"""Images whose last features are in memory at once."""
MOVES = ((0, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
"""By how many pixels, down and to the right, an image is moved in each view of it, in the order they are taken."""


def soft_voting(classifiers: Mapping[str, ClassifierMixin]) -> VotingClassifier:
    """Average the probabilities of classifiers that have been trained.

    Parameters
    ----------
    classifiers : mapping of str to classifier
        Trained on the same classes and the same kind of input.

    Returns
    -------
    sklearn.ensemble.VotingClassifier
        Ready to predict; the classifiers are not trained again.

    Raises
    ------
    ValueError
        If there is none, or their classes differ.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> always, half = (DummyClassifier(strategy="prior").fit([[0]] * n, [0] + [1] * (n - 1)) for n in (4, 2))
    >>> soft_voting({"three quarters": always, "half": half}).predict_proba([[0]])
    array([[0.375, 0.625]])
    """
    if not classifiers:
        raise ValueError("classifiers: there is none")
    first, *others = (np.asarray(classifier.classes_) for classifier in classifiers.values())
    if not all(np.array_equal(first, other) for other in others):
        raise ValueError("the classifiers were trained on different classes")
    frozen = [(name, FrozenEstimator(classifier)) for name, classifier in classifiers.items()]
    # Fitting frozen classifiers trains nothing: it only notes the classes, so the values of X do not matter.
    return VotingClassifier(frozen, voting="soft").fit(np.zeros((len(first), 1)), first)


def joined(networks: Sequence[keras.Model], image_shape: Sequence[int] = (), *, views: int = 1) -> keras.Model:
    """Join networks into one, whose scores before the last activation are the mean of theirs.

    It has the last features of all of them, one beside the other. Each may see several views of an image: as it is, and
    moved by a pixel along a diagonal. What a network that pools says of these differs (R. Zhang, "Making Convolutional
    Networks Shift-Invariant Again", ICML 2019), so their mean errs less.

    Parameters
    ----------
    networks : sequence of keras.Model
        One or more; with the same input, and a last layer that is dense, of the same classes and the same activation.
    image_shape : (int, int) or (int, int, 3), optional
        Height and width; grey, or red, green and blue. Needed for more than one view.
    views : int, default=1
        At most 5; each takes as long as the first.

    Returns
    -------
    keras.Model
        Its last layer is a copy; all others are theirs. Of one network and one view, that network itself.

    Raises
    ------
    ValueError
        If there is no network, they differ in the number of their classes or in their last activation, `views` is no
        whole number from 1 to 5, or there is no image shape for more than one.

    Examples
    --------
    >>> from fewlabels.networks.architectures import compact
    >>> one, other = (compact((8, 8), n_classes=2) for _ in range(2))
    >>> joined([one, other], (8, 8), views=2).layers[-1].input.shape[1] == 4 * one.layers[-1].input.shape[1]
    True
    """
    if not networks:
        raise ValueError("networks: there is none to join")
    classes = sorted({network.output_shape[-1] for network in networks})
    if len(classes) > 1:
        raise ValueError(f"networks: of {' and '.join(map(str, classes))} classes, so they have no mean")
    activations = sorted({network.layers[-1].activation.__name__ for network in networks})
    if len(activations) > 1:
        raise ValueError(f"networks: their last activations are {' and '.join(activations)}, so they have no mean")
    if not WholeNumber(1, len(MOVES)).is_satisfied_by(views):
        raise ValueError(f"views: {views!r} is no whole number from 1 to {len(MOVES)}")
    if views > 1 and not len(image_shape):
        raise ValueError("image_shape: an image is not moved without it")
    first, *others = networks
    if not others and views == 1:
        return first
    inputs = keras.Input(first.input_shape[1:], dtype=first.inputs[0].dtype)
    # Each network is one layer here, called for each view: of a second copy Keras would not save the weights.
    last_features = [without_last_layer(network) for network in networks]
    seen = [see(_moved(inputs, image_shape, *move)) for move in MOVES[:views] for see in last_features]
    last = keras.layers.Dense(first.output_shape[-1], activation=first.layers[-1].activation)
    model = keras.Model(inputs, last(keras.layers.Concatenate(name=JOIN)(seen)))
    weights, biases = zip(*(network.layers[-1].get_weights() for network in networks), strict=True)
    last.set_weights([np.concatenate(weights * views) / len(seen), np.mean(biases, axis=0)])
    return model


def _moved(pixels: Any, image_shape: Sequence[int], down: int, right: int) -> Any:
    """Move an image by some pixels; what comes in from outside is zero, as in training."""
    if not down and not right:
        return pixels
    x = keras.layers.Reshape((*image_shape, 1)[:3])(pixels)
    x = keras.layers.ZeroPadding2D(((max(down, 0), max(-down, 0)), (max(right, 0), max(-right, 0))))(x)
    x = keras.layers.Cropping2D(((max(-down, 0), max(down, 0)), (max(-right, 0), max(right, 0))))(x)
    return keras.layers.Reshape(pixels.shape[1:])(x)


def classifier_on_embedding(
    network: keras.Model, images: NDArray[np.uint8], label_set: LabelSet, classifier: Any
) -> Pipeline:
    """Train a classifier on a network's last features of the images whose labels were bought.

    Parameters
    ----------
    network : keras.Model
        Trained.
    images : ndarray of uint8, shape (m, pixels)
        Those of the label set, in its order.
    label_set : LabelSet
        Only its bought labels are used, not its probabilities.
    classifier : scikit-learn classifier
        A clone of it is trained.

    Returns
    -------
    sklearn.pipeline.Pipeline
        From raw pixels to probabilities.

    Raises
    ------
    ValueError
        If the label set has no bought labels.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> from fewlabels.networks.architectures import compact
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 64), dtype=np.uint8)
    >>> label_set = LabelSet.from_bought(range(20), np.arange(20) % 2)
    >>> model = classifier_on_embedding(compact((8, 8), n_classes=2), images, label_set, KernelRidgeClassifier())
    >>> model.predict_proba(images).shape
    (20, 2)
    """
    label_set.require_bought()
    bought = label_set.bought
    embedding = Embedding(network).fit(images)
    trained = clone(classifier).fit(embedding.transform(images[bought]), label_set.labels[bought])
    return make_pipeline(embedding, trained)


def predicted_together(on_embedding: Pipeline, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Compute the probabilities of a network and of the classifier on its last features; it sees each image once.

    Parameters
    ----------
    on_embedding : sklearn.pipeline.Pipeline
        As from `classifier_on_embedding`.
    images : ndarray of uint8, shape (n, pixels)

    Returns
    -------
    own : ndarray of float32, shape (n, n_classes)
        Those of the network.
    others : ndarray of float32, shape (n, n_classes)
        Those of the classifier.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> from fewlabels.networks.architectures import compact
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 64), dtype=np.uint8)
    >>> label_set = LabelSet.from_bought(range(20), np.arange(20) % 2)
    >>> model = classifier_on_embedding(compact((8, 8), n_classes=2), images, label_set, KernelRidgeClassifier())
    >>> own, others = predicted_together(model, images)
    >>> own.shape, bool(np.allclose(others, model.predict_proba(images)))
    ((20, 2), True)
    """
    embedding, classifier = on_embedding
    last_features = without_last_layer(embedding.network)
    own = np.empty((len(images), embedding.network.output_shape[-1]), np.float32)
    others = np.empty_like(own)
    for start in range(0, len(images), CHUNK):
        rows = slice(start, start + CHUNK)
        seen = predict_in_batches(last_features, images[rows])
        own[rows] = embedding.network.layers[-1](seen).numpy()
        others[rows] = classifier.predict_proba(embedding.pca_.transform(seen))
    return own, others
