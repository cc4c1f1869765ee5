"""The labelling page on this machine alone: `fewlabels label`.

Nobody else may read or write through it, not even another page in the same browser: it listens on the loopback
interface, its path has a random token, and it refuses requests to another host (as after DNS rebinding) or from another
origin. OWASP Cheat Sheet Series, "Cross-Site Request Forgery Prevention".
"""

import json
import secrets
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
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

    def state(request: Request) -> Response:
        return JSONResponse(session.state())

    def setting(request: Request) -> Response:
        return JSONResponse({"classes": session.project.classes, "pictures": len(session.project.names)})

    def picture(request: Request) -> Response:
        row = request.path_params["row"]
        if row >= len(session.project.names):
            return PlainTextResponse("no such picture", 404)
        try:
            content, kind = pictures.encoded(session.project, row, MOST)
        except UnreadableError as error:
            return PlainTextResponse(f"{session.project.names[row]}: {error}", 404)
        return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=86400, immutable"})

    def answer(wanted: dict[str, Any]) -> Any:
        rows = [wanted["row"]] if "row" in wanted else wanted["rows"]
        label = SKIPPED if wanted["label"] is None else wanted["label"]
        if not isinstance(rows, list) or not all(type(one) is int for one in [*rows, label]):
            raise ValueError("row and label are numbers")
        session.set_aside(wanted.get("wrong", []))
        session.answer(rows, label, review=bool(wanted.get("review")))
        return session.state()

    def undo(wanted: dict[str, Any]) -> Any:
        row = session.undo()
        return session.state() | {"undone": row, "file": None if row is None else session.project.names[row]}

    def likely(request: Request) -> Response:
        row = request.path_params["row"]
        return JSONResponse({"label": session.likely(row) if row < len(session.project.names) else None})

    def file(name: str) -> Route:
        return Route(f"/{name}" if name != "index.html" else "/", lambda request: FileResponse(PAGE / name))

    routes = [
        *(file(one) for one in ("index.html", "page.css", "page.js", "icon.svg")),
        Route("/setting", setting),
        Route("/state", state),
        Route("/estimate", lambda request: JSONResponse(session.estimate())),
        Route("/grid", lambda request: JSONResponse(session.grid())),
        Route("/review", lambda request: JSONResponse(session.review())),
        Route("/likely/{row:int}", likely),
        Route("/picture/{row:int}", picture),
        Route("/answer", _posted(answer), methods=["POST"]),
        Route("/undo", _posted(undo), methods=["POST"]),
    ]
    return _Guard(Starlette(routes=[Mount(f"/{token}", routes=routes)]), host)


def _posted(act: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
    """Make an endpoint of what a person does: JSON in, the state after it out, and a fault in one sentence."""

    async def endpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:
                return PlainTextResponse("too long", 413)
        try:
            wanted = _json(body)
            return JSONResponse(await run_in_threadpool(act, wanted))
        except (ValueError, KeyError, TypeError) as error:
            return PlainTextResponse(f"not understood: {error}", 400)
        except OSError as error:
            return PlainTextResponse(f"{error.filename}: {error.strerror}", 507)

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
