"""Bring the four IDX files of a data set to data/raw from the first source that has them; or list pictures.

IDX files are stored decompressed, because every source compresses them in its own way: so the bytes, and with them
DVC's cache, are the same wherever they came from, and one md5 proves them.
"""

import gzip
import hashlib
import io
import math
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm import tqdm

from stages import command, files, idx, params, picture_files, sources
from stages.files import atomic_write, written

RAW = Path("data/raw")


class Content(NamedTuple):
    size: int
    md5: str


FASHION_MNIST = {
    "train-images-idx3-ubyte": Content(47040016, "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
    "train-labels-idx1-ubyte": Content(60008, "9018921c3c673c538a1fc5bad174d6f9"),
    "t10k-images-idx3-ubyte": Content(7840016, "8181f5470baa50b63fa0f6fddb340f0a"),
    "t10k-labels-idx1-ubyte": Content(10008, "15d484375f8d13e6eb1aabb0c3f46965"),
}

# Where Debian's package puts the files, the official bucket, a public mirror, and the package itself through apt-get.
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SOURCES: tuple[Path | str, ...] = (
    DEBIAN_FOLDER,
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "dataset-fashion-mnist",
)

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
# A slow server never exceeds READ_SECONDS, so this limits the total time of one file, and of one command.
LIMIT_SECONDS = 300.0

BLOCK = 1 << 16
SHOWN = 4
"""Files that a message lists."""

Streams = Generator[tuple[str, io.BufferedIOBase], None, None]


class SourceError(Exception):
    """Why a source cannot give the files, in one line."""


class NotFashionMNISTError(SourceError):
    """The source has files of these names, with something else in them."""


def main() -> None:
    data = params.load().data
    named = None if data.folder is None else sources.folder(data.folder)
    if named and data.source != "fashion-mnist":
        sources.say_what_is_not_noticed(named)
    if named and data.source == "images":
        list_pictures(named, data.classes)
    else:
        fetch(named, verify=data.source == "fashion-mnist")


def list_pictures(folder: Path, classes: list[str] | None) -> None:
    """Write which pictures are in a folder, their parts and labels, and the names of the classes.

    Raises
    ------
    SystemExit
        With one line, if the folder cannot be used.
    """
    pictures, names, remarks = picture_files.listed(folder, classes)
    for remark in remarks:
        print(remark)
    files.save_json(RAW / "pictures.json", {"classes": names, "pictures": pictures})
    labelled = sum(bool(picture.label) for picture in pictures)
    print(f"{folder}: {len(pictures):,} files, {labelled:,} of them with a label, {len(names)} classes")


def fetch(folder: Path | None, verify: bool) -> None:
    """Fill data/raw with all four files or, where no source has them, leave it as it was.

    Raises
    ------
    SystemExit
        With what to do by hand; stderr says why each source failed.
    """
    named = [folder] if folder else []
    with ExitStack() as all_or_none:
        missing = {name: all_or_none.enter_context(atomic_write(RAW / name)) for name in FASHION_MNIST}
        for source in [*named, *(SOURCES if verify else ())]:
            try:
                _take(source, missing, verify)
            except SourceError as error:
                other_data = isinstance(error, NotFashionMNISTError) and source in named
                hint = "; for other data set data.source to idx" if other_data else ""
                print(f"{source}: {error}{hint}", file=sys.stderr)
            else:
                print(f"{RAW}: complete, from {source}")
                return
        raise SystemExit(
            f"No source gave all of {', '.join(FASHION_MNIST)}. Get these four files by hand, as they are or with .gz, "
            "put them in a folder and set data.folder in params.yaml to it."
        )


def _take(source: Path | str, missing: dict[str, Path], verify: bool) -> None:
    """Write what is missing. Files that prove good before the source fails are kept, and missing no more."""
    with closing(_streams(source, list(missing))) as streams:
        for name, stream in streams:
            with written(RAW / name), missing[name].open("wb") as file:
                for block in _checked(name, stream, FASHION_MNIST[name] if verify else None):
                    file.write(block)
            del missing[name]


def _checked(name: str, stream: io.BufferedIOBase, content: Content | None) -> Iterator[bytes]:
    """Yield the bytes in blocks, and stop at the first one too many, so that no gzip bomb is unpacked."""
    length, md5 = 0, hashlib.md5(usedforsecurity=False)
    block = _read(name, stream)
    size = _declared_size(name, block) if content is None else content.size
    while block and (length := length + len(block)) <= size:
        md5.update(block)
        yield block
        block = _read(name, stream)

    fault = None
    if length > size:
        fault = f"goes on after {size} bytes"
    elif length < size:
        fault = f"ends after {length} of {size} bytes"
    elif content is not None and content.md5 != md5.hexdigest():
        fault = f"has the md5 {md5.hexdigest()}"
    if fault and content is not None:
        raise NotFashionMNISTError(f"{name} is not Fashion-MNIST's: it {fault}")
    if fault:
        raise SourceError(f"{name} {fault}")


def _read(name: str, stream: io.BufferedIOBase) -> bytes:
    with _in_one_line(name):
        return stream.read(BLOCK)


def _declared_size(name: str, start: bytes) -> int:
    try:
        shape = idx.declared_shape(start)
    except ValueError as error:
        raise SourceError(f"{name} {error}") from None
    return idx.header_length(len(shape)) + math.prod(shape)


def _streams(source: Path | str, names: list[str]) -> Streams:
    """Open the files one after the other, each as a stream of decompressed bytes."""
    if isinstance(source, Path):
        return _folder(source, names)
    if source.startswith("http"):
        return _website(source, names)
    return _debian_package(source, names)


def _folder(folder: Path, names: list[str]) -> Streams:
    for name in names:
        plain, packed = folder / name, folder / f"{name}.gz"
        if not packed.is_file() and not plain.is_file():
            raise SourceError(f"{name} is not there, as it is or with .gz; {_found(name, folder)}")
        with ExitStack() as opened:
            with _in_one_line(name):
                file = opened.enter_context((packed if packed.is_file() else plain).open("rb"))
            yield name, opened.enter_context(_unpacked(name, file)) if packed.is_file() else file


def _found(name: str, folder: Path) -> str:
    """Say what is in a folder, or one below it, in place of a file: first what has nearly the same name."""
    if not folder.is_dir():
        return "there is no such folder"
    files = {str(path.relative_to(folder)): path.name for path in chain(folder.glob("*"), folder.glob("*/*"))}
    files = {path: own for path, own in sorted(files.items()) if (folder / path).is_file()}
    if not files:
        return "no file is in this folder, or one level below"
    near = get_close_matches(name, files.values(), n=1, cutoff=0.8)
    shown = [path for path, own in files.items() if own in near][:1] or list(files)[:SHOWN]
    more = f" and {len(files) - len(shown)} more" if len(files) > len(shown) else ""
    return f"found: {', '.join(shown)}{more}"


def _unpacked(name: str, file: io.BufferedReader) -> gzip.GzipFile:
    with _in_one_line(name):
        start = file.peek(BLOCK)
    if start[:2] != idx.GZIP:
        raise SourceError(f"{name}.gz {idx.start_of(start)}, which is not gzip")
    return gzip.open(file)


def _website(url: str, names: list[str]) -> Streams:
    # A host that cannot be reached is given up at once, a hiccup is not, and no server decides how long to wait.
    retries = urllib3.Retry(
        total=2,
        connect=0,
        read=1,
        status_forcelist=(429, 500, 502, 503, 504),
        backoff_factor=0.2,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    with requests.Session() as session:
        session.mount(url, HTTPAdapter(max_retries=retries))
        for name in names:
            with _in_one_line("no answer"):
                response = session.get(
                    f"{url}{name}.gz",
                    headers={"Accept-Encoding": "identity"},  # the file is compressed, its transfer need not be
                    allow_redirects=False,  # requests would read the whole body of a redirect, of any size
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    stream=True,
                )
            with response:
                if response.status_code != requests.codes.ok:
                    raise SourceError(f"{name}.gz: HTTP {response.status_code}")
                total = response.raw.length_remaining
                with (
                    tqdm(desc=name, total=total, unit="B", unit_scale=True, leave=False, disable=None) as bar,
                    _unpacked(name, io.BufferedReader(_Body(response.raw, bar.update))) as file,
                ):
                    yield name, file


class _Body(io.RawIOBase):
    """The body of a response as a file. It hands on what has arrived, so the time limit is looked at often."""

    def __init__(self, body: urllib3.BaseHTTPResponse, count: Callable[[int], object]) -> None:
        self._body, self._count = body, count
        self._end = time.monotonic() + LIMIT_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if time.monotonic() > self._end:
            raise TimeoutError(f"not whole after {LIMIT_SECONDS:g} s")
        arrived = self._body.read1(len(buffer))
        buffer[: len(arrived)] = arrived
        self._count(len(arrived))
        return len(arrived)


def _debian_package(package: str, names: list[str]) -> Streams:
    if shutil.which("apt-get") is None:
        raise SourceError("there is no apt-get on this machine")
    with TemporaryDirectory() as folder:
        try:
            _run("apt-get", "download", package, folder=folder)
        except SourceError:
            if os.geteuid() != 0:
                raise
            # A fresh container has no package lists, and only root may fetch them.
            _run("apt-get", "update", folder=folder)
            _run("apt-get", "download", package, folder=folder)
        _run("dpkg-deb", "-x", *map(str, Path(folder).glob("*.deb")), folder, folder=folder)
        yield from _folder(Path(folder, DEBIAN_FOLDER.relative_to("/")), names)


def _run(*command: str, folder: str) -> None:
    called = " ".join(command[:2])
    quiet = subprocess.DEVNULL
    try:
        with _in_one_line(called):
            subprocess.run(
                command, cwd=folder, stdin=quiet, stdout=quiet, stderr=quiet, timeout=LIMIT_SECONDS, check=True
            )
    except subprocess.CalledProcessError as error:
        raise SourceError(f"{called} ended with exit code {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{called} had not ended after {LIMIT_SECONDS:g} s") from None


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """Make a SourceError of what libraries raise, in the words of the innermost error: the layers above add no news."""
    try:
        yield
    except (OSError, EOFError, zlib.error, urllib3.exceptions.HTTPError) as error:
        inner: BaseException = error
        while below := _below(inner):
            inner = below
        raise SourceError(f"{what}: {getattr(inner, 'strerror', None) or inner}") from None


def _below(error: BaseException) -> BaseException | None:
    # urllib3 chains most errors and passes some as an argument.
    passed = (value for value in error.args if isinstance(value, BaseException))
    return error.__cause__ or error.__context__ or next(passed, None)


if __name__ == "__main__":
    command.run(main)
