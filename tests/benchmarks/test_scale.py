"""What the benchmark of scale compares, prints and draws; and its steps, on few images."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from benchmarks import scale
from fewlabels.pool import Pool, write


def run(images: int, engine: str, seconds: float, digest: str = "a", step: str = "gradients") -> dict[str, Any]:
    measured = {
        "seconds": seconds,
        "cpu_seconds": 2 * seconds,
        "client_peak_gib": 0.5,
        "worker_peak_gib": None,
        "killed": False,
    }
    return {"images": images, "engine": engine, "step": step, "digest": digest, "killed": False, **measured}


RUNS = [
    run(10, scale.MEMORY, 1.0, "b"),
    run(10, scale.DISK, 2.0),
    run(10, scale.ONE, 6.0),
    run(10, scale.TWO, 4.0),
    run(20, scale.ONE, 9.0),
]


def test_a_row_compares_the_results_of_all_engines() -> None:
    first, second = scale.summary(RUNS)
    assert not first["same"]
    assert scale.summary(RUNS[1:])[0]["same"]
    assert first["cpu_seconds"] == {scale.MEMORY: 2, scale.DISK: 4, scale.ONE: 12, scale.TWO: 8}
    assert second["cpu_seconds"] == {scale.ONE: 18}
    assert second["same"] is None, "there is nothing to compare it with"


def printed(runs: list[dict[str, Any]]) -> list[str]:
    with redirect_stdout(io.StringIO()) as out:
        scale.print_table(scale.summary(runs))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    return [" ".join(line.replace("│", " ").split()) for line in lines]


def test_a_table_has_a_line_for_each_step() -> None:
    lines = printed([*RUNS[1:], run(20, scale.DISK, 1, step="neighbours") | {"recall": 0.9987}])
    assert "10 gradients 4.0 12.0 8.0 512 yes" in lines
    assert "20 gradients 18.0 512" in lines
    assert "20 neighbours 2.0 512 99.87" in lines
    assert any(line.endswith("no") for line in printed(RUNS))


def test_inertia_is_compared_with_that_of_all_points_at_once_and_who_was_not_killed_is_left_out() -> None:
    step = scale.FEW_CLUSTERS
    runs = [
        run(10, scale.DISK, 2.0, step=step) | {"inertia": 101.0},
        run(10, scale.KILLED, 300, step=step),
        run(10, scale.WHOLE, 1.0, "b", step=step) | {"inertia": 100.0},
    ]
    assert f"10 {step} 4.0 2.0 512 yes +1.00" in printed(runs), "its result is compared all the same"
    assert f"10 {step} 4.0 2.0 512 no +1.00" in printed([runs[0], runs[1] | {"digest": "c"}, runs[2]])
    runs[1]["killed"] = True
    assert f"10 {step} 4.0 600 2.0 512 yes +1.00" in printed(runs)


def test_the_picture_shows_what_is_ideal_beside_what_was_measured() -> None:
    figure = scale.picture([*RUNS, run(20, scale.DISK, 5.0), run(20, scale.TWO, 5.0)])
    over_images, over_workers = figure.axes
    assert [list(line.get_ydata()) for line in over_images.lines] == [[4.0, 10.0], [4.0, 8.0]]
    assert [list(line.get_ydata()) for line in over_workers.lines] == [[9.0, 5.0], [9.0, 4.5]]


def test_neighbours_of_a_sample_are_the_nearest_of_all_chunks() -> None:
    features = np.random.default_rng(0).random((50, 4), np.float32)
    sample = np.array([0, 17, 49])
    search = NearestNeighbors(n_neighbors=scale.NEIGHBOURS + 1, algorithm="brute").fit(features.astype(float))
    expected = search.kneighbors(features[sample].astype(float), return_distance=False)[:, 1:]
    assert np.array_equal(scale._nearest_of(sample, Pool(features, chunk=8)), expected)


def test_a_digest_does_not_depend_on_the_chunks(tmp_path: Path) -> None:
    values = np.arange(10).reshape(5, 2)
    for number in range(3):
        write(tmp_path, number, values[2 * number : 2 * number + 2])
    assert scale._digest([values]) == scale._digest([Pool(tmp_path)]) != scale._digest([values[::-1]])


@pytest.mark.slow
def test_each_step_is_measured_and_gives_the_same_on_disk_and_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"CLUSTERS": 5, "MORE_CLUSTERS": 20, "BUDGET": 60, "SAMPLE": 20}.items():
        monkeypatch.setattr(scale, name, value)
    random = np.random.default_rng(0)
    for number in range(2):
        write(tmp_path / "images", number, random.integers(256, size=(1024, 784), dtype=np.uint8))
        write(tmp_path / "labels", number, random.integers(10, size=1024, dtype=np.uint8))
    measured = {engine: scale._measure(tmp_path, engine, {}) for engine in (scale.MEMORY, scale.DISK)}
    for memory, disk in zip(measured[scale.MEMORY], measured[scale.DISK], strict=True):
        assert memory["step"] == disk["step"]
        assert disk["cpu_seconds"] > 0
        assert 0.05 < disk["client_peak_gib"] < 4
        if disk["step"] in ("gradients", "active rounds", "neighbours", "soft labels"):
            assert memory["digest"] == disk["digest"]
        if disk["step"] == "neighbours":
            assert disk["recall"] == 1
        if disk["step"] in (scale.FEW_CLUSTERS, scale.MANY_CLUSTERS):
            assert disk["inertia"] == pytest.approx(memory["inertia"], rel=0.05)
    for whole, disk in zip(scale._measure(tmp_path, scale.WHOLE, {}), measured[scale.DISK][1:3], strict=True):
        assert whole["step"] == disk["step"]
        assert disk["inertia"] == pytest.approx(whole["inertia"], rel=0.05)
    assert not list((tmp_path / "scratch").rglob("*.npy"))
