"""The answers file: what people said of which picture, as text that git tracks, appended and never rewritten.

A line is on the disk before its writer goes on. A correction is a later line, and so is an undo. Each line is read by
itself, so that one that cannot be read, as after a power failure or between the marks of a merge conflict, is named and
takes no other with it.
"""

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

PATH = Path("answers.csv")
HEADING = ("file", "label", "action", "who", "when", "round", "why")
ACTIONS = ("label", "skip", "undo")
AUDIT, ROUND, TIE, REVIEW, IMPORT = WHYS = ("audit", "round", "tie", "review", "import")
LOCK = Path(".dvc/tmp/answers.lock")
"""Held by whoever writes: a file beside DVC's own, which git ignores."""
PATIENCE = 30
"""Seconds to wait for another writer."""
MARK = re.compile(r"={7}$|[<|>]{7}( |$)")
"""What git writes around the two sides of a conflict."""


@dataclass(frozen=True)
class Answer:
    """What somebody said of a picture.

    Attributes
    ----------
    file : str
        The picture, as in data/flat/names.txt.
    label : str
        The name of a class; empty for a skip. Of an undo, what it takes back.
    action : {"label", "skip", "undo"}
        An undo takes back this person's latest answer for the picture that has its label, or was a skip; the one before
        it counts again.
    who : str
    when : str
        The time with its zone, as `now` gives it. One person's answers count in its order.
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


def now(after: str = "") -> str:
    """Give the time in UTC, to the millisecond; later than another time, should a clock be set back."""
    time = datetime.now(UTC)
    if after:
        time = max(time, datetime.fromisoformat(after) + timedelta(milliseconds=1))
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
    if not content:
        return [], []
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[0].rstrip(b"\r") != ",".join(HEADING).encode():
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
    try:
        cells = next(csv.reader([text], strict=True))
    except csv.Error:
        raise ValueError("a quotation mark is missing") from None
    if len(cells) != len(HEADING) and MARK.match(text):
        raise ValueError("a mark of a merge conflict; the answers on both sides of it are kept")
    if len(cells) != len(HEADING):
        raise ValueError(f"{len(cells)} cells in place of {len(HEADING)}")
    file, label, action, who, when, round_, why = cells
    for name, value in (("file", file), ("who", who)):
        if not value.strip():
            raise ValueError(f"no {name}")
    for name, value, known in (("action", action, ACTIONS), ("why", why, WHYS)):
        if value not in known:
            raise ValueError(f"{name} {value!r} is none of {', '.join(known)}")
    if action != "undo" and (action == "label") != bool(label):
        raise ValueError("no label" if action == "label" else f"a label, {label!r}, with {action}")
    try:
        zone = datetime.fromisoformat(when).tzinfo
    except ValueError:
        raise ValueError(f"when {when!r} is no time") from None
    if zone is None:
        raise ValueError(f"when {when!r} has no zone, such as Z")
    if not re.fullmatch("[0-9]{1,6}", round_):
        raise ValueError(f"round {round_!r} is no number of a round")
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
    ValueError
        If one of them could not be read again, for instance because a name has a line break; then none is written.
    OSError
        If the disk is full, the file may not be written, or another writer does not end.
    """
    from filelock import FileLock  # not above: stages only read

    content = "".join(map(line_of, answers)).encode()
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCK, timeout=PATIENCE), path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        start = b""
        if not size:
            start = f"{','.join(HEADING)}\n".encode()
        else:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                start = b"\n"
        try:
            written = file.write(start + content)
            os.fsync(file.fileno())
            if written != len(start + content):
                raise OSError(28, "not written whole, is the disk full?", str(path))
        except OSError:
            file.truncate(size)
            raise


def line_of(answer: Answer) -> str:
    """Write an answer as a line of the file.

    Raises
    ------
    ValueError
        If it could not be read again.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(getattr(answer, name) for name in HEADING)
    line = text.getvalue()
    if "\n" in line[:-1] or "\r" in line:
        raise ValueError(f"{answer.file!r}, {answer.label!r} or {answer.who!r} has a line break")
    _answer(line[:-1].encode(), answer.line)
    return line
