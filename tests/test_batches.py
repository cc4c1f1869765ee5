"""Batches for networks: every image once, none left waiting for a tuner."""

import numpy as np
import pytest

from fewlabels.batches import CHUNK, in_order, predict, shuffled
from fewlabels.quiet_keras import keras, tf


def looked_up(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return numbers, numbers * 10


def test_a_time_round_shows_every_number_once_and_the_next_in_another_order() -> None:
    batches = [numbers for numbers, _ in shuffled(12, 4, 1, looked_up).take(6).as_numpy_iterator()]
    rounds = np.concatenate(batches[:3]), np.concatenate(batches[3:])
    for numbers in rounds:
        assert sorted(numbers) == list(range(12))
    assert not np.array_equal(*rounds)


def test_batches_are_full_and_carry_what_is_looked_up() -> None:
    for numbers, targets in shuffled(10, 4, 0, looked_up).take(7):
        assert numbers.shape == (4,)
        np.testing.assert_array_equal(targets, numbers * 10)


def test_batches_in_order_end_after_the_last_image() -> None:
    images, targets = np.arange(10, dtype=np.uint8).reshape(5, 2), np.arange(5, dtype=np.uint8)
    batches = list(in_order(images, targets, batch_size=2).as_numpy_iterator())
    assert [len(batch) for batch, _ in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), images)
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in batches]), targets)


@pytest.mark.parametrize(
    "batches", [shuffled(8, 4, 0, looked_up), in_order(np.zeros((4, 2), np.uint8), np.zeros(4, np.uint8))]
)
def test_nothing_is_tuned_while_batches_are_made(batches: tf.data.Dataset) -> None:
    assert batches.options().autotune.enabled is False


@pytest.mark.parametrize("count", [1, CHUNK, CHUNK + 1])
def test_a_network_is_asked_about_every_image_once(count: int) -> None:
    inputs = keras.Input((3,), dtype="uint8")
    network = keras.Model(inputs, keras.layers.Rescaling(2.0)(inputs))
    images = np.random.default_rng(0).integers(256, size=(count, 3), dtype=np.uint8)
    answers = predict(network, images)
    assert answers.dtype == np.float32
    np.testing.assert_array_equal(answers, images * np.float32(2))


def test_dropout_is_off_when_a_network_is_asked() -> None:
    network = keras.Sequential(
        [keras.Input((4,), dtype="uint8"), keras.layers.Rescaling(1.0), keras.layers.Dropout(0.9)]
    )
    np.testing.assert_array_equal(predict(network, np.ones((50, 4), np.uint8)), np.ones((50, 4), np.float32))
