"""A Label Studio server by plain HTTP: a project for the tasks of a round, and its export when people have answered.

The token is taken from the environment and goes nowhere but into the header of a request. Both kinds work: a personal
access token, which is changed for one that holds for five minutes, and a legacy one, where the server allows these.
"""

import os
from collections.abc import Sequence
from typing import Any

import requests

TOKEN = "LABEL_STUDIO_API_KEY"  # noqa: S105 - the name of a variable
SECONDS = 120
"""That a request may take."""


def push(url: str, title: str, config: str, tasks: Sequence[dict[str, Any]]) -> int:
    """Make a project and send tasks to it.

    Parameters
    ----------
    url : str
        Of the server.
    title : str
        3 to 50 characters.
    config : str
        The labelling interface.
    tasks : sequence of dict

    Returns
    -------
    int
        The number of the project.

    Raises
    ------
    SystemExit
        With one line, if there is no token, or the server is not there or refuses.
    """
    server = _Server(url)
    wanted = {"title": title, "label_config": config, "sampling": "Sequential sampling"}
    project = int(server.call("POST", "/api/projects/", json=wanted)["id"])
    server.call("POST", f"/api/projects/{project}/import", json=list(tasks))
    return project


def pull(url: str, project: int) -> Any:
    """Fetch the JSON export of a project; raises as `push`.

    Parameters
    ----------
    url : str
    project : int

    Returns
    -------
    list of dict
        The tasks that somebody has answered.
    """
    return _Server(url).call("GET", f"/api/projects/{project}/export", params={"exportType": "JSON"})


class _Server:
    """A server, with whatever its token needs."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        token = os.environ.get(TOKEN, "").strip()
        if not token:
            raise SystemExit(f"{TOKEN}: not set; it holds the access token of your account in Label Studio")
        self.header = f"Token {token}"
        if "." in token:  # a personal access token, with which requests themselves are refused
            self.header = ""
            self.header = f"Bearer {self.call('POST', '/api/token/refresh', json={'refresh': token})['access']}"

    def call(self, method: str, path: str, **how: Any) -> Any:
        headers = {"Authorization": self.header} if self.header else {}
        try:
            answer = requests.request(method, self.url + path, headers=headers, timeout=SECONDS, **how)
        except requests.RequestException as error:
            raise SystemExit(f"{self.url}: no answer: {type(error).__name__}") from None
        if answer.status_code == 401:
            raise SystemExit(f"{self.url}: {_why_not(answer.text)}")
        if not answer.ok:
            raise SystemExit(f"{self.url}{path}: {answer.status_code}: {' '.join(answer.text.split())[:200]}")
        try:
            return answer.json()
        except ValueError:
            raise SystemExit(f"{self.url}{path}: no JSON: is this a Label Studio server?") from None


def _why_not(text: str) -> str:
    if "legacy" in text.lower():
        return (
            f"401: this server has switched legacy tokens off: put a personal access token into {TOKEN}, or allow "
            "legacy ones in its settings"
        )
    return f"401: the token in {TOKEN} is not known to it, has expired, or is of another server"
