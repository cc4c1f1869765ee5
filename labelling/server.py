"""The labelling page on this machine alone: `fewlabels label`.

Nobody else may read or write through it, not even another page in the same browser: it listens on the loopback
interface, its path has a random token, and it refuses requests to another host (as after DNS rebinding) or from another
origin. OWASP Cheat Sheet Series, "Cross-Site Request Forgery Prevention".
"""

import json
import re
import secrets
import socket
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labelling import pictures
from labelling.session import Session
from labelling.verdicts import SKIPPED
from stages.reading import UnreadableError

ADDRESS = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
MOST = 1024
"""Height and width of a picture on the page at most, in pixels."""
LONGEST = 65_536
"""Bytes of a request at most."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def run(session: Session, port: int, browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    session : Session
    port : int
        0 for any that is free.
    browser : bool
        Whether to open a browser.

    Raises
    ------
    SystemExit
        With one line, if the port is taken.
    """
    with listening(port) as listener:
        host = f"{ADDRESS}:{listener.getsockname()[1]}"
        token = secrets.token_urlsafe(24)
        url = f"http://{host}/{token}/"
        print(f"{session.who} labels at {url} (Ctrl-C ends it; every answer is in {session.path})", flush=True)
        if browser:
            webbrowser.open(url)
        config = uvicorn.Config(app(session, token, host), log_level="warning", access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


def listening(port: int) -> socket.socket:
    """Open a socket on the loopback interface.

    Parameters
    ----------
    port : int
        0 for any that is free.

    Returns
    -------
    socket
        Said to be TCP, or asyncio would not send small answers at once.

    Raises
    ------
    SystemExit
        With one line, if the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
        listener.listen()  # from now on a browser waits for an answer
    except OSError as error:
        listener.close()
        raise SystemExit(f"--port: {port}: {error.strerror}") from None
    return listener


def app(session: Session, token: str, host: str) -> ASGIApp:
    """Build the application.

    Parameters
    ----------
    session : Session
    token : str
        The first part of every path.
    host : str
        Address and port, as browsers send them.

    Returns
    -------
    ASGI application
    """
    count = len(session.project.names)

    def picture(request: Request) -> Response:
        row = _row(request, count)
        try:
            content, kind = pictures.encoded(session.project, row, MOST)
        except UnreadableError as error:
            raise HTTPException(404, f"{session.project.names[row]}: {error}") from None
        return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=86400, immutable"})

    def answer(wanted: dict[str, Any]) -> Any:
        rows = [wanted["row"]] if "row" in wanted else wanted["rows"]
        label, wrong = SKIPPED if wanted["label"] is None else wanted["label"], wanted.get("wrong", [])
        for numbers in (rows, wrong, [label]):
            if not isinstance(numbers, list) or not all(type(one) is int for one in numbers):
                raise ValueError("row and label are numbers")
        session.answer(rows, label, review=bool(wanted.get("review")))
        session.set_aside(wrong)
        return session.state()

    def undo(wanted: dict[str, Any]) -> Any:
        row = session.undo()
        return session.state() | {"undone": row, "file": None if row is None else session.project.names[row]}

    def file(name: str) -> Route:
        return Route(f"/{name}" if name != "index.html" else "/", lambda request: FileResponse(PAGE / name))

    routes = [
        *(file(one) for one in ("index.html", "page.css", "page.js", "icon.svg")),
        Route("/setting", _named(lambda request: {"classes": session.project.classes})),
        Route("/state", _named(lambda request: session.state())),
        Route("/estimate", _named(lambda request: session.estimate())),
        Route("/grid", _named(lambda request: session.grid())),
        Route("/review", _named(lambda request: session.review())),
        Route("/likely/{row}", _named(lambda request: {"label": session.likely(_row(request, count))})),
        Route("/picture/{row}", _named(picture)),
        Route("/answer", _posted(answer), methods=["POST"]),
        Route("/undo", _posted(undo), methods=["POST"]),
    ]
    return _Guard(Starlette(routes=[Mount(f"/{token}", routes=routes)]), host)


def _row(request: Request, count: int) -> int:
    """Read the row of a path."""
    text = request.path_params["row"]
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) >= count:
        raise HTTPException(404, "no such picture")
    return int(text)


def _done(act: Callable[[Any], Any], given: Any) -> Response:
    """Answer with what an action gives, or with a fault of the files in one sentence."""
    try:
        found = act(given)
    except OSError as error:
        raise HTTPException(507, f"{error.filename or 'not saved'}: {error.strerror or error}") from None
    except SystemExit as error:
        raise HTTPException(503, str(error)) from None
    return found if isinstance(found, Response) else JSONResponse(found)


def _named(act: Callable[[Request], Any]) -> Callable[[Request], Response]:
    """Make an endpoint of a question."""
    return partial(_done, act)


def _posted(act: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
    """Make an endpoint of what a person does: JSON in, the state after it out."""

    def understood(body: bytes) -> Response:
        try:
            return _done(act, _json(body))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise HTTPException(400, f"not understood: {error}") from None

    async def endpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:
                raise HTTPException(413, "too long")
        return await run_in_threadpool(understood, body)

    return endpoint


def _json(body: bytes) -> dict[str, Any]:
    wanted = json.loads(body)
    if not isinstance(wanted, dict):
        raise ValueError("no object")
    return wanted


class _Guard:
    """Refuse what is not from the page itself, and add the headers that keep it apart from other pages."""

    def __init__(self, inner: ASGIApp, host: str) -> None:
        self.inner, self.host = inner, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name for name, _ in message["headers"]}
                added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(one for one in added if one[0] not in named)]
            await send(message)

        refusal = self._refusal(scope)
        await (PlainTextResponse(*refusal) if refusal else self.inner)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> tuple[str, int] | None:
        if scope["type"] != "http":
            return "only HTTP", 400
        given: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            given.setdefault(name, []).append(value)
        if given.get(b"host") != [self.host.encode()]:
            return "another host", 421
        if scope["method"] in ("GET", "HEAD"):
            return None
        if given.get(b"origin") != [f"http://{self.host}".encode()]:
            return "another origin", 403
        if given.get(b"content-type") != [b"application/json"]:
            return "only JSON", 415
        return None
