"""The benchmark of the pipeline on a pile: its parameters, and which process is of which kind."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

from benchmarks import pipeline_on_pile
from benchmarks.pipeline_on_pile import ENGINES, MEMORY, WORKERS, Peaks, kind_of, parameters
from benchmarks.repro import change
from stages import params


@pytest.mark.parametrize("engine", ENGINES)
def test_the_parameters_are_those_of_a_large_pile(engine: str, tmp_path: Path) -> None:
    written = Path(shutil.copy(PROJECT / "params.yaml", tmp_path))
    change(written, parameters(Path("/pile/idx"), engine))
    settings = params.load(written)
    assert (settings.clusters, settings.features, settings.seed) == (1_000, "hog", 42)
    assert (settings.data.source, settings.data.folder, settings.data.image_shape) == ("idx", "/pile/idx", [28, 28])
    assert dict(settings.label_sets) == pipeline_on_pile.LABEL_SETS
    assert settings.engine.scheduler == {MEMORY: None, WORKERS: "local"}[engine]
    assert (settings.pool.in_memory > 10**6) == (engine == MEMORY)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("python -m stages.train_nn propagated_soft", "student"),
        ("python -m stages.ensemble propagated_soft", "ensemble"),
        ("python -m stages.train_ridge active", "other stages"),
        ("/bin/sh -c python -m stages.kmeans", ""),
        ("python -c from_multiprocessing.spawn_import_spawn_main;spawn_main(tracker_fd=9)", "worker"),
        ("git status", ""),
        ("", ""),
    ],
)
def test_processes_are_told_apart(command: str, kind: str) -> None:
    assert kind_of(command.split()) == kind


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_the_peak_of_a_stage_is_read_while_it_runs() -> None:
    script = "import sys, time; sys.argv = ['stages.kmeans']; held = bytearray(200 * 2**20); time.sleep(4)"
    command = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"]
    with subprocess.Popen([*command, sys.executable, "-c", script, "stages.kmeans"]) as process:
        peaks = Peaks(process.pid)
        peaks.start()
        process.wait()
        peaks.ended.set()
        peaks.join()
    assert 200 < peaks.found["other stages"] < 300
