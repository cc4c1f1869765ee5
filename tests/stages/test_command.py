"""Commands of stages: they explain themselves, refuse what they do not know, and run at the repository's root."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT

from stages import command

GRAPH = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))
COMMANDS = [stage["cmd"] for stage in GRAPH["stages"].values()]

PROBE = '''"""What the probe is for."""
from pathlib import Path
from stages import command

def main():
    {body}

if __name__ == "__main__":
    command.run(main)
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of stages/ as a repository of its own, with a subfolder."""
    shutil.copytree(PROJECT / "stages", tmp_path / "root/stages", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "root/docs").mkdir()
    return tmp_path / "root"


def probe(root: Path, body: str, *arguments: str, folder: str = ".") -> "subprocess.CompletedProcess[str]":
    """Run a stage with this body from a folder of the repository."""
    (root / "stages/probe.py").write_text(PROBE.format(body=body), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "stages.probe", *arguments],
        cwd=root / folder,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_stage_leaves_the_running_to_it(command: str) -> None:
    """One that takes a label set parses its arguments itself."""
    module, *arguments = command.removeprefix("python -m ").split()
    text = (PROJECT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    running = "    with command.at_root():\n        main()\n" if arguments else "    command.run(main)\n"
    assert text.endswith(f'\n\nif __name__ == "__main__":\n{running}')


def test_help_explains_and_runs_nothing(root: Path) -> None:
    done = probe(root, "print('ran')", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m stages.probe [-h]\n\nWhat the probe is for.\n")
    assert "ran" not in done.stdout


def test_an_unknown_argument_is_refused(root: Path) -> None:
    done = probe(root, "print('ran')", "all")
    assert done.returncode == 2
    assert done.stderr.endswith("error: unrecognized arguments: all\n")
    assert done.stdout == ""


def test_a_stage_ends_without_a_look_for_garbage(root: Path) -> None:
    """What is asked for first at the end of a process is done last."""
    count = "print(gc.get_freeze_count())"
    (root / "stages/__init__.py").write_text(
        f"import atexit, gc\n\natexit.register(lambda: {count})\n", encoding="utf-8"
    )
    during, at_the_end = probe(root, f"import gc; {count}").stdout.split()
    assert int(during) == 0 < int(at_the_end)


@pytest.mark.parametrize("folder", [".", "docs", ".."])
def test_a_stage_runs_at_the_root(folder: str, root: Path) -> None:
    assert probe(root, "print(Path.cwd())", folder=folder).stdout == f"{root}\n"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("Path('data.npy').read_bytes()", 1, "data.npy: No such file or directory\n"),
        ("raise OSError(28, 'No space left on device')", 1, "No space left on device\n"),
        ("raise SystemExit('params.yaml: clusters: 0')", 1, "params.yaml: clusters: 0\n"),
        ("raise MemoryError", 1, "not enough memory; see docs/scale.md\n"),
        (
            "import numpy; numpy.empty(2**50, 'u1')",
            1,
            "not enough memory: Unable to allocate 1.00 PiB for an array with shape (1125899906842624,) and data type"
            " uint8; see docs/scale.md\n",
        ),
        (
            "raise type('ResourceExhaustedError', (Exception,), {})('Graph execution error:\\n\\nOOM when allocating')",
            1,
            "not enough memory: OOM when allocating; see docs/scale.md\n",
        ),
        ("raise KeyboardInterrupt", 130, ""),
    ],
)
def test_a_failure_is_one_line(body: str, code: int, message: str, root: Path) -> None:
    done = probe(root, body)
    assert (done.returncode, done.stderr, done.stdout) == (code, message, "")


@pytest.mark.slow
def test_the_name_of_tensorflows_memory_error() -> None:
    from fewlabels.networks.quiet_keras import tf

    assert tf.errors.ResourceExhaustedError.__name__ == command.OUT_OF_MEMORY


def test_an_error_in_the_code_keeps_its_traceback(root: Path) -> None:
    assert "Traceback" in probe(root, "1 / 0").stderr
