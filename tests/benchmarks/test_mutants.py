"""Mutants counted by module, from what mutmut leaves behind."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import mutants


def test_noticed_changes_are_counted_by_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, survived, out of time and not run; no test reaches one of the other module."""
    monkeypatch.chdir(tmp_path)
    for name, codes in {"fewlabels/arrays": [1, 1, 0, 36, None], "stages/files": [33], "stages/empty": []}.items():
        path = Path(f"mutants/{name}.py.meta")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"exit_code_by_key": {f"{name}_{at}": code for at, code in enumerate(codes)}}))
    found = mutants.by_module()
    assert list(found) == ["fewlabels.arrays", "stages.files"]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(mutants.table(found))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capture.get().splitlines() if "│" in line]
    assert cells == [
        ["fewlabels.arrays", "5", "4", "3", "75 %"],
        ["stages.files", "1", "1", "0", "0 %"],
        ["all", "6", "5", "3", "60 %"],
    ]


def test_the_same_mutants_are_drawn_again_whatever_their_order() -> None:
    names = [str(number) for number in range(100)]
    drawn = mutants.sample(names, 40)
    assert len(set(drawn)) == 40
    assert mutants.sample(names[::-1], 40) == drawn
    assert sorted(mutants.sample(names[:7], 40)) == names[:7]
