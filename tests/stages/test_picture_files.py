"""A folder of pictures by its names alone: parts, classes, labels.csv, each fault in one line. None is opened."""

import unicodedata
from pathlib import Path

import pytest

from stages import picture_files
from stages.picture_files import listed


def folder(tmp_path: Path, *names: str, labels: str | bytes | None = None) -> Path:
    root = tmp_path / "mine"
    root.mkdir()
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a picture")
    if labels is not None:
        (root / "labels.csv").write_bytes(labels if isinstance(labels, bytes) else labels.encode())
    return root


def rows(root: Path, classes: list[str] | None = None) -> list[tuple[str, str, str]]:
    return [tuple(picture) for picture in listed(root, classes).pictures]


def refusal(root: Path, classes: list[str] | None = None) -> str:
    with pytest.raises(SystemExit) as end:
        listed(root, classes)
    assert "\n" not in str(end.value)
    return str(end.value).replace(str(root), "mine")


# ---- forms


def test_folders_are_classes_sorted_by_name(tmp_path: Path) -> None:
    root = folder(tmp_path, "dog/b.png", "cat/z.png", "cat/sub/a.png", "dog/a.png")
    labels = {"cat/sub/a.png": "cat", "cat/z.png": "cat", "dog/a.png": "dog", "dog/b.png": "dog"}
    assert rows(root) == [(file, "", label) for file, label in labels.items()]
    assert listed(root).classes == ["cat", "dog"]
    assert listed(root, ["dog", "cat", "eel"]).classes == ["dog", "cat", "eel"]


def test_train_and_test_are_parts(tmp_path: Path) -> None:
    root = folder(tmp_path, *(f"{part}/{label}/{n}.png" for part in ("test", "train") for label in "xy" for n in "12"))
    assert rows(root)[:3] == [
        ("test/x/1.png", "test", "x"),
        ("test/x/2.png", "test", "x"),
        ("test/y/1.png", "test", "y"),
    ]
    assert [picture.part for picture in listed(root).pictures] == ["test"] * 4 + ["train"] * 4
    assert listed(root).classes == ["x", "y"]


@pytest.mark.parametrize(
    "names",
    [
        ("a.png", "b.png"),
        ("a.png", "2024/b.png", "2025/c.png"),
        ("one/a.png", "one/b.png"),
        ("train/a.png", "test/b.png"),
    ],
)
def test_a_pile_has_no_labels(names: tuple[str, ...], tmp_path: Path) -> None:
    """Flat, nested with pictures beside its folders, a single folder, parts without classes."""
    root = folder(tmp_path, *names)
    assert {picture.label for picture in listed(root).pictures} == {""}
    assert listed(root).classes == []
    assert listed(root, ["cat", "dog"]).classes == ["cat", "dog"]


def test_folders_of_which_none_is_a_class_are_no_classes(tmp_path: Path) -> None:
    root = folder(tmp_path, "2024/a.png", "2025/b.png")
    assert {label for _, _, label in rows(root, ["cat", "dog"])} == {""}


def test_labels_csv_is_the_only_source_where_there_is_one(tmp_path: Path) -> None:
    names = ["x/1.png", "x/2, or 3.png", "y/#1 100%?.png", "y/4.png", "5.png"]
    labels = 'file,label\n5.png,cat\n"x/2, or 3.png",dog\ny/#1 100%?.png,cat\nx/1.png,dog\nx/1.png,dog\n'
    root = folder(tmp_path, *names, labels=labels)
    assert {file: label for file, _, label in rows(root)} == {
        "5.png": "cat",
        "x/1.png": "dog",
        "x/2, or 3.png": "dog",
        "y/#1 100%?.png": "cat",
        "y/4.png": "",
    }
    assert listed(root).classes == ["cat", "dog"]


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    content = "\ufefflabel,note,file\r\n cat ,x,a.png\r\ncat,,b.png\r\n".encode()
    root = folder(tmp_path, "a.png", "b.png", labels=content)
    assert rows(root, ["cat", "dog"]) == [("a.png", "", "cat"), ("b.png", "", "cat")]


def test_parts_with_labels_csv(tmp_path: Path) -> None:
    labels = "file,label\n" + "".join(f"{part}/{n}.png,T-shirt/top\n" for part in ("train", "test") for n in (1, 2))
    root = folder(tmp_path, *(f"{part}/{n}.png" for part in ("train", "test") for n in (1, 2)), labels=labels)
    found = rows(root, ["T-shirt/top", "Bag"])
    assert found == [(f"{part}/{n}.png", part, "T-shirt/top") for part in ("test", "train") for n in (1, 2)]


def test_what_systems_leave_behind_is_ignored(tmp_path: Path) -> None:
    junk = [".DS_Store", "cat/._a.png", "cat/Thumbs.db", ".git/x.png", "dog/desktop.ini", "cat/.hidden/y.png"]
    root = folder(tmp_path, "cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png", *junk)
    (root / "loop").symlink_to(root)
    assert [file for file, _, _ in rows(root)] == ["cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png"]


def test_an_empty_folder_is_said_and_is_no_class(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png", "eel/.DS_Store")
    (root / "empty").mkdir()
    listing = listed(root)
    assert listing.classes == ["cat", "dog"]
    assert [remark.replace(str(root), "mine") for remark in listing.remarks] == [
        "mine/eel: empty, so it is no class",
        "mine/empty: empty, so it is no class",
    ]


def test_an_umlaut_is_the_same_composed_or_not(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Küche") for form in ("NFC", "NFD"))
    root = folder(tmp_path, f"{composed}/1.png", f"{apart}/2.png", "x/1.png", "x/2.png")
    assert listed(root).classes == [composed, "x"]
    assert {file for file, _, label in rows(root) if label == composed} == {f"{composed}/1.png", f"{apart}/2.png"}
    (root / "labels.csv").write_text(f"file,label\n{composed}/2.png,{apart}\nx/1.png,{composed}\n", encoding="utf-8")
    assert (f"{apart}/2.png", "", composed) in rows(root, [composed, "x"])


# ---- faults


def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^data\.folder: .*nowhere: there is no such folder$"):
        listed(tmp_path / "nowhere")
    root = folder(tmp_path, ".DS_Store", "labels.csv")
    assert refusal(root) == "data.folder: mine: no picture is in it"


@pytest.mark.parametrize(
    ("names", "classes", "message"),
    [
        (["cat/a", "cat/b", "dog/a"], None, "data.folder: mine: class 'dog' has one picture only: two are the least"),
        (["train/x/1", "train/x/2", "train/y/1", "test/y/1"], None,
         "data.folder: mine: class 'y' has one picture only: two are the least"),
        (["train/x/1", "train/x/2", "train/y/1", "train/y/2", "test/y/1", "test/z/1"], None,
         "data.folder: mine: class 'z' has pictures in test and none in train"),
        (["cat/a", "cat/b", "dgo/a", "dgo/b"], ["cat", "dog"],
         "data.classes: it lacks 'dgo', a folder of mine: add it, or set it to null"),
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_learned_is_named(
    names: list[str], classes: list[str] | None, message: str, tmp_path: Path
) -> None:
    assert refusal(folder(tmp_path, *names), classes) == message


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("file,label\na.png,cat\nc.png,cat\n", "line 3: 'c.png' is not in mine"),
        ("file,label\na.png,cat\nb.png,cat\n\na.png,dog\n", "line 5: a.png is 'dog' here and 'cat' in line 2"),
        ("file,label\na.png,wolf\n", "line 2: 'wolf' is not one of data.classes"),
        ("file,label\na.png,\n", "line 2: a.png has no label; leave out pictures whose label nobody knows"),
        ("file,label\na.png\n", "line 2: a.png has no label; leave out pictures whose label nobody knows"),
        ("a.png,cat\n", "line 1: the heading is not file,label"),
        ("", "line 1: the heading is not file,label"),
        (b"file,label\na.png,\xff\n", "'utf-8' codec can't decode byte 0xff in position 17: invalid start byte"),
    ],
)
def test_a_fault_of_labels_csv_is_named_by_its_line(labels: str | bytes, message: str, tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png", "b.png", labels=labels)
    assert refusal(root, ["cat", "dog"]) == f"mine/labels.csv: {message}"


def test_one_class_is_no_choice_unless_others_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path, "a.png", "b.png", "c.png", labels="file,label\na.png,cat\nb.png,cat\n")
    assert refusal(root) == "data.folder: mine: one class only, 'cat': two are the least"
    assert listed(root, ["cat", "dog"]).classes == ["cat", "dog"]


def test_more_classes_than_a_byte_can_name_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, *(f"{kind:03}/{n}.png" for kind in range(256) for n in (1, 2)))
    assert refusal(root) == "data.folder: mine: 256 classes are more than 255"
    for path in (root / "255").iterdir():
        path.unlink()
    assert len(listed(root).classes) == 255


def test_a_name_that_no_list_can_hold_is_told() -> None:
    assert picture_files.unusable("a\nb.png") == "its name has a line break"
    assert picture_files.unusable("caf\udce9.png") == "its name is no UTF-8"
    assert picture_files.unusable("ü #1 100%?.png") == ""
