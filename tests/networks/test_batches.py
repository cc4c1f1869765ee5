"""Batches for networks: every image once, none left waiting for a tuner."""

import numpy as np
import pytest

from fewlabels.networks.batches import CHUNK, ordered_batches, predict_in_batches, shifted, shuffled_batches
from fewlabels.networks.quiet_keras import keras, tf


def looked_up(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return numbers, numbers * 10


def test_a_time_round_shows_every_number_once_and_the_next_in_another_order() -> None:
    batches = [numbers for numbers, _ in shuffled_batches(12, 4, 1, looked_up).take(6).as_numpy_iterator()]
    rounds = np.concatenate(batches[:3]), np.concatenate(batches[3:])
    for numbers in rounds:
        assert sorted(numbers) == list(range(12))
    assert not np.array_equal(*rounds)


def test_batches_are_full_and_carry_what_is_looked_up() -> None:
    for numbers, targets in shuffled_batches(10, 4, 0, looked_up).take(7):
        assert numbers.shape == (4,)
        np.testing.assert_array_equal(targets, numbers * 10)


def test_batches_in_order_end_after_the_last_image() -> None:
    images, targets = np.arange(10, dtype=np.uint8).reshape(5, 2), np.arange(5, dtype=np.uint8)
    batches = list(ordered_batches(images, targets, batch_size=2).as_numpy_iterator())
    assert [len(batch) for batch, _ in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), images)
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in batches]), targets)


@pytest.mark.parametrize(
    "batches",
    [shuffled_batches(8, 4, 0, looked_up), ordered_batches(np.zeros((4, 2), np.uint8), np.zeros(4, np.uint8))],
)
def test_nothing_is_tuned_while_batches_are_made(batches: tf.data.Dataset) -> None:
    assert batches.options().autotune.enabled is False


@pytest.mark.parametrize("count", [1, CHUNK, CHUNK + 1])
def test_a_network_is_asked_about_every_image_once(count: int) -> None:
    inputs = keras.Input((3,), dtype="uint8")
    network = keras.Model(inputs, keras.layers.Rescaling(2.0)(inputs))
    images = np.random.default_rng(0).integers(256, size=(count, 3), dtype=np.uint8)
    answers = predict_in_batches(network, images)
    assert answers.dtype == np.float32
    np.testing.assert_array_equal(answers, images * np.float32(2))
    assert network.jit_compile is False, "nor on a GPU, where Keras does it by default"


def test_dropout_is_off_when_a_network_is_asked() -> None:
    network = keras.Sequential(
        [keras.Input((4,), dtype="uint8"), keras.layers.Rescaling(1.0), keras.layers.Dropout(0.9)]
    )
    np.testing.assert_array_equal(predict_in_batches(network, np.ones((50, 4), np.uint8)), np.ones((50, 4), np.float32))


def test_a_batch_that_is_not_shifted_is_the_batch_itself() -> None:
    batch = tf.ones((2, 9), tf.uint8)
    assert shifted(batch, (3, 3), 0, seed=0) is batch
