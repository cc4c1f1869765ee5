"""`dvc repro` in a clone: what it costs, and the parameters that it is run with."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PROJECT

from benchmarks.repro import change, cloned, repro
from stages import params


def test_the_peak_is_that_of_the_largest_process_and_the_time_that_of_all(fake_dvc: Callable[[str], Path]) -> None:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # MiB; a process begins with its parent's
    work = (
        "import time; held = bytearray({size} * 2**20)\nwhile time.process_time() < 1: pass\nprint(time.process_time())"
    )
    script = "\n".join(f"{sys.executable} -c '{work.format(size=size)}'" for size in (int(own) + 300, 10))
    told: list[str] = []
    spent = repro(fake_dvc(script), each_line=told.append)
    assert own + 300 <= 1024 * spent.peak_memory_gib < own + 400
    assert len(told) == 2
    assert sum(map(float, told)) <= spent.core_seconds
    assert spent.core_seconds <= spent.seconds + 0.1, "one after the other, on one core each"


def test_what_is_printed_is_shown_while_it_runs(
    fake_dvc: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    repro(fake_dvc('echo "$@"'), "kmeans", "flatten")
    assert capsys.readouterr().out == "repro kmeans flatten\n"


def test_a_pipeline_that_fails_ends_the_benchmark(fake_dvc: Callable[[str], Path]) -> None:
    with pytest.raises(SystemExit, match=r"^dvc repro ended with 3$"):
        repro(fake_dvc("exit 3"))


def test_ctrl_c_waits_for_the_stage_that_still_writes(fake_dvc: Callable[[str], Path]) -> None:
    folder = fake_dvc("echo started; sleep 0.7; seq 20000; touch ended")  # more than a pipe holds

    def interrupted(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repro(folder, each_line=interrupted)
    assert (folder / "ended").exists()


def test_a_clone_has_the_parameters_that_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    shutil.copy(PROJECT / "params.yaml", origin)
    for command in ("init", "add .", "-c user.name=me -c user.email=me@example.org commit -m one"):
        subprocess.run(["git", *command.split()], cwd=origin, check=True, capture_output=True)
    monkeypatch.chdir(origin)
    settings = params.load(cloned(tmp_path, {"clusters": 100, "network.student.views": 2}) / "params.yaml")
    assert (settings.clusters, settings.network.student.views, settings.seed) == (100, 2, 42)
    assert params.load(origin / "params.yaml").clusters == 2000


@pytest.mark.parametrize("name", ["network.student.veiws", "label_spreading.neighbours.x", "x.y"])
def test_a_parameter_that_there_is_not_is_named(name: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(PROJECT / "params.yaml", tmp_path))
    with pytest.raises(SystemExit, match=rf"^params\.yaml: there is no {name}$"):
        change(path, {name: 2})
    assert path.read_bytes() == (PROJECT / "params.yaml").read_bytes()
