"""A person's own pictures through DVC: what it notices, brings along and shares, and the pile labelled at the end."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Repository
from PIL import Image

from stages.registry import CLASSIFIERS

KINDS = ("checks", "level", "upright")


def draw(path: Path, kind: int, seed: int) -> None:
    """A coloured pattern for each kind, in noise, larger than what is asked for, and not square."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices((24, 30))
    pattern = [(rows // 4 + columns // 4) % 2, rows // 4 % 2, columns // 4 % 2][kind] * 150
    pixels = pattern[..., None] * np.array([1, 0.6, 0.3]) + random.integers(0, 90, (24, 30, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def own(new_repository: Callable[[Path], Repository], tmp_path: Path) -> Repository:
    """Ninety pictures in three folders, a copy, a broken one, kept by DVC; and no network to wait for."""
    repository = new_repository(tmp_path / "repository")
    mine = repository.folder / "images/mine"
    for number in range(90):
        draw(mine / KINDS[number % 3] / f"{number:02}.png", number % 3, number)
    (mine / "level/copy.png").write_bytes((mine / "level/01.png").read_bytes())
    (mine / "level/broken.png").write_text("nothing", encoding="utf-8")
    repository.configure(
        {f"label_sets.{name}": [] for name in CLASSIFIERS}
        | {
            "label_sets.ridge": ["active"],
            "data.source": "images",
            "data.folder": "images/mine",
            "data.image_shape": [12, 15, 3],
            "data.classes": None,
            "clusters": 12,
            "cluster_margin.first_round": 6,
            "features": "hog",
        }
    )
    repository.run("dvc", "add", "images/mine")
    repository.commit()
    return repository


def rows(repository: Repository, name: str) -> list[dict[str, str]]:
    with (repository.folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(repository: Repository) -> list[str]:
    return (repository.folder / "data/flat/names.txt").read_text(encoding="utf-8").splitlines()


def test_the_pile_comes_out_labelled_and_a_second_clone_computes_nothing(own: Repository, tmp_path: Path) -> None:
    own.configure({"confidence": 0.5})
    output = own.run("dvc", "repro")
    assert "92 pictures, 1 left out: see data/flat/rejected.csv, 1 copies\n" in output
    pile = rows(own, "data/pile.csv")
    assert [row["file"] for row in pile] == sorted(
        str(path.relative_to(own.folder / "images/mine")) for path in (own.folder / "images/mine").rglob("*.png")
    )
    sources = [row["source"] for row in pile]
    assert sources.count("bought") == 12
    assert sources.count("left out") == 1
    right = [row["label"] == row["file"].split("/")[0] for row in pile if row["source"] == "model"]
    assert np.mean(right) > 0.9
    metrics = json.loads((own.folder / "metrics/metrics.json").read_text(encoding="utf-8"))
    assert metrics["accuracy"]["ridge"]["active"] > 0.8
    own.commit()

    own.run("dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    own.commit()
    own.run("dvc", "push", "--run-cache")
    second = Repository(tmp_path / "second")
    own.run("git", "clone", "--quiet", str(own.folder), str(second.folder))
    second.run("dvc", "pull", "--run-cache")
    assert json.loads(second.run("dvc", "status", "--json")) == {}
    assert "Running stage" not in second.run("dvc", "repro")
    assert (second.folder / "images/mine/level/copy.png").is_file()
    assert rows(second, "data/pile.csv") == pile


def test_changed_added_and_removed_pictures_are_noticed(own: Repository) -> None:
    own.run("dvc", "repro", "flatten")
    before = np.load(own.folder / "data/flat/train_images.npy")
    mine, kept = own.folder / "images/mine", [name for name in names(own) if name != "checks/00.png"]
    draw(mine / kept[0], 2, 500)
    own.run("dvc", "repro", "flatten")
    after = np.load(own.folder / "data/flat/train_images.npy")
    row = names(own).index(kept[0])
    assert (before[row] != after[row]).any()
    (mine / kept[0]).unlink()
    draw(mine / "upright/new.png", 2, 501)
    own.run("dvc", "repro", "flatten")
    everything = {*names(own), *json.loads((own.folder / "data/flat/test_names.json").read_text(encoding="utf-8"))}
    assert "upright/new.png" in everything
    assert kept[0] not in everything
    assert "images/mine.dvc" in own.run("git", "status", "--porcelain")


def test_experiments_elsewhere_see_the_pictures_also_those_that_nobody_tracks(own: Repository) -> None:
    """In the temporary copy that DVC makes: what it brings along, and a folder of the repository that it does not."""
    (own.folder / "untracked").mkdir()
    for number in range(6):
        draw(own.folder / f"untracked/{KINDS[number % 2]}/{number}.png", number % 2, number)
    found = own.run("dvc", "exp", "run", "--temp", "--set-param", "data.fit=crop", "flatten")
    assert "92 pictures, 1 left out" in found
    own.run(
        "dvc",
        "exp",
        "run",
        "--queue",
        "--set-param",
        "data.folder=untracked",
        "--set-param",
        "data.test_share=0",
        "flatten",
    )
    output = own.run("dvc", "exp", "run", "--run-all")
    assert "repository/untracked is not within images/, so its changes are not noticed" in output
    revisions = json.loads(own.run("dvc", "exp", "show", "--json"))
    states = [
        one["revs"][0]["data"]["params"]["params.yaml"]["data"]["data"]["folder"] for one in revisions[1]["experiments"]
    ]
    assert sorted(states) == ["images/mine", "untracked"]
