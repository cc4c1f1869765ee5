"""The benchmark of the whole pipeline: which stage takes how long."""

import io
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pipeline


def fake_dvc(folder: Path, script: str) -> dict[str, str]:
    command = folder / "dvc"
    command.write_text(f"#!/bin/sh\n{script}")
    command.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_a_stage_lasts_until_the_next_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
        echo "'data.dvc' didn't change, skipping"
        echo "Running stage 'flatten':"
        echo "> python -m stages.flatten"
        echo "Running stage 'train-nn@all':"
    """
    clock = iter([100.0, 101.5, 104.0])  # the first stage begins, the second, the pipeline ends
    monkeypatch.setattr(pipeline.time, "perf_counter", lambda: next(clock))
    assert pipeline._run(tmp_path, fake_dvc(tmp_path, script)) == [
        {"stage": "flatten", "seconds": 1.5},
        {"stage": "train-nn@all", "seconds": 2.5},
    ]


def test_a_pipeline_that_has_all_in_its_cache_runs_no_stage(tmp_path: Path) -> None:
    """As the second run of the benchmark does."""
    assert pipeline._run(tmp_path, fake_dvc(tmp_path, "echo \"Stage 'flatten' didn't change, skipping\"")) == []


def test_a_pipeline_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    environment = fake_dvc(tmp_path, "exit 3")
    with pytest.raises(SystemExit, match="dvc repro ended with 3"):
        pipeline._run(tmp_path, environment)


def test_the_longest_stage_has_the_longest_bar(capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.print_stages([{"stage": "flatten", "seconds": 1.0}, {"stage": "kmeans", "seconds": 4.0}])
    flatten, kmeans = (line for line in capsys.readouterr().out.splitlines() if "│" in line)
    assert flatten.count("█") == 15
    assert kmeans.count("█") == 60
    assert "4.0" in kmeans


def soft(*labels: int) -> bytes:
    file = io.BytesIO()
    np.savez(file, labels=np.array(labels))
    return file.getvalue()


def test_label_sets_are_compared_with_those_of_the_first_run() -> None:
    first = {"random": b"1", "active": b"2", "propagated_soft": soft(0, 1, 2)}
    assert pipeline.compared(first, first) == {"equal_label_sets": "3 of 3", "other_soft_labels": 0}
    other = first | {"active": b"3", "propagated_soft": soft(0, 2, 1)}
    assert pipeline.compared(first, other) == {"equal_label_sets": "1 of 3", "other_soft_labels": 2}
    fewer = first | {"propagated_soft": soft(0)}
    assert pipeline.compared(first, fewer) == {"equal_label_sets": "2 of 3", "other_soft_labels": 3}
