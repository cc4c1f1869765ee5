"""The shared computations on arrays, against numpy."""

from pathlib import Path

import numpy as np
import pytest
from shards import shards

from fewlabels.arrays import evenly_spaced, first_occurrences
from fewlabels.run import Local


@pytest.mark.parametrize(("n", "count", "rows"), [(5, 9, [0, 1, 2, 3, 4]), (10, 2, [0, 9]), (0, 3, []), (3, 1, [0])])
def test_rows_are_chosen_at_even_distances(n: int, count: int, rows: list[int]) -> None:
    assert evenly_spaced(n, count).tolist() == rows


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_copies_are_found_against_a_loop(dtype: type) -> None:
    X = np.random.default_rng(0).integers(0, 3, (60, 3)).astype(dtype)
    wanted = [next(other for other in range(60) if (X[other] == X[row]).all()) for row in range(60)]
    assert first_occurrences(X).tolist() == wanted


def test_zero_equals_minus_zero_and_no_rows_are_no_copies() -> None:
    assert first_occurrences(np.array([[0.0], [-0.0]])).tolist() == [0, 0]
    assert first_occurrences(np.empty((0, 3))).tolist() == []


def test_copies_are_found_across_the_chunks_of_a_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(0).integers(0, 4, (60, 3)).astype(np.float32)
    X[50] = -X[50]
    pool = shards(tmp_path / "X", X, 7)
    with Local(tmp_path / "scratch"):
        first = first_occurrences(pool)
        assert first.path is not None
        np.testing.assert_array_equal(first.array(), first_occurrences(X), strict=True)
        monkeypatch.setattr("fewlabels.arrays.blake2b", None)
        np.testing.assert_array_equal(first_occurrences(pool).array(), first.array())  # the run has kept the digests


@pytest.mark.parametrize("same", ["first half", "second half", "both"])
def test_rows_are_told_apart_by_both_halves_of_their_digests(same: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Digest:
        def __init__(self, content: bytes, digest_size: int) -> None:
            halves = {"first half": bytes(7) + b"1" + content, "second half": content + bytes(8), "both": bytes(16)}
            self.digest = lambda: halves[same]

    monkeypatch.setattr("fewlabels.arrays.blake2b", Digest)
    X = np.array([[7], [5], [7], [6], [5], [7]], np.uint64)
    assert first_occurrences(X).tolist() == ([0] * 6 if same == "both" else [0, 1, 0, 3, 1, 0])
