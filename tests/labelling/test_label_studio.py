"""Label Studio: exports that its server made, read as they should be; tasks; and what its HTTP interface answers.

`label_studio/` has exports of version 1.23.2: annotated through its interface (json, json_all) and in its page
(json_from_ui).
"""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from labelling_pile import Pile
from PIL import Image

from labelling import answers, imports, label_studio, label_studio_server
from labelling.session import Session

EXPORTS = Path(__file__).parent / "label_studio"
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress"]


def read(name: str, keys: dict[str, str]) -> tuple[list[tuple[str, str, str, str, str, int, str]], list[str]]:
    export = json.loads((EXPORTS / f"{name}.json").read_text(encoding="utf-8"))
    found, problems = label_studio.read_export(export, keys, CLASSES)
    return [(one.file, one.label, one.action, one.who, one.when, one.round, one.why) for one in found], problems


KEYS = {f"sha256:{number:04}": f"{number:05}.png" for number in range(8)}
ME, YOU = "label-studio:1", "label-studio:2"
FROM_API = [
    ("00000.png", "Trouser", "label", ME, "2026-11-25T07:19:57.659264Z", 1, "round"),
    ("00001.png", "", "skip", ME, "2026-11-25T07:19:57.712145Z", 1, "round"),
    ("00002.png", "Trouser", "label", ME, "2026-11-25T07:19:57.801891Z", 1, "round"),
    ("00002.png", "Pullover", "label", YOU, "2026-11-25T07:19:57.896336Z", 1, "round"),
    ("00005.png", "Dress", "label", ME, "2026-11-25T07:19:58.206003Z", 1, "round"),
]
PROBLEMS = [
    "task 3, 00002.png: people differ: 'Trouser' by label-studio:1, 'Pullover' by label-studio:2; all are kept, and "
    "the majority counts",
    "task 4, 00003.png: annotation 5: 0 choices in place of one",
    "task 5, 00004.png: annotation 6: 2 choices in place of one: Trouser, Dress",
    'task 7, 00006.png: annotation 8: "can\'t tell" is no class',
]


@pytest.mark.parametrize("name", ["json", "json_all"])
def test_an_export_of_its_interface_is_read_rightly(name: str) -> None:
    """Single choice, skipped, two people who differ, no choice, two choices, changed later; in json_all one unseen."""
    found, problems = read(name, KEYS)
    assert found == FROM_API
    assert problems == PROBLEMS


def test_an_export_of_its_page_is_read_rightly() -> None:
    """A skip keeps the prediction as its result; a choice with an alias; an empty result in spite of a prediction."""
    found, problems = read("json_from_ui", {f"k{number}": f"{number}.png" for number in range(6)})
    assert [one[:4] for one in found] == [
        ("0.png", "Trouser", "label", ME),
        ("1.png", "Pullover", "label", ME),
        ("3.png", "", "skip", ME),
    ]
    assert problems == [
        "task 586, 2.png: annotation 97: 'dress_alias' is no class",
        "task 588, 4.png: annotation 99: 0 choices in place of one",
    ]


def test_tasks_of_other_pictures_are_named() -> None:
    found, problems = read("json", {"sha256:0000": "a.png"})
    assert [one[0] for one in found] == ["a.png"]
    assert problems[0] == "task 2: its key 'sha256:0001' is that of no picture here"
    assert len(problems) == 6


def test_the_small_export_which_drops_skips_is_refused() -> None:
    with pytest.raises(ValueError, match="export as JSON, not JSON_MIN or CSV"):
        read("json_min", KEYS)


@pytest.mark.parametrize("by", [1, {"id": 1}, {"id": 7, "email": "1"}])
def test_people_are_numbers_or_objects(by: Any) -> None:
    task = {"id": 1, "data": {"key": "k"}, "annotations": [
        {"id": 1, "completed_by": by, "was_cancelled": True, "result": [], "updated_at": "2026-01-01T00:00:00Z"}
    ]}  # fmt: skip
    found, _ = label_studio.read_export([task], {"k": "a.png"}, CLASSES)
    assert found[0].who == "label-studio:1"


# ---- tasks


def test_tasks_hold_their_picture_and_our_key_in_our_order(pile: Pile) -> None:
    session = Session(pile.project, "ana")
    questions = session.questions()
    made = label_studio.tasks(pile.project, questions)
    assert [task["data"]["row"] for task in made] == [one["row"] for one in questions]
    for task in made:
        data = task["data"]
        assert set(task) == {"data"}, "no predictions unless asked for"
        assert set(data) == {"image", "key", "row", "round", "file", "why"}
        assert data["key"] == label_studio.key_of(data["file"])
        kind, content = data["image"].split(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).getpixel((0, 0)) == data["row"]


def test_predictions_are_given_where_asked_for_but_never_of_the_audit(pile: Pile) -> None:
    questions = [
        {"row": 1, "file": "a 1#.png", "why": "audit", "round": 0},
        {"row": 2, "file": "a 2#.png", "why": "round", "round": 2},
    ]
    audit, asked = label_studio.tasks(pile.project, questions, {1: (0, 0.5), 2: (2, 0.75)})
    assert "predictions" not in audit
    (prediction,) = asked["predictions"]
    assert prediction["score"] == 0.75
    assert prediction["result"][0]["value"] == {"choices": ["ü, or no"]}


def test_the_interface_has_each_class_with_a_key_of_its_own() -> None:
    names = [f'class "{number}" <&' for number in range(36)]
    choices = ElementTree.fromstring(label_studio.config(names)).find("Choices")  # noqa: S314 - our own
    assert choices.attrib["required"] == "true"
    assert [one.attrib["value"] for one in choices] == names
    assert len({one.attrib["hotkey"] for one in choices}) == 36
    assert not any("alias" in one.attrib for one in choices)
    many = ElementTree.fromstring(label_studio.config([str(number) for number in range(37)]))  # noqa: S314
    assert not any("hotkey" in one.attrib for one in many.iter("Choice"))


# ---- importing


def answered_export(pile: Pile) -> list[dict[str, Any]]:
    """The tasks of now, as a server gives them back: answered, one skipped, one not seen."""
    tasks = label_studio.tasks(pile.project, Session(pile.project, "ana").questions())
    for number, task in enumerate(tasks):
        choice = {"from_name": "label", "type": "choices", "value": {"choices": [pile.project.classes[number % 3]]}}
        annotation = {"id": number, "completed_by": 1, "was_cancelled": number == 1, "result": [choice]}
        annotation |= {"updated_at": f"2026-01-01T00:00:0{number}.5Z"}
        task |= {"id": number, "annotations": [annotation] if number != 2 else []}
    return tasks


def test_an_import_adds_what_is_new_and_twice_changes_nothing(pile: Pile) -> None:
    Path("export.json").write_text(json.dumps(answered_export(pile)), encoding="utf-8")
    said = imports.from_file(pile.project, Path("export.json"), "ana")
    assert said == ["answers.csv: 5 answers added, 0 were there already"]
    before = Path("answers.csv").read_bytes()
    assert imports.from_file(pile.project, Path("export.json"), "ana") == [
        "answers.csv: 0 answers added, 5 were there already"
    ]
    assert Path("answers.csv").read_bytes() == before
    found, problems = answers.read()
    assert problems == []
    assert [(one.why, one.round) for one in found] == [("audit", 0)] * 5
    state = Session(pile.project, "ana").state()
    assert state["audit"]["done"] == 4


def test_a_changed_annotation_is_a_later_line(pile: Pile) -> None:
    export = answered_export(pile)
    imports.added(imports.from_export(pile.project, export, "export.json")[0])
    export[0]["annotations"][0] |= {"updated_at": "2026-01-02T00:00:00Z"}
    export[0]["annotations"][0]["result"][0]["value"]["choices"] = ["skip"]
    assert imports.added(imports.from_export(pile.project, export, "export.json")[0]) == (
        "answers.csv: 1 answers added, 4 were there already"
    )
    found, _ = pile.project.verdicts(answers.read()[0])
    assert found[export[0]["data"]["row"]].label == 1


def test_labels_of_an_earlier_project_are_added_once(pile: Pile) -> None:
    text = 'file,label\na 0#.png,cat\na 1#.png,"ü, or no"\ngone.png,cat\na 2#.png,bird\n'
    Path("labels.csv").write_text(text, encoding="utf-8")
    said = imports.from_file(pile.project, Path("labels.csv"), "old project")
    assert said == [
        "answers.csv: 2 answers added, 0 were there already",
        "labels.csv: line 4: 'gone.png' is not among the training pictures",
        "labels.csv: line 5: 'bird' is none of the classes",
    ]
    before = Path("answers.csv").read_bytes()
    assert imports.from_file(pile.project, Path("labels.csv"), "old project")[0].endswith("2 were there already")
    assert Path("answers.csv").read_bytes() == before
    state = Session(pile.project, "ana").state()
    assert state["budget"] == {"done": 0, "size": 20, "free": 2}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("x.json", "{", "no JSON: "),
        ("x.json", "{}", "no list of tasks with `data`: export as JSON, not JSON_MIN or CSV"),
        ("x.csv", "a,b\n", "line 1: the heading is not file,label"),
        ("x.csv", 'file,label\n"a,b\n', "after line 1: "),
        ("x.txt", "", "neither a .csv file (file,label) nor a .json export of Label Studio"),
        ("gone.csv", None, "No such file or directory"),
    ],
)
def test_what_is_no_export_is_refused_and_nothing_is_added(
    pile: Pile, name: str, content: str | None, why: str
) -> None:
    if content is not None:
        Path(name).write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        imports.from_file(pile.project, Path(name), "ana")
    assert str(end.value).startswith(f"{name}: {why}")
    assert answers.read() == ([], [])


# ---- the server


class Answer:
    def __init__(self, status: int, body: Any) -> None:
        self.status_code, self.ok, self.text = status, status < 400, json.dumps(body)

    def json(self) -> Any:
        return json.loads(self.text)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Any, ...]]]:
    """A function that sets what the server answers to each path, and returns the list of what it was asked."""
    calls: list[tuple[Any, ...]] = []

    def serve(token: str, **answers_: Answer) -> list[tuple[Any, ...]]:
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)

        def request(method: str, url: str, headers: dict[str, str], **how: Any) -> Answer:
            calls.append((method, url, headers.get("Authorization"), how.get("json"), how.get("params")))
            return next(answer for part, answer in answers_.items() if part in url)

        monkeypatch.setattr(requests, "request", request)
        return calls

    return serve


def test_a_legacy_token_is_sent_as_it_is(asked: Callable[..., Any]) -> None:
    calls = asked("a" * 40, projects=Answer(201, {"id": 12}))
    assert label_studio_server.push("http://x/", "name", "<View/>", [{"data": {}}]) == 12
    assert calls == [
        ("POST", "http://x/api/projects/", "Token " + "a" * 40,
         {"title": "name", "label_config": "<View/>", "sampling": "Sequential sampling"}, None),
        ("POST", "http://x/api/projects/12/import", "Token " + "a" * 40, [{"data": {}}], None),
    ]  # fmt: skip


def test_a_personal_access_token_is_changed_for_one_that_holds(asked: Callable[..., Any]) -> None:
    calls = asked("a.b.c", refresh=Answer(200, {"access": "short"}), export=Answer(200, [{"id": 1}]))
    assert label_studio_server.pull("http://x", 12) == [{"id": 1}]
    assert calls == [
        ("POST", "http://x/api/token/refresh", None, {"refresh": "a.b.c"}, None),
        ("GET", "http://x/api/projects/12/export", "Bearer short", None, {"exportType": "JSON"}),
    ]


@pytest.mark.parametrize(
    ("token", "answer", "why"),
    [
        ("", Answer(200, {}), "LABEL_STUDIO_API_KEY: not set"),
        ("secret", Answer(401, {"detail": "legacy token authentication has been disabled"}),
         "http://x: 401: this server has switched legacy tokens off"),
        ("secret", Answer(401, {"detail": "Invalid token."}),
         "http://x: 401: the token in LABEL_STUDIO_API_KEY is not known"),
        ("a.secret", Answer(401, {}), "http://x: 401: the token in LABEL_STUDIO_API_KEY is not known"),
        ("secret", Answer(500, {}), "http://x/api/projects/1/export: 500: "),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_without_the_token(
    asked: Callable[..., Any], token: str, answer: Answer, why: str
) -> None:
    asked(token, api=answer)
    with pytest.raises(SystemExit) as end:
        label_studio_server.pull("http://x", 1)
    assert str(end.value).startswith(why)
    assert "\n" not in str(end.value)
    assert "secret" not in str(end.value)


def test_no_server_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret")
    with pytest.raises(SystemExit, match=r"^http://127.0.0.1:1: no answer: ConnectionError$"):
        label_studio_server.pull("http://127.0.0.1:1", 1)
