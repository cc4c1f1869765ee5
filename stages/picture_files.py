"""Which pictures a folder holds, and what is known of them: their parts, their labels, their classes.

Names alone are looked at here, no picture is opened. The path of a picture within the folder, with `/` on every system,
is what it is called everywhere. They are sorted by it: neither the machine nor the order in a folder changes a result.
"""

import csv
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LABELS = "labels.csv"
PARTS = ("train", "test")
MOST_CLASSES = 255
"""A label is a byte, and one of its values stands for labels that nobody knows."""
NO_PICTURES = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
"""Files that systems leave in folders, besides hidden ones."""


class Picture(NamedTuple):
    """A picture's path within its folder, its part (`train`, `test`, or empty) and its label (empty if unknown)."""

    file: str
    part: str
    label: str


class Listing(NamedTuple):
    """The pictures of a folder in the order of their names, the names of the classes, and what a person should know."""

    pictures: list[Picture]
    classes: list[str]
    remarks: list[str]


def listed(folder: Path, classes: Sequence[str] | None = None) -> Listing:
    """List the pictures of a folder with their parts and labels.

    Labels come from labels.csv where there is one; otherwise from the names of folders, where at least two lie beside
    each other, no picture beside them and, if `classes` is given, one of them is a class. Otherwise nobody knows them.

    Parameters
    ----------
    folder : Path
    classes : sequence of str, optional
        The names of the classes in their order; those of the folders or of labels.csv, sorted, if not given.

    Returns
    -------
    Listing

    Raises
    ------
    SystemExit
        With one line that names the folder, the file or the line: if there is no such folder or no picture in it, a
        class is unknown, has one picture or none to train on, labels.csv names a file that is not there, or one twice
        with two labels.
    """
    if not folder.is_dir():
        raise SystemExit(f"data.folder: {folder}: there is no such folder")
    files = sorted(file for file in found(folder) if file != LABELS)
    if not files:
        raise SystemExit(f"data.folder: {folder}: no picture is in it")
    in_parts = {file.partition("/")[0] for file in files} == set(PARTS)
    parts = {file: file.partition("/")[0] if in_parts else "" for file in files}
    remarks: list[str] = []
    if (folder / LABELS).is_file():
        labels = read_labels(folder, files, classes)
    else:
        labels = _by_folder(folder, files, in_parts, classes, remarks)
    there = sorted({label for label in labels.values() if label})
    if len(there) > MOST_CLASSES:
        raise SystemExit(f"data.folder: {folder}: {len(there)} classes are more than {MOST_CLASSES}")
    if classes is None and len(there) == 1:
        raise SystemExit(f"data.folder: {folder}: one class only, {there[0]!r}: two are the least")
    pictures = [Picture(file, parts[file], labels.get(file, "")) for file in files]
    _check_counts(folder, pictures)
    return Listing(pictures, list(there if classes is None else classes), remarks)


def found(folder: Path) -> Iterator[str]:
    """Yield the paths of the files below a folder, without hidden ones and without what systems leave in folders.

    Parameters
    ----------
    folder : Path
        Folders in it that are links are not followed.

    Yields
    ------
    str
        Relative to the folder, with `/`; bytes that are no UTF-8 as lone surrogates.

    Raises
    ------
    SystemExit
        With one line, if a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise SystemExit(f"data.folder: {error.filename}: {error.strerror}") from None

    for path, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name.lower() not in NO_PICTURES:
                yield Path(path, name).relative_to(folder).as_posix()


def unusable(file: str) -> str:
    """Say why a path cannot be what a picture is called; empty if it can."""
    if not file.isprintable() and any(character in file for character in "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"):
        return "its name has a line break"
    try:
        file.encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8"
    return ""


def shown(file: str) -> str:
    """Write an unusable path such that a list can hold it: what cannot be printed is escaped."""
    text = file.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def composed(name: str) -> str:
    """Write a name with composed characters: systems differ in how they store an ü."""
    return unicodedata.normalize("NFC", name)


def read_labels(folder: Path, files: Sequence[str], classes: Sequence[str] | None = None) -> dict[str, str]:
    """Read labels.csv, a heading `file,label` and a line for each picture whose label is known.

    Parameters
    ----------
    folder : Path
        That it lies in.
    files : sequence of str
        The paths that it may name.
    classes : sequence of str, optional
        The labels that it may give.

    Returns
    -------
    dict of str
        From paths to labels.

    Raises
    ------
    SystemExit
        With one line that names the file and the line.
    """
    path = folder / LABELS
    exact, by_composed = set(files), {composed(file): file for file in files}
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for number, named, label in label_rows(path, stream):
                line = f"{path}: line {number}"
                file = named if named in exact else by_composed.get(composed(named), named)
                if file not in exact:
                    raise SystemExit(f"{line}: {named!r} is not in {folder}")
                if not label:
                    raise SystemExit(f"{line}: {file} has no label; leave out pictures whose label nobody knows")
                if classes is not None and label not in classes:
                    raise SystemExit(f"{line}: {label!r} is not one of data.classes")
                if labels.setdefault(file, label) != label:
                    raise SystemExit(f"{line}: {file} is {label!r} here and {labels[file]!r} in line {lines[file]}")
                lines.setdefault(file, number)
    except (csv.Error, UnicodeDecodeError) as error:
        raise SystemExit(f"{path}: {error}") from None
    return labels


def label_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Read a table of labels, a heading with file and label and a line for each picture.

    Parameters
    ----------
    path : Path
        That an error names.
    lines : iterable of str

    Yields
    ------
    (int, str, str)
        The number of the line, the file and the label, composed and without blanks at its ends.

    Raises
    ------
    SystemExit
        With one line, if the heading is another.
    csv.Error
    """
    table = csv.DictReader(lines, strict=True)
    if not {"file", "label"} <= set(table.fieldnames or ()):
        raise SystemExit(f"{path}: line 1: the heading is not file,label")
    for row in table:
        yield table.line_num, row["file"] or "", composed((row["label"] or "").strip())


def _by_folder(
    folder: Path, files: Sequence[str], in_parts: bool, classes: Sequence[str] | None, remarks: list[str]
) -> dict[str, str]:
    """Take the folders of pictures for their classes, if that is what they are."""
    inner = {file: file.partition("/")[2] if in_parts else file for file in files}
    names = {composed(path.partition("/")[0]) for path in inner.values() if "/" in path}
    if len(names) < 2 or any("/" not in path for path in inner.values()):
        return {}
    if classes is not None:
        unknown = sorted(names - set(classes))
        if len(unknown) == len(names):
            return {}
        if unknown:
            raise SystemExit(f"data.classes: it lacks {unknown[0]!r}, a folder of {folder}: add it, or set it to null")
    for part in PARTS if in_parts else ("",):
        for path in sorted((folder / part).iterdir()):
            if path.is_dir() and not path.name.startswith(".") and not any(found(path)):
                remarks.append(f"{path}: empty, so it is no class")
    return {file: composed(path.partition("/")[0]) for file, path in inner.items()}


def _check_counts(folder: Path, pictures: Sequence[Picture]) -> None:
    train = Counter(picture.label for picture in pictures if picture.label and picture.part != "test")
    test = {picture.label for picture in pictures if picture.label and picture.part == "test"}
    for label in sorted(test - train.keys()):
        raise SystemExit(f"data.folder: {folder}: class {label!r} has pictures in test and none in train")
    for label, count in sorted(train.items()):
        if count == 1:
            raise SystemExit(f"data.folder: {folder}: class {label!r} has one picture only: two are the least")
