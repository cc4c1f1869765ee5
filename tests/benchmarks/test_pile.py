"""The pile of moved images: the same whatever the chunks, and as IDX files."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import pile as module
from benchmarks.pile import moved, pile, write_idx
from fewlabels.pool import Pool
from fewlabels.run import Local
from stages import idx

ORIGINALS = np.random.default_rng(0).integers(256, size=(60, 784), dtype=np.uint8)
LABELS = (np.arange(60) % 7).astype(np.uint8)


@pytest.fixture(autouse=True)
def flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "BATCH", 16)
    monkeypatch.setattr(module, "LABELS", hashlib.sha256(LABELS.tobytes()).hexdigest())
    Path("data/flat").mkdir(parents=True)
    for part, rows in (("train", slice(60)), ("test", slice(5))):
        np.save(f"data/flat/{part}_images.npy", ORIGINALS[rows])
        np.save(f"data/flat/{part}_labels.npy", LABELS[rows])


def test_first_the_images_as_they_are_then_moved_ones(tmp_path: Path) -> None:
    images, labels = pile(300, tmp_path / "pile", chunk=64)
    assert (images.shape, images.dtype, images.chunk) == ((300, 784), np.uint8, 64)
    assert np.array_equal(images.array()[:60], ORIGINALS)
    assert np.array_equal(labels.array(), LABELS[np.arange(300) % 60])
    assert len(np.unique(images.array(), axis=0)) == 300
    assert sorted(path.name for path in (tmp_path / "pile").iterdir()) == ["images", "labels"]


def test_a_row_does_not_depend_on_the_chunks_nor_on_how_many_there_are(tmp_path: Path) -> None:
    images, _ = pile(300, tmp_path / "one", chunk=64)
    with Local(tmp_path / "scratch"):
        others, _ = pile(200, tmp_path / "other", chunk=50)
    assert np.array_equal(images.array()[:200], others.array())


def test_images_are_moved_by_whole_pixels_exactly() -> None:
    images = ORIGINALS[:3].reshape(-1, 28, 28)
    by = np.array([[0, 0], [2, 0], [0, -1]], np.float32)
    result = moved(images, by, np.ones(3, np.float32))
    expected = np.zeros_like(images)
    expected[0], expected[1, 2:], expected[2, :, :-1] = images[0], images[1, :-2], images[2, :, 1:]
    assert np.array_equal(result, expected)


def test_half_a_pixel_is_the_mean_of_two_and_scaling_is_about_the_middle() -> None:
    image = np.zeros((1, 5, 5), np.uint8)
    image[0, 2, 2] = 100
    assert moved(image, np.array([[0.5, 0]], np.float32), np.ones(1, np.float32))[0, :, 2].tolist() == [0, 0, 50, 50, 0]
    twice = moved(image, np.zeros((1, 2), np.float32), np.array([2], np.float32))[0]
    assert twice[2].tolist() == [0, 50, 100, 50, 0]
    assert twice[1].tolist() == [0, 25, 50, 25, 0]


def test_numbers_are_spread_over_their_range_and_each_row_has_its_own() -> None:
    drawn = module._drawn(100, 4196)
    assert np.array_equal(module._drawn(1000, 1003), drawn[900:903])
    assert drawn.min() > -1 and drawn.max() <= 1
    np.testing.assert_allclose(drawn.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(drawn.var(0), 1 / 3, atol=0.02)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.06


def parsed(path: Path) -> NDArray[np.uint8]:
    return idx.parse(path.read_bytes())


def test_the_command_writes_the_four_files_of_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pile", "130", "--idx"])
    module.main()
    folder = Path("data/pile/130")
    images = parsed(folder / "idx/train-images-idx3-ubyte")
    idx.check_images(images.shape, (28, 28))
    assert np.array_equal(images.reshape(130, -1), Pool(folder / "images").array())
    assert np.array_equal(parsed(folder / "idx/train-labels-idx1-ubyte"), Pool(folder / "labels").array())
    assert np.array_equal(parsed(folder / "idx/t10k-images-idx3-ubyte").reshape(5, -1), ORIGINALS[:5])
    assert np.array_equal(parsed(folder / "idx/t10k-labels-idx1-ubyte"), LABELS[:5])


def test_idx_is_written_a_chunk_at_a_time(tmp_path: Path) -> None:
    values = np.arange(21, dtype=np.uint8).reshape(7, 3)
    write_idx(tmp_path / "out", Pool(values, chunk=2), (3, 1))
    assert np.array_equal(parsed(tmp_path / "out"), values.reshape(7, 3, 1))
