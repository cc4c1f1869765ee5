"""The simulated person answers through the page as told: rightly, with mistakes and skips, and by the grid."""

from pathlib import Path

import numpy as np
import pytest
from labelling_pile import make_pile

from benchmarks import person
from benchmarks.person import Person, Pile
from labelling import answers


@pytest.fixture
def pile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pile:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(person, "LABELS", 20)
    monkeypatch.setattr(person, "AUDIT", 10)
    monkeypatch.setattr(person, "MORE", 3)
    made = make_pile()
    features = made.project.features
    return Pile("points", features, made.truth, features, made.truth, made.project.settings)


def test_people_who_are_right_reach_what_is_counted(pile: Pile) -> None:
    found = person.reaches(pile, 2)
    assert (found["labels"], found["seeds"]) == (20, 2)
    assert 0 < found["people"]["mean"] <= 1
    assert 0 <= found["held"] <= 2


def test_mistakes_and_skips_are_as_many_as_told_and_the_audit_is_right(pile: Pile, tmp_path: Path) -> None:
    project = pile.project(0)
    with person.page(project, tmp_path / "a.csv") as url:
        somebody = Person(url, pile.truth, mistakes=1, seed=1)
        somebody.label()
    given, _ = answers.read(tmp_path / "a.csv")
    wrong = [int(one.label) != pile.truth[int(one.file)] for one in given]
    assert wrong == [False] * 10 + [True] * 20
    assert len(somebody.wrong) == 20
    assert somebody.keys == 30
    with person.page(project, tmp_path / "b.csv") as url:
        Person(url, pile.truth, skips=0.5, seed=1).label(most=30)
    skips = [one.action == "skip" for one in answers.read(tmp_path / "b.csv")[0]]
    assert 5 < sum(skips) < 25


def test_the_review_corrects_what_is_wrong(pile: Pile) -> None:
    found = person.with_mistakes(pile, 2)
    assert set(found) == {"images", "right", "wrong", "reviewed", "found", "seeds"}


def test_keys_are_counted(pile: Pile) -> None:
    found = person.keys(pile, 1)
    assert found["one"]["mean"] == 20
    assert found["saves"]["mean"] <= found["always"]["mean"] + 5


def test_waits_are_timed(pile: Pile) -> None:
    found = person.choosing(pile)
    assert found["pictures"] == 90
    assert 0 < found["first_round"] <= found["longest"]
    assert 0 < found["answer_ms"] <= found["answer_ms_95"]
    assert np.isfinite(found["later_rounds"])
