"""A pile for people, in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import labelling_pile
import pytest
from labelling_pile import Pile


@pytest.fixture
def make_pile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pile]:
    """A function that makes a pile, with changes of params.yaml."""
    monkeypatch.chdir(tmp_path)
    return labelling_pile.make_pile


@pytest.fixture
def pile(make_pile: Callable[..., Pile]) -> Pile:
    return make_pile()
