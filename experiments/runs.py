"""What each run of the pipeline left behind, read through DVC: the workspace, the last commit, and every experiment."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import dvc.api
from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.experiments.utils import exp_refs_by_baseline
from dvc.scm import iter_revs
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from ruamel.yaml import YAML
from tqdm import tqdm

FASHION = "Fashion-MNIST"
WORKSPACE, HEAD = "workspace", "HEAD"
FLAT = "data/flat/"
PREDICTIONS = "data/predictions"
"""The folder that evaluate depends on as a whole."""


@dataclass(frozen=True)
class Run:
    """A run whose scores are those of its own parameters.

    Attributes
    ----------
    name : str
        The experiment's, WORKSPACE or HEAD.
    parameters : dict
        The content of its params.yaml.
    scores : dict
        The content of its metrics/details.json.
    costs : dict of dict
        What each training cost, by the name of its file in data/costs; empty where this machine has no such file.
    images : str
        FASHION; or the name of the folder of other images, and a digest of them and their labels.
    """

    name: str
    parameters: dict[str, Any]
    scores: dict[str, Any]
    costs: dict[str, dict[str, Any]]
    images: str


def read_all(workspace: bool = False) -> tuple[list[Run], list[str]]:
    """Read the last commit and all finished experiments of its history, newest commit first.

    Parameters
    ----------
    workspace : bool, default=False
        Whether to read the workspace, too, as the first.

    Returns
    -------
    list of Run
    list of str
        A line for each run that was left out, which says why.

    Examples
    --------
    >>> from experiments.runs import read_all
    >>> runs, left_out = read_all()  # doctest: +SKIP
    """
    names: list[tuple[str, str | None]] = [(WORKSPACE, None)] if workspace else []
    names += [(HEAD, HEAD)]
    names += [
        (str(shown["Experiment"]), str(shown["rev"]))
        for shown in _shown()
        if shown["Experiment"] and shown["State"] in (None, "Success")
    ]
    runs, left_out = [], []
    for name, revision in tqdm(names, desc="reading runs", disable=None):
        try:
            runs.append(read(name, revision))
        except (ValueError, DvcException) as error:
            left_out.append(f"{name}: left out: {' '.join(str(error).split())}")
    return runs, left_out


def _shown() -> list[dict[str, Any]]:
    """Have DVC show the experiments, newest commit first; of each commit it reads the whole graph, in half a second."""
    with Repo() as repo:
        with_experiments = exp_refs_by_baseline(repo.scm)
        if not with_experiments:
            return []
        commits = [commit for commit in iter_revs(repo.scm, ["HEAD"], num=-1) if commit in with_experiments]
    return dvc.api.exp_show(revs=commits) if commits else []


def read(name: str, revision: str | None = None) -> Run:
    """Read one run.

    Parameters
    ----------
    name : str
    revision : str or None, default=None
        Of git; None stands for the workspace.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If it has no scores, or those of other parameters or data: a run that ended before `evaluate` still has the
        scores of the commit that it started from.

    Examples
    --------
    >>> from experiments.runs import read
    >>> read("HEAD", "HEAD").parameters["clusters"]  # doctest: +SKIP
    2000
    """
    files = dvc.api.DVCFileSystem(rev=revision)
    stale = outdated(files.repo)
    if stale:
        raise ValueError(f"{stale}, so its scores are not of its own parameters")
    found = scores(files.read_text)
    if found is None:
        raise ValueError("it has no metrics/details.json")
    parameters = YAML(typ="safe", pure=True).load(files.read_text("params.yaml"))
    for parameter in ("seed", "clusters", "percentile"):  # `dvc exp save` writes dvc.lock as if every stage had run
        value, scored = parameters[parameter], found.get("run", {}).get(parameter, parameters[parameter])
        if scored != value:
            raise ValueError(f"its scores are of {parameter} {scored}, its params.yaml has {value}")
    return Run(name, parameters, found, _costs(files), _images(files.repo, parameters))


def outdated(repo: Repo) -> str:
    """Find the first stage that `evaluate` needs, or it itself, that did not run with what dvc.lock has of the others.

    Parameters
    ----------
    repo : dvc.repo.Repo
        Of a revision, or of the workspace. Only its text files are read, none of the cache.

    Returns
    -------
    str
        Half a sentence that names the stage and the parameter or file; empty if all of them ran.

    Examples
    --------
    >>> from dvc.repo import Repo
    >>> from experiments.runs import outdated
    >>> outdated(Repo())  # doctest: +SKIP
    ''
    """
    made = {out.def_path: out.hash_info for out in repo.index.outs}
    made[PREDICTIONS] = _folder(made, PREDICTIONS)
    needed = {stage.name for stage in repo.stage.collect("evaluate", with_deps=True)}
    for stage in repo.index.stages:
        for dependency in stage.deps if stage.name in needed else ():
            if isinstance(dependency, ParamsDependency):
                for path, changed in dependency.status().items():
                    parameters = ", ".join(sorted(changed)) if isinstance(changed, dict) else path
                    return f"stage {stage.name} did not run with its {parameters}"
            elif made.get(dependency.def_path, dependency.hash_info) != dependency.hash_info:
                return f"stage {stage.name} did not run with its {dependency.def_path}"
    return ""


def _folder(made: dict[str, HashInfo], folder: str) -> HashInfo:
    """Compute the hash that DVC has of a folder from those of the files in it."""
    tree = Tree()  # type: ignore[no-untyped-call]
    for path, hash_info in made.items():
        if PurePosixPath(path).is_relative_to(folder):
            tree.add(PurePosixPath(path).relative_to(folder).parts, None, hash_info)
    tree.digest()
    return tree.hash_info


def scores(read: Callable[[str], str]) -> dict[str, Any] | None:
    """Read all scores of a run; those of older runs are in metrics/metrics.json.

    Parameters
    ----------
    read : callable
        Gives the text of a file of the run, or raises FileNotFoundError.

    Returns
    -------
    dict or None
        None if the run has none.

    Examples
    --------
    >>> from experiments.runs import scores
    >>> scores({"metrics/details.json": '{"kmeans": {}}', "metrics/metrics.json": "{}"}.__getitem__)
    {'kmeans': {}}
    """
    for path in ("metrics/details.json", "metrics/metrics.json"):
        with suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads(read(path))
            if "kmeans" in found:
                return found
    return None


def last() -> dict[str, Any] | None:
    """Read all scores that lie in the workspace, of whatever parameters; None if there are none.

    Examples
    --------
    >>> from experiments.runs import last
    >>> sorted(last()["run"])  # doctest: +SKIP
    ['classes', 'clusters', 'percentile', 'seed', 'test_images', 'train_images']
    """
    return scores(lambda path: Path(path).read_text(encoding="utf-8"))


def _costs(files: dvc.api.DVCFileSystem) -> dict[str, dict[str, Any]]:
    """Read what each training cost; for a run of another machine, or of long ago, it may not be in this cache."""
    costs = {}
    for path in files.find("data/costs"):
        with suppress(FileNotFoundError):
            costs[PurePosixPath(path).stem] = json.loads(files.read_text(path))
    return costs


def _images(repo: Repo, parameters: dict[str, Any]) -> str:
    data = parameters["data"]
    if data.get("source", "fashion-mnist") == "fashion-mnist" and data.get("verify", True):  # verify: of older runs
        return FASHION
    flat = sorted(f"{out.def_path} {out.hash_info.value}" for out in repo.index.outs if out.def_path.startswith(FLAT))
    digest = hashlib.sha256("\n".join(flat).encode()).hexdigest()[:8]
    return f"{PurePosixPath(str(data.get('folder', 'images'))).name} {digest}"
