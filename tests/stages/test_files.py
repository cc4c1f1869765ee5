"""Files are whole or not there, never written through a link, and the same bytes for the same content."""

import csv
import errno
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stages import files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "report.txt"
    with files.atomic_write(path) as partial:
        partial.write_text("half", encoding="utf-8")
        assert not path.exists()
        assert partial.parent == path.parent, "a rename within one file system"
        partial.write_text("whole", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "whole"
    assert names(tmp_path) == ["report.txt"]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_nothing_is_left_behind_on_an_exception(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), files.atomic_write(tmp_path / "report.txt") as partial:
        partial.write_text("half", encoding="utf-8")
        raise error
    assert names(tmp_path) == []


def test_an_exception_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(ValueError, match="disk full"), files.atomic_write(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise ValueError("disk full")
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["report.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"report\.txt: No such file"), files.atomic_write(tmp_path / "report.txt"):
        pass
    assert names(tmp_path) == []


SAVES = {
    "array": lambda path: files.save_array(path, np.arange(100_000)),
    "arrays": lambda path: files.save_arrays(path, {"rows": np.random.default_rng(0).integers(0, 99, 100_000)}),
    "object": lambda path: files.save_object(path, np.arange(100_000)),
    "json": lambda path: files.save_json(path, list(range(20_000))),
    "table": lambda path: files.save_table(path, [{"step": step} for step in range(20_000)]),
}


@contextmanager
def little_space() -> Iterator[None]:
    """No file may grow beyond 8 KiB, as on a disk that is full; not even that which pytest writes its report to."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", SAVES)
def test_a_full_disk_is_one_line_with_the_file_and_leaves_the_old_one(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(SystemExit) as end, little_space():
        SAVES[kind](path)
    message = str(end.value.code)
    assert message.startswith(f"{path}: ")
    assert message.endswith("File too large") or "is the disk full?" in message
    assert "\n" not in message
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["output"]


def test_a_folder_for_reading_only_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system for reading only refuses even to remove what is not there."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    for method in ("open", "unlink"):
        monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(SystemExit) as end:
        files.save_array(tmp_path / "array.npy", ARRAYS["rows"])
    assert end.value.code == f"{tmp_path / 'array.npy'}: Read-only file system"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"data: (File exists|Not a directory)$"):
        files.save_json(tmp_path / "data" / "metrics.json", {})


def test_another_file_that_fails_meanwhile_is_named_itself(tmp_path: Path) -> None:
    with (
        pytest.raises(SystemExit, match=r"missing\.csv: No such file"),
        files.atomic_write(tmp_path / "page") as partial,
    ):
        partial.write_text((tmp_path / "missing.csv").read_text(encoding="utf-8"), encoding="utf-8")
    assert names(tmp_path) == []


@pytest.mark.parametrize("link", [os.link, os.symlink])
@pytest.mark.parametrize(
    "save",
    [
        lambda path: files.save_array(path, np.arange(3)),
        lambda path: files.save_arrays(path, {"rows": np.arange(3)}),
        lambda path: files.save_object(path, [1, 2, 3]),
        lambda path: files.save_json(path, [1, 2, 3]),
    ],
    ids=["array", "arrays", "object", "json"],
)
def test_a_read_only_link_to_the_cache_is_replaced(
    save: Callable[[Path], None], link: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    cached, output = tmp_path / "cache", tmp_path / "output"
    cached.write_text("old", encoding="utf-8")
    cached.chmod(0o444)
    link(cached, output)
    save(output)
    assert cached.read_text(encoding="utf-8") == "old"
    assert cached.stat().st_mode & 0o777 == 0o444
    assert not output.is_symlink()
    assert output.stat().st_nlink == 1
    assert output.read_bytes() != b"old"


ARRAYS = {
    "rows": np.arange(1000),
    "labels": (np.arange(1000) % 10).astype(np.uint8),
    "bought": np.arange(1000) % 3 == 0,
    "centroids": np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32),
}


def test_the_same_arrays_give_the_same_bytes_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.save_arrays(tmp_path / "one.npz", ARRAYS)
    later = time.time() + 100_000
    monkeypatch.setattr(time, "time", lambda: later)
    files.save_arrays(tmp_path / "two.npz", {name: values.copy() for name, values in ARRAYS.items()})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_other_arrays_give_other_bytes(tmp_path: Path) -> None:
    files.save_arrays(tmp_path / "one.npz", ARRAYS)
    files.save_arrays(tmp_path / "two.npz", ARRAYS | {"rows": np.arange(1000) + 1})
    assert (tmp_path / "one.npz").read_bytes() != (tmp_path / "two.npz").read_bytes()


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    files.save_arrays(tmp_path / "arrays.npz", ARRAYS)
    loaded = files.load_arrays(tmp_path / "arrays.npz")
    assert list(loaded) == list(ARRAYS)
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], values, strict=True)


def test_an_array_comes_back_mapped_and_read_only(tmp_path: Path) -> None:
    files.save_array(tmp_path / "array.npy", ARRAYS["centroids"])
    loaded = files.load_array(tmp_path / "array.npy")
    assert isinstance(loaded, np.memmap)
    assert not loaded.flags.writeable
    np.testing.assert_array_equal(loaded, ARRAYS["centroids"])


def test_json_comes_back_and_ends_with_a_newline(tmp_path: Path) -> None:
    value = {"accuracy": 0.1 + 0.2, "recall": {"été": 1.0}, "collapsed": False}
    files.save_json(tmp_path / "metrics.json", value)
    assert files.load_json(tmp_path / "metrics.json") == value
    assert (tmp_path / "metrics.json").read_bytes().endswith(b"}\n")


def test_an_object_comes_back(tmp_path: Path) -> None:
    files.save_object(tmp_path / "object.joblib", {"centroids": ARRAYS["centroids"]})
    np.testing.assert_array_equal(files.load_object(tmp_path / "object.joblib")["centroids"], ARRAYS["centroids"])


def test_a_cost_is_what_the_block_took(tmp_path: Path) -> None:
    with files.record_cost(tmp_path / "cost.json"):
        time.sleep(0.2)
        held = np.ones(2**27 // 8)  # 128 MiB
    cost = files.load_json(tmp_path / "cost.json")
    assert 0.2 <= cost["seconds"] < 30
    assert held.nbytes / 2**30 < cost["peak_memory_gib"] < 64
    assert re.fullmatch(r"\w+ \w+, \d+ cores, [0-9a-f]{4}", cost["machine"])


@pytest.mark.parametrize(("platform", "unit"), [("linux", 2**10), ("darwin", 1)])
def test_peak_memory_has_the_unit_of_each_system(platform: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: SimpleNamespace(ru_maxrss=3 * 2**30 // unit))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setitem(sys.modules, "resource", usage)
    assert files.peak_memory_gib() == 3


def test_peak_memory_on_windows_which_has_no_module_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=3 * 2**30))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(Process=lambda: process))
    assert files.peak_memory_gib() == 3


def test_what_failed_has_no_cost(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), files.record_cost(tmp_path / "cost.json"):
        raise SystemExit("a bad value")
    assert names(tmp_path) == []


def test_a_table_has_the_keys_as_its_heading(tmp_path: Path) -> None:
    files.save_table(tmp_path / "table.csv", [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}])
    assert (tmp_path / "table.csv").read_bytes() == b"step,loss\n1,0.5\n2,0.25\n"


NAMES = ["null", "nan", "NA", "no", "1e3", "007", "true", "a, b", 'the "best"', "été", "None"]
"""Class names that a reader of CSV may take for something else."""


def test_every_name_survives_a_table(tmp_path: Path) -> None:
    """Read as text, which pandas does only if it is told so."""
    files.save_table(tmp_path / "table.csv", [{"actual": name} for name in NAMES])
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        assert [row["actual"] for row in csv.DictReader(file)] == NAMES
    table = pd.read_csv(tmp_path / "table.csv", dtype=str, keep_default_na=False)
    assert table["actual"].tolist() == NAMES
