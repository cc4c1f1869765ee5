"""The answers file: each line by itself, appended and never rewritten, whatever happens around it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from labelling import answers
from labelling.answers import Answer

HEADING = "file,label,action,who,when,round,why\n"
WHEN = "2026-11-25T10:00:00.000Z"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def answer(file: str = "a.png", label: str = "cat", action: str = "label", who: str = "ana") -> Answer:
    return Answer(file, label, action, who, WHEN, 1, "round")


def read(text: str) -> tuple[list[tuple[str, str, int]], list[str]]:
    Path("answers.csv").write_text(text, encoding="utf-8", newline="")
    found, problems = answers.read()
    return [(one.file, one.label, one.line) for one in found], problems


def line(file: str = "a.png", label: str = "cat") -> str:
    return f"{file},{label},label,ana,{WHEN},1,round\n"


def test_what_is_appended_is_read_again() -> None:
    given_ = [answer('a, "b"#%.png', "ü, or no"), answer(label="", action="skip"), answer(label="", action="undo")]
    answers.append(given_[:1])
    answers.append(given_[1:])
    found, problems = answers.read()
    assert problems == []
    assert [Answer(*(getattr(one, name) for name in answers.HEADING)) for one in found] == given_
    assert [one.line for one in found] == [2, 3, 4]
    assert Path("answers.csv").read_text(encoding="utf-8").startswith(HEADING)


@given(st.lists(st.tuples(st.text(st.characters(blacklist_characters="\r\n", codec="utf-8"), min_size=1), st.text(
    st.characters(blacklist_characters="\r\n", codec="utf-8"), min_size=1)), max_size=5))  # fmt: skip
def test_any_name_survives(named: list[tuple[str, str]]) -> None:
    given_ = [answer(file, label) for file, label in named if file.strip()]
    Path("answers.csv").unlink(missing_ok=True)
    answers.append(given_)
    found, problems = answers.read()
    assert problems == []
    assert [(one.file, one.label) for one in found] == [(one.file, one.label) for one in given_]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("a.png,cat,label,ana\n", "4 cells in place of 7"),
        (f'"a.png,cat,label,ana,{WHEN},1,round\n', "a quotation mark is missing"),
        (f",cat,label,ana,{WHEN},1,round\n", "no file"),
        (f"a.png,cat,label, ,{WHEN},1,round\n", "no who"),
        (f"a.png,,label,ana,{WHEN},1,round\n", "no label"),
        (f"a.png,cat,skip,ana,{WHEN},1,round\n", "a label, 'cat', with skip"),
        (f"a.png,cat,lable,ana,{WHEN},1,round\n", "action 'lable' is none of label, skip, undo"),
        (f"a.png,cat,label,ana,{WHEN},1,rou\n", "why 'rou' is none of audit, round, tie, review, import"),
        (f"a.png,cat,label,ana,{WHEN},one,round\n", "round 'one' is no number of a round"),
        ("a.png,cat,label,ana,yesterday,1,round\n", "when 'yesterday' is no time"),
        ("a.png,cat,label,ana,2026-11-25,1,round\n", "when '2026-11-25' has no zone, such as Z"),
        (f"a.png,cat,label,ana,{WHEN},1{25 * '0'},round\n", f"round '1{25 * '0'}' is no number of a round"),
        ("<<<<<<< HEAD\n", "a mark of a merge conflict; the answers on both sides of it are kept"),
        ("=======\n", "a mark of a merge conflict; the answers on both sides of it are kept"),
        (">>>>>>> other\n", "a mark of a merge conflict; the answers on both sides of it are kept"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_takes_no_other_with_it(bad: str, why: str) -> None:
    found, problems = read(HEADING + line("a.png") + bad + line("b.png"))
    assert found == [("a.png", "cat", 2), ("b.png", "cat", 4)]
    assert problems == [f"answers.csv: line 3: {why}"]


def test_bytes_that_are_no_text_and_zeros_of_a_crash_are_named() -> None:
    content = HEADING.encode() + b"\xff\xfe,cat\n" + b"\0" * 40 + b"\n" + line().encode()
    found, problems = answers.parsed(content)
    assert [one.line for one in found] == [4]
    assert [problem.split(": ")[1] for problem in problems] == ["line 2", "line 3"]


def test_every_cut_of_the_last_line_is_noticed_and_the_next_answer_has_a_line_of_its_own() -> None:
    whole = HEADING + line("a.png") + line("b.png")
    for cut in range(len(HEADING + line("a.png")) + 1, len(whole) - 1):
        found, problems = read(whole[:cut])
        assert [one[0] for one in found] == ["a.png"], whole[:cut]
        assert problems[0].startswith("answers.csv: line 3, cut off: ")
    answers.append([answer("c.png")])
    found, _ = answers.read()
    assert [one.file for one in found] == ["a.png", "c.png"]
    assert Path("answers.csv").read_text(encoding="utf-8").startswith(whole[: len(whole) - 2])


def test_windows_line_ends_a_byte_order_mark_and_empty_lines_are_read() -> None:
    found, problems = read("\ufeff" + (HEADING + line() + "\n" + line("b.png")).replace("\n", "\r\n"))
    assert ([one[0] for one in found], problems) == (["a.png", "b.png"], [])


@pytest.mark.parametrize("text", ["\n", "file,label\n", line()])
def test_a_file_without_the_heading_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match=r"^answers.csv: line 1: the heading is not file,label,action,who,"):
        read(text)


def test_an_empty_file_is_a_new_one_and_names_may_look_like_marks() -> None:
    Path("answers.csv").touch()
    assert answers.read() == ([], [])
    answers.append([answer("=======.png"), answer("<<<<<<< a.png")])
    assert [one.file for one in answers.read()[0]] == ["=======.png", "<<<<<<< a.png"]


@pytest.mark.parametrize("bad", [answer("a\nb.png"), answer(label="cat\r"), answer(who=" "), answer("")])
def test_what_could_not_be_read_again_is_not_written(bad: Answer) -> None:
    answers.append([answer()])
    with pytest.raises(ValueError, match=r"line break|no file|no who"):
        answers.append([answer("b.png"), bad])
    assert [one.file for one in answers.read()[0]] == ["a.png"]


def test_a_clock_that_is_set_back_changes_no_order() -> None:
    assert answers.now("2999-01-01T00:00:00.000Z") == "2999-01-01T00:00:00.001Z"
    assert answers.now("2020-01-01T00:00:00Z") > "2026"


def test_no_file_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"^answers.csv: No such file or directory$"):
        answers.read()


WRITER = """
import sys
from labelling import answers
from labelling.answers import Answer

for number in range(60):
    answers.append([Answer(f"{number}.png", "cat", "label", sys.argv[1], answers.now(), 1, "round")])
"""


def test_two_writers_at_once_lose_nothing() -> None:
    people = ("ana", "ben", "cem")
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, who], env=environment) for who in people]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    found, problems = answers.read()
    assert problems == []
    for who in people:
        assert [one.file for one in found if one.who == who] == [f"{number}.png" for number in range(60)]


def test_a_full_disk_leaves_the_file_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    answers.append([answer()])
    before = Path("answers.csv").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(answers.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        answers.append([answer("b.png")])
    assert Path("answers.csv").read_bytes() == before


def git(*command: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *who, *command], check=True, capture_output=True, encoding="utf-8").stdout


def test_two_branches_merge_without_a_conflict_and_keep_the_answers_of_both() -> None:
    """As .gitattributes of the repository says."""
    git("init", "--quiet", "--initial-branch=main")
    Path(".gitattributes").write_text((PROJECT / ".gitattributes").read_text(encoding="utf-8"), encoding="utf-8")
    answers.append([answer("first.png")])
    git("add", "--all")
    git("commit", "--quiet", "--message=begin")
    for who in ("ana", "ben"):
        git("switch", "--quiet", "-c", who, "main")
        for number in range(3):
            answers.append([answer(f"{who} {number}.png", who=who)])
        git("commit", "--quiet", "--all", f"--message={who}")
    git("merge", "--quiet", "--message=both", "ana")
    found, problems = answers.read()
    assert problems == []
    expected = ["first.png", *(f"{who} {number}.png" for who in ("ana", "ben") for number in range(3))]
    assert sorted(one.file for one in found) == sorted(expected)


def test_git_tracks_the_file_and_it_begins_empty() -> None:
    assert (PROJECT / "answers.csv").read_text(encoding="utf-8") == HEADING
    ignored = subprocess.run(["git", "check-ignore", "answers.csv"], cwd=PROJECT, check=False, capture_output=True)
    assert ignored.returncode == 1
