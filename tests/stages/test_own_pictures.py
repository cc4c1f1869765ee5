"""From a folder of pictures to arrays: which rows, which names, what is held out, what is left out and said."""

import csv
import json
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT, write_idx
from numpy.typing import NDArray
from PIL import Image

from fewlabels.label_set import UNKNOWN
from stages import download, engine, flatten, reading, sources

SHAPE = (8, 9)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def configure(**data: Any) -> None:
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    own = {"source": "images", "folder": "images/mine", "image_shape": list(SHAPE), "classes": None}
    settings["data"] |= own | data
    Path("params.yaml").write_text(json.dumps(settings), encoding="utf-8")


def picture(name: str, seed: int) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)
    path = Path("images/mine", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")
    return pixels


def run() -> None:
    download.main()
    flatten.main()


def array(name: str) -> NDArray[np.uint8]:
    return np.load(f"data/flat/{name}.npy")


def names() -> list[str]:
    return Path("data/flat/names.txt").read_text(encoding="utf-8").splitlines()


def held_out_names() -> list[str]:
    return json.loads(Path("data/flat/test_names.json").read_text(encoding="utf-8"))


def rejected() -> dict[str, str]:
    with Path("data/flat/rejected.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def classes() -> list[str]:
    return json.loads(Path("data/flat/classes.json").read_text(encoding="utf-8"))


def pile(count: int = 30) -> None:
    """Three classes of the same size."""
    for number in range(count):
        picture(f"{'abc'[number % 3]}/{number:03}.png", number)


def test_a_part_of_each_class_is_held_out_and_rows_keep_the_order_of_names() -> None:
    pile()
    configure(test_share=0.2)
    run()
    assert classes() == ["a", "b", "c"]
    assert names() == sorted(names())
    assert held_out_names() == sorted(held_out_names())
    assert len(names()) == 24
    assert np.bincount(array("test_labels")).tolist() == [2, 2, 2]
    assert np.bincount(array("train_labels")).tolist() == [8, 8, 8]
    for part, listed in (("train", names()), ("test", held_out_names())):
        for row, name in enumerate(listed):
            seed = int(re.findall(r"\d+", name)[0])
            np.testing.assert_array_equal(array(f"{part}_images")[row], picture("elsewhere.png", seed).ravel())
            assert "abc"[array(f"{part}_labels")[row]] == name[0]
    assert rejected() == {}


def test_the_seed_decides_what_is_held_out_and_no_share_holds_out_nothing() -> None:
    pile()
    held_out = []
    for seed in (1, 1, 2):
        configure(test_share=0.2)
        settings = json.loads(Path("params.yaml").read_text(encoding="utf-8")) | {"seed": seed}
        Path("params.yaml").write_text(json.dumps(settings), encoding="utf-8")
        run()
        held_out.append(held_out_names())
    assert held_out[0] == held_out[1] != held_out[2]
    configure(test_share=0)
    run()
    assert len(names()) == 30
    assert array("test_images").shape == (0, 72)
    assert array("test_labels").shape == (0,)
    assert held_out_names() == []


def test_with_people_nothing_is_held_out_and_no_label_has_a_say() -> None:
    pile()
    configure(test_share=0.2)
    settings = json.loads(Path("params.yaml").read_text(encoding="utf-8")) | {"oracle": "people"}
    settings["label_sets"] = {"lr": [], "lr_distances": [], "nn": [], "ridge": ["active"], "ensemble": []}
    Path("params.yaml").write_text(json.dumps(settings), encoding="utf-8")
    run()
    assert len(names()) == 30
    assert held_out_names() == []


def test_copies_stay_together_and_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 15 pictures each lies there twice; two copies lie in another class."""
    for number in range(15):
        picture(f"{'abc'[number % 3]}/{number:03}.png", number)
        picture(f"{'abc'[number % 3 if number > 1 else 2]}/copy{number:03}.png", number)
    configure(test_share=0.4)
    run()
    train, test = ({row.tobytes() for row in array(f"{part}_images")} for part in ("train", "test"))
    assert not train & test
    assert len(test) == 6
    assert len(array("test_images")) == 12
    said = capsys.readouterr().out
    assert "2 copies have another label than the picture they are a copy of: a/000.png and c/copy000.png; " in said
    assert said.endswith("30 pictures, none left out, 15 copies\n")


def test_copies_in_both_parts_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("train", "test"):
        for number in range(6):
            picture(f"{part}/{'ab'[number % 2]}/{number}.png", number if part == "train" or number < 2 else number + 50)
    configure()
    run()
    assert len(names()) == len(held_out_names()) == 6
    assert "2 copies of test pictures are training pictures, or the other way round\n" in capsys.readouterr().out


def test_pictures_without_a_label_are_for_training() -> None:
    for number in range(20):
        picture(f"{number:02}.png", number)
    Path("images/mine/labels.csv").write_text(
        "file,label\n" + "".join(f"{number:02}.png,{'xy'[number % 2]}\n" for number in range(10)), encoding="utf-8"
    )
    configure(test_share=0.4)
    run()
    assert len(held_out_names()) == 4
    assert all(int(name[:2]) < 10 for name in held_out_names())
    assert (array("train_labels") == UNKNOWN).sum() == 10
    Path("images/mine/labels.csv").unlink()
    configure(classes=["x", "y"])
    run()
    assert (array("train_labels") == UNKNOWN).all()
    assert len(names()) == 20
    assert classes() == ["x", "y"]


def test_pictures_of_the_test_part_without_a_label_are_for_training() -> None:
    """They cannot judge, but want a label like all others."""
    for part in ("train", "test"):
        for number in range(6):
            picture(f"{part}/{number}.png", number + 10 * (part == "test"))
    configure(classes=["x", "y"])
    run()
    assert len(names()) == 12
    assert array("test_labels").shape == (0,)
    labels = "".join(f"{part}/{number}.png,{'xy'[number % 2]}\n" for part in ("train", "test") for number in range(4))
    Path("images/mine/labels.csv").write_text(f"file,label\n{labels}", encoding="utf-8")
    run()
    assert held_out_names() == [f"test/{number}.png" for number in range(4)]
    assert {"test/4.png", "test/5.png", "train/5.png"} < set(names())


def test_what_cannot_be_read_is_left_out_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    pile()
    Path("images/mine/a/broken.png").write_bytes(b"nothing")
    Path("images/mine/b/empty.jpg").touch()
    Path("images/mine/c/two\nlines.png").write_bytes(Path("images/mine/a/000.png").read_bytes())
    Path("images/mine/c/caf\udce9.png").write_bytes(Path("images/mine/a/000.png").read_bytes())
    composed, apart = (unicodedata.normalize(form, "ü") for form in ("NFC", "NFD"))
    for seed, odd in enumerate(
        ["with space.png", "#1.png", "100%.png", "what?.png", f"{composed}.png", f"{apart}.png"]
    ):
        picture(f"c/{odd}", 100 + seed)
    configure(test_share=0)
    run()
    assert rejected() == {
        "a/broken.png": "no picture, or of a kind that is not known",
        "b/empty.jpg": "empty file",
        "c/caf\\xe9.png": "its name is no UTF-8",
        "c/two\\nlines.png": "its name has a line break",
    }
    assert len(names()) == 36 == len(array("train_images"))
    assert {"c/with space.png", "c/#1.png", "c/100%.png", "c/what?.png", f"c/{composed}.png", f"c/{apart}.png"} < set(
        names()
    )
    assert capsys.readouterr().out.endswith("40 pictures, 4 left out: see data/flat/rejected.csv, 0 copies\n")


@pytest.mark.parametrize("broken", [5, 16, 30])
def test_if_most_cannot_be_read_nothing_is_written(broken: int) -> None:
    pile()
    for path in sorted(Path("images/mine").rglob("*.png"))[:broken]:
        path.write_bytes(b"")
    configure()
    download.main()
    if broken < 15:
        flatten.main()
        return
    with pytest.raises(SystemExit) as end:
        flatten.main()
    said = f"data.folder: images/mine: {broken} of 30 pictures cannot be read, such as a/000.png: empty file; "
    assert str(end.value).startswith(said)
    assert [path for path in Path("data/flat").rglob("*") if path.is_file()] == []


def test_a_class_of_which_one_picture_is_left_is_named() -> None:
    pile()
    for path in sorted(Path("images/mine/c").iterdir())[1:]:
        path.write_bytes(b"")
    configure()
    download.main()
    with pytest.raises(SystemExit, match=r"^data\.folder: images/mine: class 'c' has one picture that can be read"):
        flatten.main()


def test_a_share_too_small_for_the_classes_is_named() -> None:
    pile()
    configure(test_share=0.05)
    download.main()
    with pytest.raises(SystemExit, match=r"^params\.yaml: data\.test_share: 0\.05: .*number of classes = 3"):
        flatten.main()


def test_pictures_give_the_very_arrays_of_the_idx_files_they_were_written_from() -> None:
    """As 70,000 PNG files of Fashion-MNIST do: flat parts, labels.csv, names in the order of the rows."""
    random, labelled = np.random.default_rng(0), "file,label\n"
    kinds = ["T-shirt/top", "Bag", "Ankle boot"]
    for part, idx, count in (("train", "train", 40), ("test", "t10k", 12)):
        images, labels = random.integers(0, 256, (count, *SHAPE)).astype(np.uint8), np.arange(count, dtype=np.uint8) % 3
        Path("idx").mkdir(exist_ok=True)
        write_idx(Path(f"idx/{idx}-images-idx3-ubyte"), images)
        write_idx(Path(f"idx/{idx}-labels-idx1-ubyte"), labels)
        for row, image in enumerate(images):
            path = Path(f"images/mine/{part}/{row:05}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            labelled += f"{part}/{row:05}.png,{kinds[labels[row]]}\n"
    Path("images/mine/labels.csv").write_text(labelled, encoding="utf-8")
    found = []
    for source, folder in (("idx", "idx"), ("images", "images/mine")):
        configure(source=source, folder=folder, classes=kinds)
        run()
        found.append({path.name: path.read_bytes() for path in Path("data/flat").glob("*") if "names" not in path.name})
    assert found[0] == found[1]
    assert names() == [f"train/{row:05}.png" for row in range(40)]


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pile()
    configure()
    found = []
    for threads in (1, 5):
        monkeypatch.setattr("fewlabels.threads.thread_count", lambda threads=threads: threads)
        run()
        found.append({path.name: path.read_bytes() for path in Path("data/flat").iterdir()})
    assert found[0] == found[1]


# ---- what a run goes on from


READ = reading.read


def ended_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until that picture is read, of 30 in chunks of 8, as if Ctrl-C were pressed then."""

    def read(path: Path, image_shape: Sequence[int], fit: str) -> NDArray[np.uint8]:
        if path.name == name:
            raise KeyboardInterrupt
        return READ(path, image_shape, fit)

    monkeypatch.setattr(reading, "CHUNK", 8)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(reading, "read", read)
        run()


def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run, and list the pictures that are read."""
    seen = []

    def read(path: Path, image_shape: Sequence[int], fit: str) -> NDArray[np.uint8]:
        seen.append(path.relative_to(Path("images/mine").absolute()).as_posix())
        return READ(path, image_shape, fit)

    with monkeypatch.context() as patched:
        patched.setattr(reading, "read", read)
        run()
    return sorted(seen)


def written() -> dict[str, bytes]:
    assert not list(engine.SCRATCH.iterdir())
    return {path.name: path.read_bytes() for path in Path("data/flat").iterdir()}


def test_reading_goes_on_where_it_was_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    pile()
    Path("images/mine/a/003.png").write_bytes(b"nothing")
    Path("images/mine/c/029.png").write_bytes(b"")
    configure()
    run()
    at_once, listed = written(), sorted([*names(), *held_out_names(), "a/003.png", "c/029.png"])
    ended_at(listed[20][2:], monkeypatch)
    assert files_read(monkeypatch) == listed[16:], "two chunks of 8 were there"
    assert written() == at_once
    assert files_read(monkeypatch) == listed, "after a success nothing is kept"


@pytest.mark.parametrize("differs", ["time", "size"])
def test_a_picture_that_was_changed_meanwhile_is_read_anew(differs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pile()
    configure(test_share=0)
    ended_at("029.png", monkeypatch)
    path = Path("images/mine/a/000.png")
    before = path.stat()
    pixels = picture("a/000.png", 99)
    if differs == "time":
        assert path.stat().st_size == before.st_size
        os.utime(path, ns=(0, before.st_mtime_ns + 1))
    else:
        path.write_bytes(path.read_bytes() + b"more")
        os.utime(path, ns=(0, before.st_mtime_ns))
    assert "a/000.png" in files_read(monkeypatch)
    np.testing.assert_array_equal(array("train_images")[0], pixels.ravel())


def test_a_long_reason_is_cut_between_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path, *_: object) -> NDArray[np.uint8]:
        if path.name == "000.png":
            raise reading.UnreadableError("x" + 200 * "ü")
        return READ(path, SHAPE, "pad")

    pile()
    configure()
    monkeypatch.setattr(reading, "read", read)
    run()
    assert rejected() == {"a/000.png": "x" + 127 * "ü"}


# ---- where the folder is


def test_a_relative_folder_is_the_repositorys_also_in_a_copy_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    copy = tmp_path / ".dvc/tmp/exps/tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert sources.folder("mine") == tmp_path / "mine"
    (copy / "mine").mkdir()
    assert sources.folder("mine") == Path("mine"), "what DVC brought along comes first"
    assert sources.folder("/nowhere") == Path("/nowhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sources.folder("~/mine") == tmp_path / "mine"


@pytest.mark.parametrize(("folder", "said"), [("images/mine", False), ("elsewhere", True), ("imagesque", True)])
def test_changes_outside_images_are_not_noticed_and_that_is_said(
    folder: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    pile()
    if folder != "images/mine":
        Path("images/mine").rename(folder)
    configure(folder=folder)
    download.main()
    assert ("its changes are not noticed" in capsys.readouterr().out) == said
