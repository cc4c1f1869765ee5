"""What the benchmark makes of its measurements."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import kmeans as benchmark
from fewlabels.kmeans import KMeans


def run(contender: str, seed: int, seconds: float, inertia: float = 5.0) -> dict[str, object]:
    measured = {"seconds": seconds, "inertia": inertia, "peak_memory_gib": seed / 10, "product_seconds": 0.5}
    return {"contender": contender, "images": 9, "clusters": 2, "seed": seed, "ours": contender == "us", **measured}


def test_ratios_are_of_the_same_turn_and_the_rest_are_medians() -> None:
    runs = [run("us", 1, 1.0), run("them", 1, 50.0), run("us", 2, 2.0), run("them", 2, 60.0, inertia=7.0)]
    ours, theirs = benchmark.summary([*runs, run("us", 3, 4.0), run("them", 3, 160.0)])
    assert (ours["contender"], ours["seconds"], ours["seconds_least"], ours["seconds_most"]) == ("us", 2.0, 1.0, 4.0)
    assert ours["ratio"] == 1
    assert theirs["ratio"] == 40  # the median of 50, 30 and 40
    assert (theirs["seconds"], theirs["inertia"], theirs["inertia_most"]) == (60.0, 5.0, 7.0)
    assert (theirs["peak_memory_gib"], theirs["seeds"]) == (0.3, 3)


def test_more_images_than_there_are_come_from_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/flat").mkdir(parents=True)
    stored = np.random.default_rng(0).integers(256, size=(6, 784), dtype=np.uint8)
    np.save("data/flat/train_images.npy", stored)
    few, many = benchmark.images(4), benchmark.images(20)
    np.testing.assert_array_equal(few, many[:4])
    assert many.shape == (20, 784)
    assert many.dtype == np.float32
    pictures = many.reshape(-1, 28, 28)
    np.testing.assert_array_equal(pictures[6][:, 1:], pictures[0][:, :-1])
    assert len(np.unique(many, axis=0)) == 20


@pytest.mark.parametrize("contender", benchmark.CONTENDERS)
def test_every_contender_gives_an_inertia_in_reach_of_ours(contender: str) -> None:
    X = np.random.default_rng(0).random((600, 20), np.float32)
    inertia = benchmark.CONTENDERS[contender](X, 8, 1)
    assert 0.9 < inertia / KMeans(8, random_state=1).fit(X).inertia_ < 1.3


def test_every_case_names_a_contender_and_compares_with_ours() -> None:
    for cases in (benchmark.FULL, benchmark.QUICK):
        assert {case.contender for case in cases} <= set(benchmark.CONTENDERS)
        ours = {(case.images, case.clusters): case.seeds for case in cases if case.contender == "fewlabels"}
        assert all(ours[case.images, case.clusters] >= case.seeds for case in cases)
