"""The benchmarks of own pictures, on the images that come with packages, and few of them."""

from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from benchmarks import own_images, reading


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


def test_letters_are_drawn_from_many_fonts_and_none_is_empty() -> None:
    letters = own_images.letters()
    assert sorted(set(letters.labels)) == list(range(26))
    assert np.bincount(letters.labels).min() > 20
    assert letters.images.max(axis=1).min() > 100
    assert len(np.unique(letters.images, axis=0)) == len(letters.images)


def test_features_are_scored_and_first_rounds_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(own_images, "SEEDS", 3)
    digits = own_images.digits()
    noise = np.random.default_rng(0).normal(size=(len(digits.images), 5)).astype(np.float32)
    seen = {"hog": own_images.HOG((8, 8), 40).fit_transform(digits.images), "embedding": noise}
    row = own_images.which_features(digits, seen)
    assert row["right"] == {"50": 3, "100": 3, "200": 3}
    assert row["hog"]["mean"] > 0.85
    assert row["embedding"]["mean"] < 0.3
    own_images.print_features([row])
    assert "3 of 3" in capsys.readouterr().out
    wrong = own_images.wrong_labels(digits, seen)
    assert wrong["labels"] == 1000
    assert wrong["hog"]["mean"] > 0.7
    assert wrong["embedding"]["mean"] < 0.3
    own_images.print_suspects([wrong])
    assert "1,000" in capsys.readouterr().out


def test_the_pile_has_one_each_of_what_real_piles_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "COUNT", 20)
    reading.write_pile(tmp_path)
    assert {path.name for path in (tmp_path / "0").iterdir()} >= set(reading.EVILS)
    assert set(reading.RIGHT) == {f"0/{name}" for name in reading.EVILS if name.split(".")[0] in RIGHT}


RIGHT = ("turned", "16 bits", "hidden colours", "palette", "cmyk", "webp named", "film")
