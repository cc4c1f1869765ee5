"""The page's server: what it answers, and whom it refuses."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelling_pile import Pile
from PIL import Image
from starlette.testclient import TestClient

from labelling import answers, server
from labelling.session import Session
from stages import files

HOST = "127.0.0.1:4711"
ORIGIN = f"http://{HOST}"


@pytest.fixture
def client(pile: Pile) -> TestClient:
    return TestClient(server.app(Session(pile.project, "ana"), "token", HOST), base_url=ORIGIN)


def post(client: TestClient, path: str, what: Any, **headers: str) -> Any:
    return client.post(path, json=what, headers={"Origin": ORIGIN} | headers)


def lines() -> list[tuple[str, str, str]]:
    return [(one.file, one.label, one.action) for one in answers.read()[0]]


def test_an_answer_is_in_the_file_before_the_next_question_comes(client: TestClient, pile: Pile) -> None:
    first = client.get("/token/state").json()["questions"][0]
    state = post(client, "/token/answer", {"row": first["row"], "label": 1}).json()
    assert lines() == [(first["file"], "skip", "label")]
    assert state["questions"][0]["row"] != first["row"]
    assert state["audit"]["done"] == 1
    second = state["questions"][0]
    state = post(client, "/token/answer", {"row": second["row"], "label": None}).json()
    assert lines()[1:] == [(second["file"], "", "skip")]
    assert post(client, "/token/undo", {}).json()["undone"] == second["row"]
    assert [action for *_, action in lines()] == ["label", "skip", "undo"]


def test_the_page_and_all_it_needs_come_from_here(client: TestClient) -> None:
    page = client.get("/token/")
    assert page.headers["content-type"].startswith("text/html")
    for name, kind in (("page.js", "javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg")):
        assert kind in client.get(f"/token/{name}").headers["content-type"]
    for text in (page.text, client.get("/token/page.js").text, client.get("/token/page.css").text):
        assert "//" not in text.replace("// ", "").replace("http://www.w3.org/2000/svg", "")
    assert "style=" not in page.text
    assert "<script>" not in page.text
    assert client.get("/token/setting").json()["classes"] == ["cat", "skip", "ü, or no"]


def test_headers_keep_other_pages_away(client: TestClient) -> None:
    for path in ("/token/", "/token/state", "/token/picture/0", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path", ["/", "/state", "/wrong/state", "/toke/state", "/tokens/state", "/token/../token2/state", "/Token/state"]
)
def test_a_wrong_token_is_refused(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "host", ["localhost:4711", "127.0.0.1", "127.0.0.1:80", "evil.example", "evil.example:4711", ""]
)
def test_another_host_is_refused_as_after_dns_rebinding(client: TestClient, host: str) -> None:
    assert client.get("/token/state", headers={"Host": host}).status_code == 421
    answer = client.post("/token/undo", json={}, headers={"Host": host, "Origin": f"http://{host}"})
    assert answer.status_code == 421


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1:4711", "http://127.0.0.1"])
def test_no_other_page_may_post_even_if_it_knows_the_token(client: TestClient, origin: str | None) -> None:
    row = client.get("/token/state").json()["questions"][0]["row"]
    headers = {} if origin is None else {"Origin": origin}
    for path, what in (("/token/answer", {"row": row, "label": 0}), ("/token/undo", {})):
        assert client.post(path, json=what, headers=headers).status_code == 403
    assert lines() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=x", ""])
def test_only_json_is_taken(client: TestClient, kind: str) -> None:
    row = client.get("/token/state").json()["questions"][0]["row"]
    answer = client.post(
        "/token/answer", content=f'{{"row": {row}, "label": 0}}', headers={"Origin": ORIGIN, "Content-Type": kind}
    )
    assert answer.status_code == 415
    assert lines() == []


def test_nothing_is_changed_by_a_get(client: TestClient) -> None:
    for path in ("answer", "undo"):
        assert client.get(f"/token/{path}").status_code == 405
    assert client.put("/token/answer", json={}, headers={"Origin": ORIGIN}).status_code == 405


@pytest.mark.parametrize(
    "what",
    [
        {},
        [],
        {"row": "0", "label": 0},
        {"row": 0, "label": "cat"},
        {"row": 0, "label": True},
        {"row": 0},
        {"row": 90, "label": 0},
        {"row": -1, "label": 0},
        {"row": 0, "label": 3},
        {"rows": 5, "label": 0},
        {"rows": [0, None], "label": 0},
        {"rows": [], "label": 0, "wrong": "abc"},
        {"row": 89, "label": 0},
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(client: TestClient, what: Any) -> None:
    answer = post(client, "/token/answer", what)
    assert answer.status_code == 400
    assert answer.text.startswith("not understood: ")
    assert "\n" not in answer.text
    assert lines() == []


def test_a_long_request_is_refused(client: TestClient) -> None:
    assert post(client, "/token/answer", {"rows": [0] * 50_000, "label": 0}).status_code == 413


@pytest.mark.parametrize("content", ["{", "", "[" * 50_000])
def test_no_json_is_refused(client: TestClient, content: str) -> None:
    headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
    assert client.post("/token/answer", content=content, headers=headers).status_code == 400


def test_a_damaged_or_vanished_answers_file_is_said(client: TestClient) -> None:
    row = client.get("/token/state").json()["questions"][0]["row"]
    Path("answers.csv").write_text("damaged\n", encoding="utf-8")
    for answer in (client.get("/token/state"), post(client, "/token/answer", {"row": row, "label": 0})):
        assert answer.status_code == 503
        assert answer.text.startswith("answers.csv: line 1: the heading is not")
    Path("answers.csv").unlink()
    answer = client.get("/token/state")
    assert answer.status_code == 503
    assert answer.text == "answers.csv: No such file or directory: it was there when this began"
    assert not Path("answers.csv").exists()


def test_a_full_disk_is_said_and_the_page_stays(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    row = client.get("/token/state").json()["questions"][0]["row"]

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device", "answers.csv")

    monkeypatch.setattr(answers.os, "fsync", full)
    answer = post(client, "/token/answer", {"row": row, "label": 0})
    assert (answer.status_code, answer.text) == (507, "answers.csv: No space left on device")
    assert client.get("/token/state").json()["questions"][0]["row"] == row


def test_pictures_are_served_by_their_row_alone(client: TestClient) -> None:
    answer = client.get("/token/picture/7")
    assert answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), np.full((8, 8), 7, np.uint8))
    for path in (
        "90",
        "-1",
        "x",
        "0/../../answers.csv",
        "..%2f..%2fanswers.csv",
        "%2e%2e/answers.csv",
        "0.png",
        "9" * 5000,
        "",
    ):
        assert client.get(f"/token/picture/{path}").status_code == 404, path
    for path in ("..%2fanswers.csv", "%2e%2e%2fparams.yaml", "page.js%00", "../page.js"):
        assert client.get(f"/token/{path}").status_code == 404, path


def test_a_picture_that_is_gone_is_named(make_pile: Any) -> None:
    pile = make_pile(data={"source": "images", "folder": "images/mine", "image_shape": [8, 8]})
    client = TestClient(server.app(Session(pile.project, "ana"), "token", HOST), base_url=ORIGIN)
    answer = client.get("/token/picture/3")
    assert (answer.status_code, answer.text) == (404, "a 3#.png: No such file or directory")
    files.save_json("images/mine/a 3#.png", "no picture")
    assert client.get("/token/picture/3").status_code == 404
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 2000, 3)).astype(np.uint8))
    picture.save("images/mine/a 3#.png")
    answer = client.get("/token/picture/3")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (1024, 20)


def test_the_grid_takes_many_at_once(client: TestClient, pile: Pile) -> None:
    rows = [one["row"] for one in client.get("/token/state").json()["questions"]]
    post(client, "/token/answer", {"rows": rows[1:4], "label": 2, "wrong": rows[:1]})
    assert [file for file, *_ in lines()] == [pile.project.names[row] for row in rows[1:4]]
    assert client.get("/token/grid").json() == {"label": None, "rows": [], "saves": False}
    assert client.get("/token/review").json() == []
    assert client.get(f"/token/likely/{rows[0]}").json() == {"label": None}
    assert client.get("/token/likely/1000").status_code == 404
    assert client.get("/token/estimate").json()["points"] == []


def test_a_port_that_is_taken_is_named() -> None:
    with server.listening(0) as listener:
        port = listener.getsockname()[1]
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(SystemExit, match=rf"^--port: {port}: Address already in use$"):
            server.listening(port)
