"""How long an epoch takes, estimated before a training starts."""

import pytest

from fewlabels.networks import duration
from fewlabels.networks.duration import seconds_per_epoch


def test_small_images_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duration, "ARCHITECTURES", {})
    assert seconds_per_epoch("edges", (64, 64), 10, 10**9) == 0


@pytest.mark.parametrize("architecture", ["compact", "edges"])
def test_twice_the_images_take_twice_the_time(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that counts the calls: a step takes 2."""
    ticks = iter(range(0, 100, 2))
    monkeypatch.setattr(duration.time, "perf_counter", lambda: next(ticks))
    assert seconds_per_epoch(architecture, (70, 65), 3, 160) == 2 * 160 / duration.BATCH
    assert seconds_per_epoch(architecture, (40, 50, 3), 3, 320) == 2 * 320 / duration.BATCH
