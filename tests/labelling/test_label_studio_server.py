"""A real Label Studio, which `make test-label-studio` installs and starts: push, answer there, pull, by both tokens."""

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import PROJECT
from labelling_pile import Pile

from labelling import answers, imports, label_studio, label_studio_server
from labelling.session import Session

COMMAND = PROJECT / ".venv-label-studio/bin/label-studio"

pytestmark = [
    pytest.mark.label_studio,
    pytest.mark.skipif(not COMMAND.exists(), reason="make test-label-studio installs it"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a server that is bound to this machine and sends nothing home, and a legacy token."""
    folder, token = tmp_path_factory.mktemp("label-studio"), secrets.token_hex(20)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_USERNAME": "me@localhost.local",
        "LABEL_STUDIO_PASSWORD": secrets.token_hex(8),
        "LABEL_STUDIO_USER_TOKEN": token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
    }
    command = [COMMAND, "start", "--no-browser", "--internal-host", "127.0.0.1", "-p", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, process, folder / "log")
        yield url, token
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(encoding="utf-8")[-2000:]
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(1)
    raise AssertionError(log.read_text(encoding="utf-8")[-2000:])


def personal_token(url: str, legacy: str) -> str:
    """Make a personal access token, as people do on their account's page."""
    made = requests.post(f"{url}/api/token/", headers={"Authorization": f"Token {legacy}"}, json={}, timeout=30)
    assert made.ok, made.text
    return str(made.json()["token"])


def answer_there(url: str, legacy: str, project: int, classes: list[str]) -> None:
    """Answer all tasks but the last as a client of its interface: the second is skipped."""
    header = {"Authorization": f"Token {legacy}"}
    tasks = requests.get(f"{url}/api/tasks?project={project}&page_size=100", headers=header, timeout=30).json()["tasks"]
    for number, task in enumerate(sorted(tasks, key=lambda one: one["id"])[:-1]):
        value: dict[str, Any] = {"choices": [classes[number % len(classes)]]}
        result = [{"from_name": "label", "to_name": "image", "type": "choices", "value": value}]
        body = {"result": [] if number == 1 else result, "was_cancelled": number == 1}
        made = requests.post(f"{url}/api/tasks/{task['id']}/annotations/", headers=header, json=body, timeout=30)
        assert made.ok, made.text


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_there_and_back(
    server: tuple[str, str], kind: str, make_pile: Callable[..., Pile], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, legacy = server
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", legacy if kind == "legacy" else personal_token(url, legacy))
    pile = make_pile()
    session = Session(pile.project, "ana")
    questions = session.questions()
    tasks = label_studio.tasks(pile.project, questions)
    number = label_studio_server.push(url, "six pictures", label_studio.config(pile.project.classes), tasks)
    answer_there(url, legacy, number, pile.project.classes)
    export = label_studio_server.pull(url, number)
    found, problems = imports.from_export(pile.project, export, f"project {number}")
    assert problems == []
    assert imports.added(found) == "answers.csv: 5 answers added, 0 were there already"
    assert imports.added(found) == "answers.csv: 0 answers added, 5 were there already"
    given = {one.file: (one.label, one.action) for one in answers.read()[0]}
    expected = {
        one["file"]: ("", "skip") if place == 1 else (pile.project.classes[place % 3], "label")
        for place, one in enumerate(questions[:-1])
    }
    assert given == expected
    assert session.state()["audit"]["done"] == 4


def test_a_wrong_token_is_one_line(server: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    with pytest.raises(SystemExit, match=r"^http://127\.0\.0\.1:\d+: 401: the token in LABEL_STUDIO_API_KEY is not"):
        label_studio_server.pull(server[0], 1)
