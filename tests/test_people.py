"""People through DVC: they answer, `dvc repro` learns from it, a commit keeps it, and the report shows the rounds."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repository

from experiments import report
from stages.registry import CLASSIFIERS

ANSWER = """
import sys
import numpy as np
from labelling.project import load
from labelling.session import Session

truth, most = np.load("data/flat/train_labels.npy"), int(sys.argv[1])
session = Session(load(), "ana")
state = session.settled()
while state["questions"] and most:
    row = state["questions"][0]["row"]
    session.answer([row], int(truth[row]))
    state, most = session.settled(), most - 1
"""


@pytest.fixture
def asked(new_repository: Callable[[Path], Repository], tmp_path: Path) -> Repository:
    """The project in small with people as the oracle, and no network to wait for."""
    repository = new_repository(tmp_path / "repository")
    repository.configure(
        {f"label_sets.{name}": [] for name in CLASSIFIERS}
        | {
            "label_sets.ridge": ["active"],
            "label_sets.lr": ["active"],
            "oracle": "people",
            "audit": 15,
            "clusters": 20,
            "cluster_margin.first_round": 10,
            "features": "hog",
        }
    )
    repository.commit()
    return repository


def metrics(repository: Repository) -> dict:
    return json.loads((repository.folder / "metrics/metrics.json").read_text(encoding="utf-8"))


def test_rounds_of_labelling_are_versions_that_can_be_compared(asked: Repository) -> None:
    asked.run("dvc", "repro", "kmeans")
    asked.run("python", "-c", ANSWER, "25")
    ran = asked.run("dvc", "repro")
    assert "active: 10 of 20 labels from people, `make label` goes on" in ran
    assert "audit: 15 of 15 pictures have a label" in ran
    first = metrics(asked)
    assert first["bought"] == {"active": 10}
    asked.commit()

    asked.run("python", "-c", ANSWER, "100")
    ran = re.findall(r"^Running stage '(.+)':$", asked.run("dvc", "repro"), re.MULTILINE)
    assert ran == [
        "first-round", "select-representatives", "propagate", "train-lr@active", "train-ridge@active", "evaluate",
        "auto-label",
    ], "nothing that answers have no say in"  # fmt: skip
    second = metrics(asked)
    assert second["bought"] == {"active": 20}
    asked.commit()

    difference = json.loads(asked.run("dvc", "metrics", "diff", "--json", "HEAD~1"))["metrics/metrics.json"]
    assert difference["bought.active"] == {"old": 10, "new": 20, "diff": 10}
    asked.run("python", "-m", "experiments.report")
    page = (asked.folder / report.REPORT).read_text(encoding="utf-8")
    assert "<h2>Rounds of labelling</h2>" in page
    assert 'id="rounds-title"' in page
    section = page.split("<h2>Rounds of labelling</h2>")[1].split("</section>")[0]
    for model in ("lr", "ridge"):
        for state in (first, second):
            assert f"{100 * state['audit']['accuracy'][model]['active']:.2f}" in section
    status = asked.run("python", "-m", "labelling.command", "answers", "status")
    assert "audit: 15 of 15 labels\nbudget: 20 of 20 labels\n" in status
    assert "The budget of 20 labels is spent. Now run: dvc repro" in status
    code, said = asked.attempt("python", "-m", "labelling.command", "tasks")
    assert (code, said) == (1, "The budget of 20 labels is spent. Now run: dvc repro\n")
