"""The answers file: what people said of which picture, as text that git tracks, appended and never rewritten.

A line is on the disk before its writer goes on. A correction is a later line, and so is an undo. Each line is read by
itself, so that one that cannot be read, as after a power failure or between the marks of a merge conflict, is named and
takes no other with it.
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

PATH = Path("answers.csv")
HEADING = ("file", "label", "action", "who", "when", "round", "why")
ACTIONS = ("label", "skip", "undo")
AUDIT, ROUND, TIE, REVIEW, IMPORT = WHYS = ("audit", "round", "tie", "review", "import")
LOCK = Path(".dvc/tmp/answers.lock")
"""Held by whoever writes: a file beside DVC's own, which git ignores."""
MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
"""What git writes around the two sides of a conflict."""


@dataclass(frozen=True)
class Answer:
    """What somebody said of a picture.

    Attributes
    ----------
    file : str
        The picture, as in data/flat/names.txt.
    label : str
        The name of a class; empty for a skip and an undo.
    action : {"label", "skip", "undo"}
        An undo takes back the latest answer of the same person for the same picture; the one before it counts again.
    who : str
    when : str
        The time in UTC, as `now` gives it.
    round : int
        That the picture was asked in, from 1 on; 0 for the audit and for answers of earlier projects.
    why : {"audit", "round", "tie", "review", "import"}
        Why it was asked about.
    line : int, default=0
        Of the file, from 1 on; 0 if it does not come from one.
    """

    file: str
    label: str
    action: str
    who: str
    when: str
    round: int
    why: str
    line: int = 0


def now() -> str:
    """Give the time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(path: Path = PATH) -> tuple[list[Answer], list[str]]:
    """Read all answers that can be read.

    Parameters
    ----------
    path : Path, default=PATH

    Returns
    -------
    list of Answer
        In the order of their lines.
    list of str
        A sentence for each line that cannot be read; it names the file and the line.

    Raises
    ------
    SystemExit
        With one line that names the file, if it is not there or its first line is no such heading.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    return parsed(content, path)


def parsed(content: bytes, path: Path = PATH) -> tuple[list[Answer], list[str]]:
    """Read the answers in the content of a file; as `read`."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not content or lines[0].rstrip(b"\r") != ",".join(HEADING).encode():
        raise SystemExit(f"{path}: line 1: the heading is not {','.join(HEADING)}")
    whole = len(lines) - 1 if lines[-1] == b"" else len(lines)
    answers, problems = [], []
    for number, line in enumerate(lines[1:whole], start=2):
        try:
            answer = _answer(line.rstrip(b"\r"), number)
        except ValueError as error:
            cut_off = ", cut off" if number == len(lines) else ""
            problems.append(f"{path}: line {number}{cut_off}: {error}")
            continue
        if answer:
            answers.append(answer)
    return answers, problems


@lru_cache(maxsize=100_000)  # a session reads the file again after each answer
def _answer(line: bytes, number: int) -> Answer | None:
    """Read one line; an empty one holds nothing, and a heading that a merge doubled does not either."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8") from None
    if not text or text == ",".join(HEADING):
        return None
    if text.startswith(MARKS):
        raise ValueError("a mark of a merge conflict; the answers on both sides of it are kept")
    try:
        cells = next(csv.reader([text], strict=True))
    except csv.Error:
        raise ValueError("a quotation mark is missing") from None
    if len(cells) != len(HEADING):
        raise ValueError(f"{len(cells)} cells in place of {len(HEADING)}")
    file, label, action, who, when, round_, why = cells
    for name, value in (("file", file), ("who", who)):
        if not value.strip():
            raise ValueError(f"no {name}")
    for name, value, known in (("action", action, ACTIONS), ("why", why, WHYS)):
        if value not in known:
            raise ValueError(f"{name} {value!r} is none of {', '.join(known)}")
    if (action == "label") != bool(label):
        raise ValueError("no label" if action == "label" else f"a label, {label!r}, with {action}")
    try:
        datetime.fromisoformat(when)
    except ValueError:
        raise ValueError(f"when {when!r} is no time") from None
    if not (round_.isascii() and round_.isdigit()):
        raise ValueError(f"round {round_!r} is no number")
    return Answer(file, label, action, who, when, int(round_), why, number)


def append(answers: Sequence[Answer], path: Path = PATH) -> None:
    """Write answers at the end of the file; when this returns, they are on the disk.

    Others may write at the same time: each waits for the other. A last line that a power failure has cut off keeps its
    own line. What cannot be written whole is taken back.

    Parameters
    ----------
    answers : sequence of Answer
        Written together, or none of them.
    path : Path, default=PATH
        It is made if it is not there.

    Raises
    ------
    OSError
        If the disk is full, or the file may not be written.
    """
    from filelock import FileLock  # not above: stages only read

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_cells(answer) for answer in answers)
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCK), path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        start = b""
        if not size:
            start = f"{','.join(HEADING)}\n".encode()
        else:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                start = b"\n"
        content = start + text.getvalue().encode()
        try:
            written = file.write(content)
            os.fsync(file.fileno())
            if written != len(content):
                raise OSError(28, "not written whole, is the disk full?", str(path))
        except OSError:
            file.truncate(size)
            raise


def _cells(answer: Answer) -> Iterable[object]:
    return (getattr(answer, name) for name in HEADING)
