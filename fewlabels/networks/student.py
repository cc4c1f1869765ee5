"""Train a student network on soft labels of all images, correcting them after each generation but the last.

Self-training with a noisy student (Q. Xie et al., "Self-training with Noisy Student improves ImageNet classification",
CVPR 2020): the teacher is kernel ridge regression on few bought labels. The student sees every image shifted, and with
some of its last features dropped, so that it fits the teacher's mistakes less. Corrected soft labels are the mean of
those given, its own predictions, and those of a classifier trained on its last features of the bought images.

Several students, which differ in their initialisation and in the order of the images, err differently. Joined into one
network they correct the soft labels together, and are one student in the end. The mean of their answers to several
views of an image errs less, too; that mean corrects the soft labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from fewlabels.arrays import Floats
from fewlabels.label_set import LabelSet
from fewlabels.networks.architectures import edges
from fewlabels.networks.batches import shifted, shuffled_batches
from fewlabels.networks.classifier import NetworkClassifier
from fewlabels.networks.ensemble import MOVES, classifier_on_embedding, joined, predicted_together
from fewlabels.networks.muon import ConvolutionMuon
from fewlabels.networks.quiet_keras import TqdmCallback, keras, tf
from fewlabels.networks.training import compile_with, has_collapsed, schedule
from fewlabels.parameters import WholeNumber, check_settings

LEAST_STEPS = 200
"""Gradient steps of a generation at least. A thousand images are eight batches: seen once they teach a network nothing,
so a small pile is seen more often than the settings say."""
BETWEEN_SEEDS = 10_007
"""From a network's seed to the next one's: two runs whose seeds are neighbours begin with no network in common."""


@dataclass(frozen=True)
class StudentSettings:
    """How a student is trained.

    Attributes
    ----------
    networks : int
        How many students are joined into one; each takes as long as the first.
    generations : int
        How often it is trained on. After each but the last, the soft labels are corrected.
    epochs : int
        How often it sees each image in a generation; more often where that is fewer than 200 steps.
    batch_size : int
        All images where there are fewer.
    learning_rate : float
        Peak of the optimiser's rate in a generation, as of `fewlabels.networks.training.schedule`.
    dropout : float
        The part of the last features that is dropped at random in a step.
    repeats : int
        How often a bought label counts in an epoch.
    shift : int
        Images are moved by so many pixels at most, in each direction.
    views : int
        How many views of an image it predicts by, as of `fewlabels.networks.ensemble.joined`; 1 to 5.
    images : int
        Images that a generation shows it at most, repeated ones counted, whatever the other numbers say, but a batch at
        least: it bounds the time. Where they are more, each generation sees others.

    Raises
    ------
    InvalidParameterError
        A ValueError: if a number is out of its range or of another type.

    Examples
    --------
    >>> StudentSettings(generations=1).shift
    1
    """

    networks: int = 1
    generations: int = 3
    epochs: int = 1
    batch_size: int = 128
    learning_rate: float = 0.003
    dropout: float = 0.3
    repeats: int = 5
    shift: int = 1
    views: int = 1
    images: int = 100_000

    def __post_init__(self) -> None:
        check_settings(
            self,
            networks=WholeNumber(1),
            generations=WholeNumber(1),
            epochs=WholeNumber(1),
            batch_size=WholeNumber(1),
            learning_rate=Interval(Real, 0, None, closed="neither"),
            dropout=Interval(Real, 0, 1, closed="left"),
            repeats=WholeNumber(1),
            shift=WholeNumber(0),
            views=WholeNumber(1, len(MOVES)),
            images=WholeNumber(1),
        )


def train_student(
    images: NDArray[np.uint8],
    label_set: LabelSet,
    classifier: Any,
    *,
    image_shape: Sequence[int],
    n_classes: int,
    settings: StudentSettings,
    seed: int,
) -> NetworkClassifier:
    """Train a network of the architecture `edges` on soft labels. No label is held back for validation.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, pixels)
        All training images; the label set says which rows are used.
    label_set : LabelSet
        With probabilities.
    classifier : scikit-learn classifier
        Clones of it are trained on the student's last features of the bought images; its `classes` are all classes.
    image_shape : (int, int) or (int, int, 3)
        Height and width; grey, or red, green and blue.
    n_classes : int
    settings : StudentSettings
    seed : int
        Seeds the initialisation, the order of the images and their shifts.

    Returns
    -------
    NetworkClassifier
        With a row of `curves` for each epoch of each network: `start`, the number of the network, from 0; `step`,
        `loss`, and `accuracy` by the soft labels of the generation. Students that predict one class for every image are
        left out of a correction, and of the network that is returned, unless all do; none is started again.

    Raises
    ------
    CannotTrainError
        If the label set is empty.
    ValueError
        If there are no bought labels, or no probabilities of that many classes, or images are of another shape.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> images = np.repeat(np.array([[0], [255]], np.uint8), 40, axis=0).repeat(64, axis=1)
    >>> labels = (np.arange(80) // 40).astype(np.uint8)
    >>> soft = LabelSet(np.arange(80), labels, np.arange(80) % 10 == 0, np.eye(2, dtype=np.float32)[labels])
    >>> quick = StudentSettings(generations=1, epochs=4, batch_size=16)
    >>> ridge = KernelRidgeClassifier(classes=range(2))
    >>> student = train_student(images, soft, ridge, image_shape=(8, 8), n_classes=2, settings=quick, seed=0)
    >>> len(student.curves)
    4
    """
    label_set.require_classes(1)
    targets = _probabilities(label_set)
    if targets.shape[1] != n_classes:
        raise ValueError(f"n_classes: {n_classes}, and the label set has probabilities of {targets.shape[1]}")
    if images.shape[1] != prod(image_shape):
        raise ValueError(f"image_shape: {tuple(image_shape)}, and an image has {images.shape[1]} numbers")
    label_set.require_bought()
    repeated = np.repeat(np.flatnonzero(label_set.bought), settings.repeats - 1)
    order = np.concatenate([np.arange(len(label_set)), repeated])
    batch_size = min(settings.batch_size, len(label_set))
    steps = max(len(order) // batch_size, _least_steps(settings))
    steps = max(1, min(steps, settings.images // (settings.epochs * batch_size)))
    # Not copied where it shows all images, and given to TensorFlow once: of many images each copy is large.
    shown = images if np.array_equal(label_set.rows, np.arange(len(images))) else images[label_set.rows]
    pixels = tf.constant(shown)
    seeds = ((seed + number * BETWEEN_SEEDS) % 2**32 for number in range(settings.networks))
    students = [_Student(image_shape, n_classes, settings, steps, own_seed) for own_seed in seeds]
    networks = [one.network for one in students]

    def usable() -> list[keras.Model]:
        if len(np.unique(label_set.labels)) == 1:  # then to predict one class is right
            return networks
        return [network for network in networks if not has_collapsed(network, shown)]

    for generation in range(settings.generations):
        if generation:
            together = joined(usable() or networks[:1], image_shape, views=settings.views)
            targets = corrected(label_set, together, shown, classifier)
        for number, one in enumerate(students):
            batches = _batches(pixels, targets, order, image_shape, batch_size, settings.shift, one.seed + generation)
            label = f"student{f' {number + 1}' if number else ''}, generation {generation + 1}"
            one.train(batches, steps, settings.epochs, label)
    trained = usable()
    network = joined(trained or networks[:1], image_shape, views=settings.views)
    curves = [
        {"start": number, "step": (epoch + 1) * steps, "loss": loss, "accuracy": accuracy}
        for number, one in enumerate(students)
        for epoch, (loss, accuracy) in enumerate(one.epochs)
    ]
    return NetworkClassifier(
        keras.Model(network.inputs, network.outputs, name="student"),
        curves,
        collapsed_starts=len(networks) - len(trained),
        collapsed=not trained,
    )


class _Student:
    """A network, its seed and optimiser, and the loss and accuracy of each epoch so far."""

    def __init__(
        self, image_shape: Sequence[int], n_classes: int, settings: StudentSettings, steps: int, seed: int
    ) -> None:
        self.seed = seed
        keras.utils.set_random_seed(seed)
        self.network = edges(image_shape, n_classes, settings.dropout)
        self.optimizer = ConvolutionMuon(schedule(settings.learning_rate, settings.epochs * steps))
        compile_with(self.optimizer, self.network, soft=True, steps=steps)
        self.unused = [variable.numpy() for variable in self.optimizer.variables]
        self.epochs: list[tuple[float, float]] = []

    def train(self, batches: tf.data.Dataset, steps: int, epochs: int, label: str) -> None:
        """Train one generation, as if with a new optimiser: with one, TensorFlow would trace the network again."""
        for variable, value in zip(self.optimizer.variables, self.unused, strict=True):
            variable.assign(value)
        history = self.network.fit(
            batches,
            steps_per_epoch=steps,
            epochs=epochs,
            callbacks=[TqdmCallback(verbose=0, desc=label, disable=None)],
            shuffle=False,  # the batches are shuffled
            verbose=0,
        ).history
        self.epochs += list(zip(history["loss"], history["accuracy"], strict=True))


def sees_repeatedly(label_set: LabelSet, settings: StudentSettings) -> bool:
    """Tell whether a student sees images more often than its settings say, because they are few.

    Parameters
    ----------
    label_set : LabelSet
    settings : StudentSettings

    Returns
    -------
    bool

    Examples
    --------
    >>> few, many = (LabelSet.from_bought(range(n), np.zeros(n, int)) for n in (1000, 30_000))
    >>> sees_repeatedly(few, StudentSettings()), sees_repeatedly(many, StudentSettings())
    (True, False)
    """
    return len(label_set) // settings.batch_size < _least_steps(settings)


def _least_steps(settings: StudentSettings) -> int:
    """Divide the steps of a generation by its epochs."""
    return ceil(LEAST_STEPS / settings.epochs)


def corrected(label_set: LabelSet, network: keras.Model, images: NDArray[np.uint8], classifier: Any) -> Floats:
    """Correct soft labels by the mean of three predictions; bought labels stay certain.

    The three are the soft labels as given, the network's probabilities, and those of a classifier on its last features.

    Parameters
    ----------
    label_set : LabelSet
        With probabilities.
    network : keras.Model
        Trained on them.
    images : ndarray of uint8, shape (m, pixels)
        Those of the label set, in its order.
    classifier : scikit-learn classifier
        A clone of it is trained.

    Returns
    -------
    ndarray of float32, shape (m, n_classes)

    Raises
    ------
    ValueError
        If the label set has no probabilities, or no bought labels.

    Examples
    --------
    >>> from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 64), dtype=np.uint8)
    >>> soft = LabelSet(np.arange(20), np.zeros(20, np.uint8), np.arange(20) < 5, np.eye(2, dtype=np.float32)[[0] * 20])
    >>> ridge = KernelRidgeClassifier(classes=range(2))
    >>> corrected(soft, edges((8, 8), n_classes=2), images, ridge).shape
    (20, 2)
    """
    given = _probabilities(label_set)
    own, others = predicted_together(classifier_on_embedding(network, images, label_set, classifier), images)
    mean = np.asarray((given + own + others) / 3, np.float32)
    mean[label_set.bought] = given[label_set.bought]
    return mean


def _probabilities(label_set: LabelSet) -> Floats:
    if label_set.probabilities is None:
        raise ValueError("the label set has no probabilities")
    return label_set.probabilities


def _batches(
    pixels: tf.Tensor,
    probabilities: Floats,
    order: NDArray[np.int64],
    image_shape: Sequence[int],
    batch_size: int,
    shift: int,
    seed: int,
) -> tf.data.Dataset:
    """Make shuffled batches without end, each image shifted at random every time."""
    targets, rows = tf.constant(probabilities), tf.constant(order)

    def look_up(picked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        which = tf.gather(rows, picked)
        return shifted(tf.gather(pixels, which), image_shape, shift, seed), tf.gather(targets, which)

    return shuffled_batches(len(order), batch_size, seed, look_up)
