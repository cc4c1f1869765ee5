"""Train a small network on a label set, for a number of gradient steps that suits 500 labels as well as 60,000.

A network can collapse: it predicts one class for every image, and its accuracy is the frequency of that class. From an
unlucky initialisation the study's network does so now and then. A collapse is detected here and the training started
again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils._param_validation import Interval, StrOptions

from fewlabels.arrays import evenly_spaced
from fewlabels.label_set import CannotTrainError, LabelSet
from fewlabels.networks.architectures import ARCHITECTURES, OPTIMIZERS
from fewlabels.networks.batches import ordered_batches, predict_in_batches, shifted, shuffled_batches
from fewlabels.networks.classifier import NetworkClassifier
from fewlabels.networks.ensemble import joined
from fewlabels.networks.quiet_keras import TqdmCallback, keras, tf
from fewlabels.parameters import WholeNumber, check_settings

CHECKS = 20
"""How often a training evaluates its validation data."""
HELD_BACK = 2000
"""Validation images at most: more would slow every evaluation and hardly change its result."""
STEPS_AT_ONCE = 25
"""Steps at most that TensorFlow runs before Python goes on."""
SAMPLE = 1000
"""Images at most that a collapse is looked for in, evenly spaced: they may be stored class by class."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes
    ----------
    architecture : {"compact", "edges", "study"}
    steps : int
        Gradient steps from one initialisation at most, rounded to whole intervals between two evaluations of the
        validation data; there are 20 in a training.
    batch_size : int
    learning_rate : float
        Peak of the optimiser's rate, as of `schedule`.
    validation_share : float
        The part of the label set that is held back to decide when to stop, between 0 and 1; 2,000 images at most.
    patience : int
        Stop after so many evaluations without a smaller validation loss.
    restarts : int
        How often to start again after a collapse, for all networks together.
    networks : int
        How many networks are trained and joined into one; each takes as long as the first. Fewer are joined where so
        many starts collapse that none is left.
    shift : int
        Images are moved by so many pixels at most, in each direction, anew every time that they are seen.

    Raises
    ------
    InvalidParameterError
        A ValueError: if a number is out of its range or of another type, or there is no such architecture.

    Examples
    --------
    >>> TrainingSettings(steps=100).batch_size
    128
    """

    architecture: str = "edges"
    steps: int = 500
    batch_size: int = 128
    learning_rate: float = 0.003
    validation_share: float = 0.1
    patience: int = 8
    restarts: int = 3
    networks: int = 1
    shift: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            architecture=StrOptions({*ARCHITECTURES}),
            steps=WholeNumber(1),
            batch_size=WholeNumber(1),
            learning_rate=Interval(Real, 0, None, closed="neither"),
            validation_share=Interval(Real, 0, 1, closed="neither"),
            patience=WholeNumber(1),
            restarts=WholeNumber(0),
            networks=WholeNumber(1),
            shift=WholeNumber(0),
        )


def train(
    images: NDArray[np.uint8],
    label_set: LabelSet,
    *,
    image_shape: Sequence[int],
    n_classes: int,
    settings: TrainingSettings,
    seed: int,
) -> NetworkClassifier:
    """Train a network on a label set, or several and join them; one that collapses is started again.

    Networks of different initialisations err differently, so their mean errs less (B. Lakshminarayanan et al., "Simple
    and scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017).

    Parameters
    ----------
    images : ndarray of uint8, shape (n, pixels)
        All training images; the label set says which rows are used.
    label_set : LabelSet
        Its probabilities are not used.
    image_shape : (int, int) or (int, int, 3)
        Height and width; grey, or red, green and blue.
    n_classes : int
    settings : TrainingSettings
    seed : int
        Seeds the split, the first initialisation and the order and the shifts of the images; the next initialisation
        has the next seed.

    Returns
    -------
    NetworkClassifier
        With a row of `curves` for each evaluation of the validation data: `start`, the number of the initialisation,
        from 0, be it for a further network or after a collapse; `step`, `loss`, `accuracy`, `validation_loss`,
        `validation_accuracy`.

    Raises
    ------
    CannotTrainError
        If the label set is empty or too small to hold back validation data.

    Examples
    --------
    >>> images = np.repeat(np.array([[0], [255]], np.uint8), 50, axis=0).repeat(64, axis=1)
    >>> label_set = LabelSet.from_bought(range(100), np.arange(100) // 50)
    >>> quick = TrainingSettings(steps=40, batch_size=32)
    >>> model = train(images, label_set, image_shape=(8, 8), n_classes=2, settings=quick, seed=0)
    >>> model.predict(images[[0, 99]])
    array([0, 1])
    """
    label_set.require_classes(1)
    held_back = min(HELD_BACK, ceil(settings.validation_share * len(label_set)))
    if len(label_set) <= held_back:
        labels = "1 label is" if len(label_set) == 1 else f"{len(label_set):,} labels are"
        raise CannotTrainError(f"{labels} too few to hold back {held_back} for validation")
    _, counts = np.unique(label_set.labels, return_counts=True)
    every_class_fits = counts.min() >= 2 and min(held_back, len(label_set) - held_back) >= len(counts)
    train_rows, validation_rows = train_test_split(
        np.arange(len(label_set)),
        test_size=held_back,
        random_state=seed,
        stratify=label_set.labels if every_class_fits else None,
    )
    held_out = images[label_set.rows[validation_rows]], label_set.labels[validation_rows]

    keras.utils.set_random_seed(seed)  # tf.data shuffles by this seed, too
    batches = _batches(images, label_set, train_rows, image_shape, settings, seed)
    curves: list[dict[str, float]] = []
    trained: list[keras.Model] = []
    collapsed = 0
    for start in range(settings.networks + settings.restarts):
        keras.utils.set_random_seed((seed + start) % 2**32)
        model = ARCHITECTURES[settings.architecture](image_shape, n_classes)
        optimizer = OPTIMIZERS.get(settings.architecture, keras.optimizers.Adam)
        curves += _train_once(model, batches, held_out, optimizer, settings, start)
        if len(counts) > 1 and has_collapsed(model, images[label_set.rows]):
            collapsed += 1
        else:
            trained.append(model)
        if len(trained) == settings.networks:
            break
    network = joined(trained or [model])
    without_optimizer = keras.Model(network.inputs, network.outputs, name=model.name)
    return NetworkClassifier(without_optimizer, curves, collapsed_starts=collapsed, collapsed=not trained)


def has_collapsed(network: keras.Model, images: NDArray[np.uint8]) -> bool:
    """Tell whether a network predicts the same class for every image.

    Parameters
    ----------
    network : keras.Model
    images : ndarray of uint8, shape (n, pixels)

    Returns
    -------
    bool

    Examples
    --------
    >>> inputs = keras.Input((2,), dtype="uint8")
    >>> network = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs))
    >>> has_collapsed(network, np.array([[0, 1], [3, 4]])), has_collapsed(network, np.array([[0, 1], [4, 3]]))
    (True, False)
    """
    predicted = predict_in_batches(network, images[evenly_spaced(len(images), SAMPLE)]).argmax(axis=1)
    return bool(np.all(predicted == predicted[0]))


def schedule(learning_rate: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Warm up over the first tenth of the steps, then decay to zero by half a cosine.

    Parameters
    ----------
    learning_rate : float
        The peak.
    steps : int

    Returns
    -------
    keras.optimizers.schedules.LearningRateSchedule

    Examples
    --------
    >>> rate = schedule(0.003, steps=100)
    >>> [round(float(rate(step)), 4) for step in (0, 10, 100)]
    [0.0, 0.003, 0.0]
    """
    warm_up = ceil(steps / 10)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )


def compile_with(optimizer: keras.optimizers.Optimizer, network: keras.Model, *, soft: bool, steps: int = 1) -> None:
    """Prepare a network for training; all variables are made here, or TensorFlow would trace each step twice.

    TensorFlow is given several steps at once, as many as divide those of an epoch: the results are the same, and no
    step waits for Python.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
    network : keras.Model
    soft : bool
        Whether it learns from probabilities, not from labels.
    steps : int, default=1
        Those of an epoch, 1 at least.

    Examples
    --------
    >>> network, optimizer = ARCHITECTURES["compact"]((8, 8), 2), keras.optimizers.Adam()
    >>> compile_with(optimizer, network, soft=False, steps=100)
    >>> optimizer.built, network.steps_per_execution
    (True, 25)
    """
    kind = "categorical" if soft else "sparse_categorical"
    metric = keras.metrics.CategoricalAccuracy if soft else keras.metrics.SparseCategoricalAccuracy
    optimizer.build(network.trainable_variables)
    network.compile(
        optimizer,
        f"{kind}_crossentropy",
        metrics=[metric("accuracy")],
        jit_compile=False,
        steps_per_execution=max(at_once for at_once in range(1, STEPS_AT_ONCE + 1) if steps % at_once == 0),
    )


def _batches(
    images: NDArray[np.uint8],
    label_set: LabelSet,
    rows: NDArray[np.int64],
    image_shape: Sequence[int],
    settings: TrainingSettings,
    seed: int,
) -> tf.data.Dataset:
    """Make shuffled batches without end; only row numbers are shuffled, and pixels stay bytes until in the network."""
    pixels, labels = tf.constant(images[label_set.rows[rows]]), tf.constant(label_set.labels[rows])

    def look_up(picked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return shifted(tf.gather(pixels, picked), image_shape, settings.shift, seed), tf.gather(labels, picked)

    return shuffled_batches(len(rows), settings.batch_size, seed, look_up)


def _train_once(
    model: keras.Model,
    batches: tf.data.Dataset,
    held_out: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    optimizer: Callable[[keras.optimizers.schedules.LearningRateSchedule], keras.optimizers.Optimizer],
    settings: TrainingSettings,
    start: int,
) -> list[dict[str, float]]:
    """Train from the current weights, keep those of the smallest validation loss, and return the curves."""
    interval = max(1, round(settings.steps / CHECKS))
    checks = ceil(settings.steps / interval)
    rates = schedule(settings.learning_rate, checks * interval)
    compile_with(optimizer(rates), model, soft=False, steps=interval)
    history = model.fit(
        batches,
        steps_per_epoch=interval,
        epochs=checks,
        validation_data=ordered_batches(*held_out),
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=settings.patience, restore_best_weights=True),
            TqdmCallback(verbose=0, desc=f"start {start}, {len(held_out[0])} images held back", disable=None),
        ],
        shuffle=False,  # the batches are shuffled
        verbose=0,
    ).history
    return [
        {
            "start": start,
            "step": (check + 1) * interval,
            "loss": history["loss"][check],
            "accuracy": history["accuracy"][check],
            "validation_loss": history["val_loss"][check],
            "validation_accuracy": history["val_accuracy"][check],
        }
        for check in range(len(history["loss"]))
    ]
