"""The benchmark of the whole pipeline: which stage takes how long."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pipeline


def test_a_stage_lasts_until_the_next_one_runs(
    fake_dvc: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        echo "'data.dvc' didn't change, skipping"
        echo "Running stage 'flatten':"
        echo "> python -m stages.flatten"
        echo "Running stage 'train-nn@all':"
    """
    # The pipeline begins, its first stage, its second; the pipeline ends, and so does its last stage.
    clock = iter([99.0, 100.0, 101.5, 104.0, 104.0])
    monkeypatch.setattr(pipeline.time, "perf_counter", lambda: next(clock))
    spent, stages = pipeline.by_stage(fake_dvc(script))
    assert spent.seconds == 5
    assert stages == [{"stage": "flatten", "seconds": 1.5}, {"stage": "train-nn@all", "seconds": 2.5}]


def test_a_pipeline_that_has_all_in_its_cache_runs_no_stage(fake_dvc: Callable[[str], Path]) -> None:
    """As the second run of the benchmark does."""
    clone = fake_dvc("echo \"Stage 'flatten' didn't change, skipping\"")
    assert pipeline.by_stage(clone)[1] == []


def test_commits_are_looked_for_before_the_first_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "measure", lambda *_: pytest.fail("timed"))
    monkeypatch.setattr("sys.argv", ["pipeline", "HEAD", "no-such-commit"])
    with pytest.raises(SystemExit, match=r"^no-such-commit: no such commit$"):
        pipeline.main()


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
    without = {"random": b"1"}
    assert pipeline.compared(first, without) == {"equal_label_sets": "1 of 3", "other_soft_labels": "-"}
