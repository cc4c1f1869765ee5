"""Pools: the same rows from an array, a file and a folder; what is wrong with a folder is named."""

import errno
import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels import pool as pool_module
from fewlabels.pool import Pool, as_pool, chunk_of, publish, remove, save, whole_file, write, written

X = np.arange(22, dtype=np.int16).reshape(11, 2)


def shards(folder: Path, values: NDArray[np.int16] = X, chunk: int = 4) -> Path:
    for number, start in enumerate(range(0, len(values), chunk)):
        write(folder, number, values[start : start + chunk])
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shards(tmp_path / "rows")


@pytest.fixture(params=["array", "list", "file", "folder"])
def pool(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Pool:
    save(tmp_path / "rows.npy", X)
    sources = {"array": X, "list": X, "file": tmp_path / "rows.npy", "folder": folder}
    return Pool(sources[request.param], chunk=4)


def test_the_same_rows_wherever_they_are(pool: Pool) -> None:
    assert (pool.shape, pool.dtype, pool.chunk, pool.chunks, len(pool)) == ((11, 2), np.int16, 4, 3, 11)
    assert [pool.rows(number) for number in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 11)]
    assert [pool.read(number).tolist() for number in range(3)] == [X[:4].tolist(), X[4:8].tolist(), X[8:].tolist()]
    assert np.array_equal(pool.array(), X)
    assert np.array_equal(pool.take([10, 3, 4, 3, 0]), X[[10, 3, 4, 3, 0]])
    assert pool.take([]).shape == (0, 2)


@pytest.mark.parametrize("row", [-1, 11])
def test_a_row_that_is_not_there_is_named(pool: Pool, row: int) -> None:
    with pytest.raises(ValueError, match=rf"rows {min(0, row)} to {max(0, row)} of a pool that has 11"):
        pool.take([0, row])


def test_a_pool_of_no_rows_has_one_empty_chunk(tmp_path: Path) -> None:
    write(tmp_path, 0, X[:0])
    for empty in (Pool(X[:0]), Pool(tmp_path)):
        assert (len(empty), empty.chunks, empty.read(0).shape, empty.array().shape) == (0, 1, (0, 2), (0, 2))


def test_what_is_a_pool_is_taken_as_it_is() -> None:
    pool = Pool(X)
    assert as_pool(pool) is pool
    assert as_pool(X).array() is X


def test_rows_are_those_of_the_files_that_are_there(folder: Path) -> None:
    """Though files stay mapped."""
    pool = Pool(folder)
    assert np.array_equal(pool.take([1, 0]), X[[1, 0]])
    write(folder, 0, X[: pool.chunk] + 1)
    assert np.array_equal(pool.take([1, 0]), X[[1, 0]] + 1)
    (folder / "000000.npy").unlink()
    with pytest.raises(OSError, match=r"000000\.npy: is missing"):
        pool.take([0])


def test_a_file_that_rows_are_taken_of_again_stays_mapped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    monkeypatch.setattr(np, "load", lambda path, *how, load=np.load: loads.append(path.name) or load(path, *how))
    pool = Pool(folder)
    loads.clear()
    for row in (1, 0, 1):
        assert np.array_equal(pool.take([row]), X[[row]])
    assert loads == ["000000.npy"]


def test_files_are_pickled_as_their_path(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "rows.npy", X)
    large = Pool(np.zeros(10**6))
    for pool in (
        Pool(folder),
        Pool(tmp_path / "rows.npy", chunk=3),
        Pool(np.load(tmp_path / "rows.npy", mmap_mode="r")),
    ):
        again = pickle.loads(pickle.dumps(pool))
        assert (again.path, again.chunk, again.shape) == (pool.path, pool.chunk, X.shape)
        assert np.array_equal(again.array(), X)
        assert len(pickle.dumps(pool)) < 1000 < len(pickle.dumps(large))
    pickled = pickle.dumps(Pool(folder))
    write(folder, 0, X[: Pool(folder).chunk] + 1)
    with pytest.raises(OSError, match="its files have changed"):
        pickle.loads(pickled)
    again = pickle.loads(pickle.dumps(Pool(X, chunk=3)))
    assert (again.path, again.chunk, again.array().tolist()) == (None, 3, X.tolist())


def test_a_part_of_a_mapped_file_is_not_taken_for_the_file(tmp_path: Path) -> None:
    save(tmp_path / "rows.npy", X)
    part = Pool(np.load(tmp_path / "rows.npy", mmap_mode="r")[2:5])
    assert part.path is None
    assert np.array_equal(pickle.loads(pickle.dumps(part)).array(), X[2:5])


def test_a_map_that_its_file_does_not_say_all_of_is_not_taken_for_the_file(tmp_path: Path) -> None:
    """Numbers without a header, and a map of which a copy in memory has changed."""
    X.tofile(tmp_path / "raw.bin")
    save(tmp_path / "rows.npy", X)
    changed = np.load(tmp_path / "rows.npy", mmap_mode="c")
    changed[0] += 1
    for array in (np.memmap(tmp_path / "raw.bin", X.dtype, "r", shape=X.shape), changed):
        assert Pool(array).path is None
        assert np.array_equal(pickle.loads(pickle.dumps(Pool(array))).array(), array)
    assert Pool(np.load(tmp_path / "rows.npy", mmap_mode="r")).path == tmp_path / "rows.npy"


def test_files_are_in_the_order_of_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from the millionth on, whose name is longer; here from the tenth."""
    monkeypatch.setattr(pool_module, "_name", lambda number: f"{number}.npy")
    folder = shards(tmp_path / "rows", np.arange(23), 2)
    assert np.array_equal(Pool(folder).array(), np.arange(23))


def test_a_digest_of_what_holds_a_pool_changes_with_its_files(folder: Path) -> None:
    before = Pool(folder).identity(), joblib.hash({"deep": [Pool(folder)]})
    assert (Pool(folder).identity(), joblib.hash({"deep": [Pool(folder)]})) == before
    np.save(folder / "000001.npy", X[:4])  # in place: the folder itself does not change
    assert Pool(folder).identity() != before[0]
    assert joblib.hash({"deep": [Pool(folder)]}) != before[1]
    with pytest.raises(ValueError, match="in memory has no identity"):
        Pool(X).identity()


def test_a_missing_file_is_named(folder: Path) -> None:
    pool = Pool(folder)
    (folder / "000001.npy").unlink()
    with pytest.raises(OSError, match=r"rows: 000001\.npy is missing; it has 2 files"):
        Pool(folder)
    for read in (lambda: pool.read(1), lambda: pool.take([5]), pool.array):
        with pytest.raises(OSError, match=r"rows/000001\.npy: is missing"):
            read()
    with pytest.raises(OSError, match=r"000000\.npy is missing; it has 0 files"):
        Pool(folder.parent)
    with pytest.raises(OSError, match=r"nowhere\.npy: is missing"):
        Pool("nowhere.npy")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (X[:3], r"000001\.npy: int16 \(3, 2\), not int16 \(4, 2\)"),
        (X[:4].astype(float), r"000001\.npy: float64 \(4, 2\), not int16 \(4, 2\)"),
        (X[:4, :1], r"000001\.npy: int16 \(4, 1\), not int16 \(4, 2\)"),
    ],
)
def test_a_file_that_does_not_fit_its_place_is_named(folder: Path, values: NDArray[np.int16], message: str) -> None:
    np.save(folder / "000001.npy", values)
    pool = Pool(folder)
    for read in (lambda: pool.read(1), lambda: pool.take([4]), pool.array):
        with pytest.raises(OSError, match=message):
            read()


def test_a_file_that_is_cut_short_is_named(folder: Path) -> None:
    pool = Pool(folder)
    for left in (130, 0):
        (folder / "000001.npy").write_bytes((folder / "000001.npy").read_bytes()[:left])
        for read in (lambda: pool.read(1), lambda: pool.take([4])):
            with pytest.raises(OSError, match=r"000001\.npy: cannot be read as \.npy"):
                read()


@pytest.mark.parametrize("values", [X[:5], X[:2].astype(float), X[:2, :1]])
def test_a_last_file_that_does_not_fit_is_named_at_once(folder: Path, values: NDArray[np.int16]) -> None:
    np.save(folder / "000002.npy", values)
    with pytest.raises(OSError, match=r"000002\.npy: .* after int16 \(4, 2\)"):
        Pool(folder)


def test_rows_in_a_chunk_are_a_multiple_of_1024_of_bounded_bytes() -> None:
    assert [chunk_of(size) for size in (1, 784, 1200, 1600, 1639, 10**9)] == [20480, 20480, 20480, 20480, 19456, 1024]


def test_a_file_that_cannot_be_written_is_named_and_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, values: object) -> None:
        file.write(b"a part")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pool_module.np, "save", full)
    with pytest.raises(OSError, match=r"rows/000007\.npy: cannot be written: No space left on device"):
        write(folder, 7, X)
    monkeypatch.setattr(pool_module.np, "save", lambda *_: (_ for _ in ()).throw(OSError("24 requested and 8 written")))
    with pytest.raises(OSError, match=r"not written whole, is the disk full\? 24 requested and 8 written$"):
        write(folder, 7, X)
    assert not written(folder, 7)
    assert len(list(folder.iterdir())) == 3


def test_what_ends_a_block_that_writes_a_file_leaves_no_half(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole_file(tmp_path / "some") as file:
        file.write(b"a part")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_files_that_others_have_still_open_do_not_end_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS keeps them, under other names, and then their folder, too."""

    def kept(path: Path) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(path))

    monkeypatch.setattr(os, "rmdir", lambda path, **_: kept(path))
    Pool(folder).remove()
    assert not list(folder.iterdir())


def test_a_folder_takes_its_place_without_what_was_left_unfinished(tmp_path: Path) -> None:
    shards(tmp_path / "partial")
    (tmp_path / "partial/.000001.npy.0123").write_bytes(b"a part")
    shards(tmp_path / "rows", X[:6])
    publish(tmp_path / "partial", tmp_path / "rows")
    assert np.array_equal(Pool(tmp_path / "rows").array(), X)
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == [f"{n:06}.npy" for n in range(3)]
    assert not (tmp_path / "partial").exists()
    for _ in range(2):
        remove(tmp_path / "rows")
        assert list(tmp_path.iterdir()) == []
