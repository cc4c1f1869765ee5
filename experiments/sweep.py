"""Run a named sweep of experiments/sweeps.yaml, a DVC experiment for each setting: `python -m experiments.sweep study`.

An experiment is named after its setting. A sweep that was interrupted therefore goes on where it stopped, and two
sweeps share the settings they have in common; DVC's run cache does the same for stages, so a k-means is computed once.
After a new commit all settings run again; stages that it did not change come from the cache.
"""

import hashlib
import json
import signal
import subprocess
import sys
from contextlib import suppress
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML
from sklearn.model_selection import ParameterGrid
from tqdm import tqdm

from experiments import repository
from stages import command, params

SWEEPS = Path("experiments/sweeps.yaml")


def main() -> None:
    sweeps = read(SWEEPS)
    parser = command.parser_of(main)
    parser.add_argument("name", choices=sweeps)
    name = parser.parse_args().name
    repository.enter_root()
    if not str(command.ROOT).isascii():
        sys.exit(f"{command.ROOT}: DVC runs a sweep only where the path is ASCII: clone the repository elsewhere")
    params.load()
    try:
        runs = settings(sweeps[name])
    except (TypeError, ValueError) as error:
        raise SystemExit(f"{SWEEPS}: {name}: {error}") from None
    for setting in runs:
        check(setting)
    listed = subprocess.run(["dvc", "exp", "list", "--name-only"], check=False, stdout=subprocess.PIPE, text=True)
    if listed.returncode:
        sys.exit(listed.returncode)  # DVC has said why
    done = listed.stdout.split()
    todo = [setting for setting in runs if experiment(setting) not in done]
    print(f"{name}: {len(runs)} settings, {len(runs) - len(todo)} done before", flush=True)
    failed = []
    try:
        for setting in tqdm(todo, desc=name, unit="setting", disable=None):
            print(f"{experiment(setting)}: {' '.join(overrides(setting))}", flush=True)
            if _run(setting):
                failed.append(setting)
    except KeyboardInterrupt:
        sys.exit(f"stopped; what is done is kept: `make sweep NAME={name}` runs the rest")
    if failed:
        sys.exit("\n".join(f"failed: {' '.join(overrides(setting))}" for setting in failed))


def _run(setting: dict[str, Any]) -> int:
    """Run one experiment and return its exit code; after Ctrl-C, end its stage first and let DVC tidy up.

    DVC has a session of its own: else Ctrl-C would reach the stage as well, and Python end it with a traceback.
    """
    changes = (f"--set-param={one}" for one in overrides(setting))
    dvc = ["dvc", "exp", "run", "--temp", "--name", experiment(setting), *changes]
    with subprocess.Popen(dvc, start_new_session=True) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            while process.poll() is None:
                process.send_signal(signal.SIGINT)  # DVC ignores it while a stage runs, and Python before DVC has begun
                with suppress(psutil.NoSuchProcess, subprocess.TimeoutExpired):
                    for stage in psutil.Process(process.pid).children(recursive=True):
                        stage.terminate()
                    process.wait(timeout=5)
            raise


def settings(grids: list[dict[str, list[Any]]]) -> list[dict[str, Any]]:
    """List every combination of every grid, once, in the order of the file.

    Raises
    ------
    TypeError or ValueError
        If there is no grid, or one is none; scikit-learn's name the parameter.
    """
    if not grids:
        raise ValueError("has no settings")
    combinations = [dict(setting) for grid in grids for setting in ParameterGrid(grid)]
    return [setting for at, setting in enumerate(combinations) if setting not in combinations[:at]]


def experiment(setting: dict[str, Any]) -> str:
    """Make a name that DVC accepts, the same for the same setting: the main parameters, and a digest of all."""
    digest = hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()[:8]
    readable = "-".join(f"{key}{setting[key]}" for key in ("clusters", "percentile", "seed") if key in setting)
    return f"{readable}-{digest}".replace(".", "_").lstrip("-")


def overrides(setting: dict[str, Any]) -> list[str]:
    """Format a setting for `dvc exp run --set-param`."""
    values = {key: json.dumps(value, separators=(",", ":")).replace('"', "") for key, value in setting.items()}
    return [f"{key}={value}" for key, value in sorted(values.items())]


def check(setting: dict[str, Any]) -> None:
    """Refuse a setting that params.yaml could not hold, before any run.

    Raises
    ------
    SystemExit
        With one line that names the sweep file, the parameter and what is wrong with it.
    """
    values = read(Path("params.yaml"))
    for key, value in setting.items():
        try:
            put(values, key, value)
        except (KeyError, TypeError):
            raise SystemExit(f"{SWEEPS}: {key}: is not a known parameter") from None
    params.checked(values, SWEEPS)


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Change a parameter by its dotted name; KeyError or TypeError if there is none."""
    *sections, last = key.split(".")
    section = reduce(getitem, sections, values)
    if last not in section:
        raise KeyError(key)
    section[last] = value


def read(path: Path) -> Any:
    """Read a YAML file: the sweeps, or params.yaml."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    with command.at_root():
        main()
