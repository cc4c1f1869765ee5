"""What further labels may bring, on curves whose law is known."""

import numpy as np
import pytest

from fewlabels.learning_curve import expected_gain


@pytest.mark.parametrize("power", [0.2, 0.5, 1.0])
def test_a_power_law_is_carried_on(power: float) -> None:
    judged, counts = 100_000, np.array([50, 100, 200, 400])
    error = 0.4 * (counts / 50) ** -power
    gain = expected_gain(counts, error * judged, judged, 100)
    assert gain == pytest.approx(error[-1] - 0.4 * (500 / 50) ** -power, abs=1e-4)


def test_a_curve_that_gets_worse_promises_nothing() -> None:
    assert expected_gain([50, 100, 200], [10, 20, 30], 100, 100) == 0


def test_no_curve_is_steeper_than_doubling_for_half() -> None:
    """From 30 mistakes to none, which half a mistake each stands for: with twice the labels half the error is left."""
    gain = expected_gain([50, 75, 100], [30, 2, 0], 100, 100)
    error = np.exp(np.mean(np.log(np.array([30.5, 2.5, 0.5]) / 101)) + np.mean(np.log([50, 75, 100]))) / 100
    assert gain == pytest.approx(error / 2)


@pytest.mark.parametrize(("counts", "judged"), [([], 100), ([50, 100], 100), ([50, 100, 200], 0)])
def test_too_little_is_known(counts: list[int], judged: int) -> None:
    assert expected_gain(counts, [3] * len(counts), judged, 100) is None
