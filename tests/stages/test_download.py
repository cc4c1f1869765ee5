"""The download stage against real servers on this machine, each with a fault of its own, and a fake apt-get."""

import gzip
import math
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import urllib3
import yaml

from stages import download

PARAMS = Path(__file__).parents[2] / "params.yaml"
PUBLISHED = dict(download.FASHION_MNIST)
BY_HAND = "set data.folder in params.yaml"


def idx_file(*shape: int, seed: int = 0) -> bytes:
    header = bytes([0, 0, 8, len(shape)]) + b"".join(length.to_bytes(4, "big") for length in shape)
    return header + bytes((seed + 7 * i + i // 251) % 256 for i in range(math.prod(shape)))


FILES = {
    "train-images-idx3-ubyte": idx_file(300, 28, 28),
    "train-labels-idx1-ubyte": idx_file(300),
    "t10k-images-idx3-ubyte": idx_file(30, 28, 28, seed=1),
    "t10k-labels-idx1-ubyte": idx_file(30, seed=1),
}
FIRST = next(iter(FILES))
SOON = 30
"""Seconds, for a busy machine: what must not be waited for lasts a minute at least."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project whose Fashion-MNIST is FILES, which no source has yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    table = {name: download.Content(len(data), md5(data).hexdigest()) for name, data in FILES.items()}
    monkeypatch.setattr(download, "FASHION_MNIST", table)
    Path("tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    configure()
    use(monkeypatch)


def configure(directory: str | None = None, verify: bool = True) -> None:
    settings = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    settings["data"] |= {"folder": directory, "source": "fashion-mnist" if verify else "idx"}
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def use(monkeypatch: pytest.MonkeyPatch, *sources: Path | str) -> None:
    monkeypatch.setattr(download, "SOURCES", sources)


def have_little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the tests of what never ends alone: a busy machine may keep the others waiting."""
    for limit in ("CONNECT_SECONDS", "READ_SECONDS", "LIMIT_SECONDS"):
        monkeypatch.setattr(download, limit, 0.5)


def folder(name: str, files: dict[str, bytes], suffix: str = "") -> Path:
    path = Path(name)
    path.mkdir(parents=True)
    for file, data in files.items():
        (path / f"{file}{suffix}").write_bytes(gzip.compress(data) if suffix else data)
    return path


def stored() -> dict[str, bytes]:
    """Everything in data/raw, hidden and half-written files too."""
    return {path.name: path.read_bytes() for path in Path("data/raw").rglob("*")}


def fails() -> str:
    with pytest.raises(SystemExit) as end:
        download.main()
    assert isinstance(end.value.code, str), "a message, which Python turns into exit code 1"
    assert "\n" not in end.value.code
    return end.value.code


# ---- servers


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        name = self.path.removeprefix("/").removesuffix(".gz")
        self.server.asked.append(name)
        self.server.answer(self, name)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self, answer: "Answer") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[str] = []
        self.over = Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that hangs up is what many of these tests want."""


Answer = Callable[[Handler, str], None]
Serve = Callable[[Answer], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as running:

        def start(answer: Answer) -> Server:
            server = running.enter_context(Server(answer))
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            running.callback(server.shutdown)
            running.callback(server.over.set)
            return server

        yield start


def send(handler: Handler, body: bytes, length: int | None = None, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


def well(handler: Handler, name: str) -> None:
    send(handler, gzip.compress(FILES[name]))


def without_length(handler: Handler, name: str) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(gzip.compress(FILES[name]))


def compressing_transfer(handler: Handler, name: str) -> None:
    body = gzip.compress(FILES[name])
    if "gzip" in handler.headers["Accept-Encoding"]:
        send(handler, gzip.compress(body), Content_Encoding="gzip")
    else:
        send(handler, body)


def not_there(handler: Handler, name: str) -> None:
    send(handler, name.encode(), status=404)


def moved(handler: Handler, name: str) -> None:
    send(handler, b"", status=301, Location=f"/elsewhere/{name}.gz")


def always_busy(handler: Handler, name: str) -> None:
    send(handler, name.encode(), status=503, Retry_After="3600")


def cut_transfer(handler: Handler, name: str) -> None:
    body = gzip.compress(FILES[name])
    send(handler, body[:-100], length=len(body))


def cut_file(handler: Handler, name: str) -> None:
    send(handler, gzip.compress(FILES[name])[:-100])


def short_file(handler: Handler, name: str) -> None:
    send(handler, gzip.compress(FILES[name][:-1]))


def long_file(handler: Handler, name: str) -> None:
    send(handler, gzip.compress(FILES[name] + b"\0"))


def other_bytes(handler: Handler, name: str) -> None:
    send(handler, gzip.compress(FILES[name][:-1] + b"\xff"))


def damaged_file(handler: Handler, name: str) -> None:
    body = bytearray(gzip.compress(FILES[name]))
    body[-8] ^= 1  # in the CRC
    send(handler, bytes(body))


def web_page(handler: Handler, _: str) -> None:
    send(handler, b"<html>Please log in to this network</html>")


def nonsense_in_gzip(handler: Handler, name: str) -> None:
    send(handler, gzip.compress(FILES[name])[:10] + b"\xff" * 50)


def hang_up(handler: Handler, _: str) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def silence(handler: Handler, _: str) -> None:
    handler.server.over.wait(60)


def stall(handler: Handler, name: str) -> None:
    body = gzip.compress(FILES[name])
    send(handler, body[:20], length=len(body))
    handler.server.over.wait(60)


def trickle(handler: Handler, _: str) -> None:
    """Send a gzip header whose file name never ends, fast enough for every read."""
    send(handler, b"\x1f\x8b\x08\x08" + bytes(6), length=1_000_000)
    for _ in range(1200):
        if not handler.server.over.wait(0.05):
            handler.wfile.write(b"n")


BOMB = gzip.compress(bytes(64 << 20), compresslevel=1)


def bomb(handler: Handler, _: str) -> None:
    send(handler, BOMB)


FAULTS: dict[Answer, str] = {
    not_there: f"{FIRST}.gz: HTTP 404",
    moved: f"{FIRST}.gz: HTTP 301",
    always_busy: f"{FIRST}.gz: HTTP 503",
    cut_transfer: rf"{FIRST}: IncompleteRead\(.*",
    cut_file: f"{FIRST}: Compressed file ended before the end-of-stream marker was reached",
    short_file: f"{FIRST} is not Fashion-MNIST's: it ends after 235215 of 235216 bytes",
    long_file: f"{FIRST} is not Fashion-MNIST's: it goes on after 235216 bytes",
    other_bytes: f"{FIRST} is not Fashion-MNIST's: it has the md5 [0-9a-f]{{32}}",
    damaged_file: f"{FIRST}: CRC check failed .*",
    web_page: rf"{FIRST}.gz is a web page, which starts with '<html>', which is not gzip",
    nonsense_in_gzip: f"{FIRST}: Error -3 while decompressing data: .*",
    hang_up: "no answer: Remote end closed connection without response",
    silence: "no answer: timed out",
    stall: f"{FIRST}: timed out",
    trickle: f"{FIRST}: not whole after 0.5 s",
    bomb: f"{FIRST} is not Fashion-MNIST's: it goes on after 235216 bytes",
}


ENDLESS = (silence, stall, trickle)
TRIES = {always_busy: 3, hang_up: 2, silence: 2}


# ---- what works


@pytest.mark.parametrize("answer", [well, without_length, compressing_transfer])
def test_files_from_a_server_are_stored_decompressed(
    answer: Answer, serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(answer)
    use(monkeypatch, server.url)
    download.main()
    assert stored() == FILES
    assert server.asked == list(FILES)
    out, err = capsys.readouterr()
    assert out == f"data/raw: complete, from {server.url}\n"
    assert err == "", "no progress bar where there is no terminal"


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("verify", [True, False])
def test_the_named_directory_is_asked_first(
    suffix: str, verify: bool, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(well)
    use(monkeypatch, server.url)
    configure(str(folder("mine", FILES, suffix)), verify)
    download.main()
    assert stored() == FILES
    assert server.asked == []


def test_the_named_directory_may_start_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    folder("mine", FILES)
    monkeypatch.setenv("HOME", str(Path.cwd()))
    configure("~/mine")
    download.main()
    assert stored() == FILES


def test_the_folder_of_the_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, folder("debian", FILES, ".gz"))
    download.main()
    assert stored() == FILES


def test_a_server_that_hiccups_is_asked_again_and_does_not_say_when(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy_at_first(handler: Handler, name: str) -> None:
        (always_busy if handler.server.asked == [name] else well)(handler, name)

    server = serve(busy_at_first)
    use(monkeypatch, server.url)
    start = time.monotonic()
    download.main()
    assert time.monotonic() - start < SOON
    assert stored() == FILES
    assert server.asked == [FIRST, *FILES]


# ---- what fails


@pytest.mark.parametrize("answer", FAULTS, ids=lambda answer: answer.__name__)
def test_a_fault_is_one_line_and_the_next_source_is_asked(
    answer: Answer, serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if answer in ENDLESS:
        have_little_patience(monkeypatch)
    faulty, good = serve(answer), serve(well)
    use(monkeypatch, faulty.url, good.url)
    start = time.monotonic()
    download.main()
    assert time.monotonic() - start < SOON
    assert re.fullmatch(re.escape(faulty.url) + ": " + FAULTS[answer] + "\n", capsys.readouterr().err)
    assert faulty.asked == [FIRST] * TRIES.get(answer, 1), "a source that failed is asked for no further file"
    assert stored() == FILES


@pytest.mark.parametrize("answer", FAULTS, ids=lambda answer: answer.__name__)
def test_a_fault_leaves_nothing_behind(
    answer: Answer, serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if answer in ENDLESS:
        have_little_patience(monkeypatch)
    use(monkeypatch, serve(answer).url)
    message = fails()
    assert BY_HAND in message
    assert all(name in message for name in FILES)
    assert stored() == {}
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("packed_in", ["server", "folder"])
def test_a_bomb_is_not_unpacked(packed_in: str, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    inflated: list[int] = []
    read = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        data = read(self, size)
        inflated.append(len(data))
        return data

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    if packed_in == "server":
        use(monkeypatch, serve(bomb).url)
    else:
        use(monkeypatch, folder("bomb", {f"{FIRST}.gz": BOMB}))
    fails()
    assert max(inflated) <= download.BLOCK
    assert len(FILES[FIRST]) < sum(inflated) <= len(FILES[FIRST]) + download.BLOCK


def test_a_dead_host_is_tried_once_for_all_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = counted_connections(monkeypatch)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: it refuses, and no one else can take it
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        use(monkeypatch, url)
        start = time.monotonic()
        fails()
    assert time.monotonic() - start < SOON
    assert len(tries) == 1
    assert capsys.readouterr().err == f"{url}: no answer: Connection refused\n"
    assert stored() == {}


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog drops connections on Linux")
def test_a_host_that_does_not_let_in_is_tried_once_for_all_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    have_little_patience(monkeypatch)
    tries = counted_connections(monkeypatch)
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        use(monkeypatch, url)
        start = time.monotonic()
        fails()
    assert time.monotonic() - start < SOON
    assert len(tries) == 1
    assert capsys.readouterr().err == f"{url}: no answer: timed out\n"


def counted_connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    tries: list[str] = []
    connect = urllib3.connection.HTTPConnection.connect

    def counted(self: urllib3.connection.HTTPConnection) -> None:
        tries.append(self.host)
        connect(self)

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", counted)
    return tries


def test_sources_fail_in_order_each_with_a_line(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third, fourth = serve(not_there), serve(other_bytes), serve(well), serve(well)
    configure("mine")
    use(monkeypatch, Path("debian"), first.url, second.url, third.url, fourth.url)
    download.main()
    out, err = capsys.readouterr()
    wanted = [
        f"mine: {FIRST} is not there, as it is or with .gz; there is no such folder",
        f"debian: {FIRST} is not there, as it is or with .gz; there is no such folder",
        f"{first.url}: {FAULTS[not_there]}",
        f"{second.url}: {FAULTS[other_bytes]}",
    ]
    lines = err.splitlines()
    assert len(lines) == len(wanted)
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(wanted, lines, strict=True))
    assert out == f"data/raw: complete, from {third.url}\n"
    assert fourth.asked == []


def test_the_next_source_is_asked_for_the_missing_files_only(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(FILES)

    def first_two(handler: Handler, name: str) -> None:
        (well if name in names[:2] else not_there)(handler, name)

    half, other = serve(first_two), serve(well)
    use(monkeypatch, half.url, other.url)
    download.main()
    assert half.asked == names[:3]
    assert other.asked == names[2:]
    assert stored() == FILES


def test_all_four_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, folder("half", {FIRST: FILES[FIRST]}))
    fails()
    assert stored() == {}

    before = dict.fromkeys(FILES, b"from an earlier run")
    for name, data in before.items():
        Path("data/raw", name).write_bytes(data)
    fails()
    assert stored() == before


def test_other_data_in_the_named_directory_is_told_from_fashion_mnist(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, serve(other_bytes).url)
    configure(str(folder("mnist", {name: data[::-1] for name, data in FILES.items()})))
    fails()
    named, server = capsys.readouterr().err.splitlines()
    digest = md5(FILES[FIRST][::-1]).hexdigest()
    hint = "; for other data set data.source to idx"
    assert named == f"mnist: {FIRST} is not Fashion-MNIST's: it has the md5 {digest}{hint}"
    assert "data.source" not in server


def test_a_full_disk_is_no_fault_of_a_source(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def on_a_full_disk(_: Path) -> Iterator[Path]:
        yield Path("/dev/full")

    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    monkeypatch.setattr(download, "atomic_write", on_a_full_disk)
    first, second = serve(well), serve(well)
    use(monkeypatch, first.url, second.url)
    assert fails() == f"data/raw/{FIRST}: No space left on device"
    assert second.asked == []


# ---- what was found beside what was looked for


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, "no file is in this folder, or one level below"),
        ({"train-images.idx3-ubyte": b"", "a.txt": b""}, "found: train-images.idx3-ubyte and 1 more"),
        ({"train-images.idx3-ubyte.gz": b""}, "found: train-images.idx3-ubyte.gz"),
        ({"raw/train-images-idx3-ubyte": b"", "readme": b""}, "found: raw/train-images-idx3-ubyte and 1 more"),
        ({"a/b/train-images-idx3-ubyte": b""}, "no file is in this folder, or one level below"),
        (dict.fromkeys("abcdef", b""), "found: a, b, c, d and 2 more"),
    ],
)
def test_a_missing_file_comes_with_what_is_there(
    files: dict[str, bytes], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in files.items():
        path = Path("mine", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    Path("mine").mkdir(exist_ok=True)
    configure("mine", verify=False)
    fails()
    assert capsys.readouterr().err == f"mine: {FIRST} is not there, as it is or with .gz; {found}\n"
    assert stored() == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes([0, 0, 8, 3]), "starts with 00 00 08 03"),
        (b"<!DOCTYPE html>\n<title>404", "is a web page, which starts with '<!DOCTYPE html>'"),
        (b"PK\x03\x04...", "is a zip archive"),
    ],
)
def test_a_gz_that_is_none_is_named(data: bytes, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder("mine", {})
    Path("mine", f"{FIRST}.gz").write_bytes(data)
    configure("mine", verify=False)
    fails()
    assert capsys.readouterr().err == f"mine: {FIRST}.gz {message}, which is not gzip\n"


# ---- other data of the same format

KIN = {
    "train-images-idx3-ubyte": idx_file(5, 8, 9),
    "train-labels-idx1-ubyte": idx_file(5),
    "t10k-images-idx3-ubyte": idx_file(2, 8, 9),
    "t10k-labels-idx1-ubyte": idx_file(2),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_other_data_is_taken_where_nothing_is_verified(suffix: str) -> None:
    configure(str(folder("kin", KIN, suffix)), verify=False)
    download.main()
    assert stored() == KIN


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (KIN[FIRST][:-1], " ends after 375 of 376 bytes"),
        (KIN[FIRST] + b"\0", " goes on after 376 bytes"),
        (KIN[FIRST] + bytes(1_000_000), " goes on after 376 bytes"),
        (b"P5" + KIN[FIRST], " starts with 50 35 00 00, which is not an IDX file of unsigned bytes"),
        (b"", " is empty, which is not an IDX file of unsigned bytes"),
        (KIN[FIRST][:9], " ends after 9 bytes, within its header"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_other_data_must_be_as_long_as_its_header_says(
    suffix: str,
    data: bytes,
    fault: str,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = serve(well)
    use(monkeypatch, server.url)
    configure(str(folder("kin", KIN | {FIRST: data}, suffix)), verify=False)
    assert BY_HAND in fails()
    assert capsys.readouterr().err == f"kin: {FIRST}{fault}\n"
    assert stored() == {}
    assert server.asked == [], "the data is taken from the directory alone"


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"not gzip at all", r"\.gz starts with 6e 6f 74 20, which is not gzip"),
        (gzip.compress(FILES[FIRST])[:-9], ": Compressed file ended before .*"),
        (b"", r"\.gz is empty, which is not gzip"),
    ],
)
def test_a_bad_gzip_file_in_the_named_directory(
    data: bytes, fault: str, verify: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = folder("mine", FILES, ".gz")
    (mine / f"{FIRST}.gz").write_bytes(data)
    configure(str(mine), verify)
    fails()
    assert re.fullmatch(f"mine: {FIRST}{fault}\n", capsys.readouterr().err)
    assert stored() == {}


def test_nothing_verified_needs_a_directory(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(well)
    use(monkeypatch, server.url)
    configure(None, verify=False)
    message = fails()
    assert message == "params.yaml: data: source idx needs a folder, which is null"
    assert server.asked == []


# ---- the Debian package through apt-get


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put fakes where PATH points, and nothing else; each notes its arguments in the file that is returned."""
    use(monkeypatch, "dataset-fashion-mnist")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    folder("package/usr/share/datasets/fashion-mnist", FILES, ".gz")

    def install(apt_get: str, dpkg_deb: str = f'[ -f "$2" ] && cp -r {tmp_path}/package/. "$3"') -> Path:
        for name, body in {"apt-get": apt_get, "dpkg-deb": dpkg_deb}.items():
            script = tmp_path / "bin" / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\necho {name} $1 >> {tmp_path}/called\n{body}\n")
            script.chmod(0o755)
        return tmp_path / "called"

    return install


FETCH = '[ "$1 $2" = "download dataset-fashion-mnist" ] && touch dataset.deb'
REFUSE = "echo E: Failed to fetch from registry.example; echo E: registry.example >&2; exit 100"


def test_the_package_is_unpacked_without_root(commands: Callable[..., Path]) -> None:
    called = commands(FETCH)
    download.main()
    assert stored() == FILES
    assert called.read_text().splitlines() == ["apt-get download", "dpkg-deb -x"]
    assert list(Path("tmp").iterdir()) == []


def test_root_refreshes_the_package_lists_once(
    commands: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    lists = tmp_path / "lists"
    called = commands(f'if [ "$1" = update ]; then touch {lists}; elif [ -f {lists} ]; then {FETCH}; else {REFUSE}; fi')
    download.main()
    assert stored() == FILES
    assert called.read_text().splitlines() == ["apt-get download", "apt-get update", "apt-get download", "dpkg-deb -x"]


@pytest.mark.parametrize(
    ("root", "apt_get", "dpkg_deb", "fault", "steps"),
    [
        (False, REFUSE, "", "apt-get download ended with exit code 100", 1),
        (True, REFUSE, "", "apt-get update ended with exit code 100", 2),
        (True, f'[ "$1" = update ] || {{ {REFUSE}; }}', "", "apt-get download ended with exit code 100", 3),
        (False, "exec sleep 60", "", "apt-get download had not ended after 0.5 s", 1),
        (False, FETCH, "echo registry.example >&2; exit 2", "dpkg-deb -x ended with exit code 2", 2),
        (False, FETCH, "exit 0", f"{FIRST} is not there, as it is or with .gz; there is no such folder", 2),
    ],
)
def test_apt_get_fails_in_one_line_that_repeats_none_of_its_output(
    root: bool,
    apt_get: str,
    dpkg_deb: str,
    fault: str,
    steps: int,
    commands: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if "sleep" in apt_get:
        have_little_patience(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    called = commands(apt_get, dpkg_deb)
    start = time.monotonic()
    message = fails()
    assert time.monotonic() - start < SOON
    out, err = capfd.readouterr()
    assert err == f"dataset-fashion-mnist: {fault}\n"
    assert "registry.example" not in message + out
    assert len(called.read_text().splitlines()) == steps
    assert stored() == {}
    assert list(Path("tmp").iterdir()) == []


def test_a_machine_without_apt_get(commands: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    called = commands(FETCH)
    Path("bin/apt-get").unlink()
    assert BY_HAND in fails()
    assert capsys.readouterr().err == "dataset-fashion-mnist: there is no apt-get on this machine\n"
    assert not called.exists()


# ---- the real thing


def test_the_published_sizes_are_those_of_the_published_shapes() -> None:
    assert [content.size for content in PUBLISHED.values()] == [
        16 + 60_000 * 28 * 28,
        8 + 60_000,
        16 + 10_000 * 28 * 28,
        8 + 10_000,
    ]


@pytest.mark.skipif(not download.DEBIAN_FOLDER.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_published_files_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FASHION_MNIST", PUBLISHED)
    use(monkeypatch, download.DEBIAN_FOLDER)
    download.main()
    assert {name: len(data) for name, data in stored().items()} == {name: c.size for name, c in PUBLISHED.items()}
