"""A pool of rows that may be more than memory holds: an array, or a folder of files with a chunk of rows in each.

What looks at all rows takes a chunk at a time, see `fewlabels.run`. A chunk has a multiple of the 512 and 1,024 rows
that the methods work on at once, so that each row gets the very bits that it gets from the whole array.
"""

import mmap
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 20_480
"""Rows in a chunk: 16 MB of images of 28 x 28 pixels, 25 MB of their features."""
DIGEST = "digest"
"""The file beside the rows of a result that says what they were computed from, and by which code."""
MAPPED = 2
"""Files that stay mapped, of those that rows were last taken from: the next rows are often in one of them."""
STEP, CHUNK_BYTES = 1024, 2**25
"""Rows that a chunk is a multiple of, and the bytes that it has at most, where `STEP` rows are no more."""
_OF_A_POOL = re.compile(rf"\d+\.npy|{DIGEST}|\..*")


class Pool:
    """Rows of numbers, in memory or on disk, read a chunk at a time.

    Parameters
    ----------
    source : array-like, str or Path
        An array; a .npy file, which is mapped into memory; or a folder of .npy files as `write` makes them.
    chunk : int, optional
        Rows in a chunk of an array or of one file, as from `chunk_of` if not given; a folder has as many as its files.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy dtype
    chunk : int
        Rows of each chunk but the last.
    chunks : int
        How many there are: one at least, which is empty where there are no rows.
    path : Path or None
        The file or folder; None for what is only in memory.

    Raises
    ------
    OSError
        If a folder holds no rows, or a file in its middle is missing or of another shape.

    Examples
    --------
    >>> pool = Pool(np.arange(10).reshape(5, 2), chunk=2)
    >>> len(pool), pool.chunks, pool.rows(2)
    (5, 3, slice(4, 5, None))
    >>> pool.read(1)
    array([[4, 5],
           [6, 7]])
    >>> pool.take([4, 0])
    array([[8, 9],
           [0, 1]])
    """

    def __init__(self, source: ArrayLike | str | Path, chunk: int | None = None) -> None:
        self.path: Path | None = None
        self._array: NDArray[Any] | None = None
        if isinstance(source, (str, Path)):
            self.path = Path(source).absolute()
            if not self.path.is_dir():
                self._array = _loaded(self.path, mmap_mode="r")
        else:
            self._array = np.asanyarray(source)
            if isinstance(self._array, np.memmap) and _is_a_whole_file(self._array):
                self.path = Path(str(self._array.filename))
        if self._array is not None:
            self.shape, self.dtype = self._array.shape, self._array.dtype
            self.chunk = chunk or chunk_of(self.row_bytes)
        else:
            self._measure()
        self.chunks = max(1, -(-len(self) // self.chunk))

    def _measure(self) -> None:
        """Find shape and type of a folder by its first and its last file."""
        names = sorted((path.name for path in self._folder.glob("[0-9]*.npy")), key=lambda name: (len(name), name))
        for number in range(max(1, len(names))):
            if names[number : number + 1] != [_name(number)]:
                raise OSError(f"{self.path}: {_name(number)} is missing; it has {len(names)} files of a pool")
        first, last = (_loaded(self._folder / name, mmap_mode="r") for name in (names[0], names[-1]))
        if first.shape[1:] != last.shape[1:] or first.dtype != last.dtype or len(last) > len(first):
            raise OSError(f"{self._folder / names[-1]}: {last.dtype} {last.shape} after {first.dtype} {first.shape}")
        self.dtype, self.chunk = first.dtype, max(1, len(first))
        self.shape = (len(first) * (len(names) - 1) + len(last), *first.shape[1:])

    @property
    def _folder(self) -> Path:
        assert self.path is not None  # noqa: S101 — an array has none, and never asks
        return self.path

    def __len__(self) -> int:
        return int(self.shape[0])

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(self.dtype.itemsize * np.prod(self.shape[1:]))

    @property
    def in_memory(self) -> bool:
        """Whether it is one array, in memory or mapped into it."""
        return self._array is not None

    def rows(self, number: int) -> slice:
        """Give the rows of a chunk.

        Parameters
        ----------
        number : int
            Of the chunk, from 0.

        Returns
        -------
        slice
        """
        return slice(number * self.chunk, min((number + 1) * self.chunk, len(self)))

    def read(self, number: int) -> NDArray[Any]:
        """Read a chunk.

        Parameters
        ----------
        number : int
            Of the chunk, from 0.

        Returns
        -------
        ndarray, shape (at most chunk, …)

        Raises
        ------
        OSError
            If its file is missing or cut short, or has another shape or type than its place asks for.
        """
        if self._array is not None:
            return self._array[self.rows(number)]
        return self._file(number, _loaded)

    def _file(self, number: int, load: Callable[[Path], NDArray[Any]]) -> NDArray[Any]:
        rows, path = self.rows(number), self._folder / _name(number)
        values = load(path)
        expected = (rows.stop - rows.start, *self.shape[1:])
        if values.shape != expected or values.dtype != self.dtype:
            raise OSError(f"{path}: {values.dtype} {values.shape}, not {self.dtype} {expected}")
        return values

    def mapped(self, number: int) -> NDArray[Any]:
        """Map a chunk into memory: only what is looked at is read.

        Parameters
        ----------
        number : int
            Of the chunk, from 0.

        Returns
        -------
        ndarray, shape (at most chunk, …)
        """
        if self._array is not None:
            return self._array[self.rows(number)]
        return self._file(number, _mapped)

    def take(self, rows: ArrayLike) -> NDArray[Any]:
        """Read single rows.

        Parameters
        ----------
        rows : array-like of int, shape (m,)
            In any order, also repeated.

        Returns
        -------
        ndarray, shape (m, …)
            In the order asked for.

        Raises
        ------
        ValueError
            If there is no such row.
        OSError
            As `read` does.
        """
        wanted = np.asarray(rows, np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise ValueError(f"rows {wanted.min()} to {wanted.max()} of a pool that has {len(self)}")
        if self._array is not None:
            return np.asarray(self._array[wanted])
        numbers = wanted // self.chunk
        if len(numbers) and (numbers == numbers[0]).all():
            of_one: NDArray[Any] = self._file(int(numbers[0]), _kept_mapped)[wanted - numbers[0] * self.chunk]
            return of_one
        taken = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        order = np.argsort(wanted, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []:
            number = int(numbers[places[0]])
            taken[places] = self.mapped(number)[wanted[places] - number * self.chunk]
        return taken

    def array(self) -> NDArray[Any]:
        """Read all rows.

        Returns
        -------
        ndarray
            What the pool was made from, where that is an array.
        """
        if self._array is not None:
            return self._array
        values = np.empty(self.shape, self.dtype)
        for number in range(self.chunks):
            values[self.rows(number)] = self.read(number)
        return values

    def files(self) -> list[Path]:
        """List the files that hold the rows, in their order.

        Returns
        -------
        list of Path
            None of an array that is only in memory.
        """
        if self.path is None:
            return []
        return [self.path] if self.in_memory else [self.path / _name(number) for number in range(self.chunks)]

    def remove(self) -> None:
        """Delete the files of a folder that nobody needs any more; what is one array stays as it is."""
        if not self.in_memory:
            _mapping.cache_clear()
            shutil.rmtree(self._folder, ignore_errors=True)  # NFS keeps files that a worker has still open

    def identity(self) -> tuple[Any, ...]:
        """Say what tells this pool from another, or from its own earlier state: files by path, size and time.

        Returns
        -------
        tuple
            Of what can be compared and hashed; an array that is only in memory is no file, and is refused.

        Raises
        ------
        ValueError
            If the pool is only in memory.
        """
        if self.path is None:
            raise ValueError("a pool in memory has no identity")
        stats = [file.stat() for file in self.files()]
        return (str(self.path), self.chunk, *((stat.st_size, stat.st_mtime_ns) for stat in stats))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a file or folder as its path: another process that sees the same folder opens it."""
        if self.path is None:
            return Pool, (self._array, self.chunk)
        return _opened, (self.path, self.chunk, self.identity())


Rows = NDArray[Any] | Pool
"""What functions over all rows take: an array, or a pool. They return the same kind."""
Kind = TypeVar("Kind", bound=NDArray[Any] | Pool)
"""`Rows`, where the type says that the same kind is returned."""


def as_pool(rows: ArrayLike | Pool) -> Pool:
    """Take an array as a pool.

    Parameters
    ----------
    rows : array-like or Pool

    Returns
    -------
    Pool
        What was given, if it is one.

    Examples
    --------
    >>> as_pool([[1], [2]]).shape
    (2, 1)
    """
    return rows if isinstance(rows, Pool) else Pool(rows)


def chunk_of(row_bytes: int) -> int:
    """Choose how many rows a chunk has.

    Parameters
    ----------
    row_bytes : int
        Of one row.

    Returns
    -------
    int
        A multiple of 1,024, at most 20,480.

    Examples
    --------
    >>> chunk_of(28 * 28), chunk_of(96 * 96 * 3)
    (20480, 1024)
    """
    return min(CHUNK, max(1, CHUNK_BYTES // max(1, row_bytes) // STEP) * STEP)


def write(folder: Path, number: int, values: NDArray[Any]) -> None:
    """Write the file of one chunk: beside its place, then renamed, so that no half of it is ever read.

    Parameters
    ----------
    folder : Path
        Made if need be.
    number : int
        Of the chunk, from 0.
    values : ndarray

    Raises
    ------
    OSError
        If it cannot be written, such as on a full disk; the file is named.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder), 0, np.array([1, 2]))
    ...     Pool(folder).array()
    array([1, 2])
    """
    save(folder / _name(number), values)


def save(path: Path, values: NDArray[Any]) -> None:
    """Write an array to a .npy file, as `write` does that of a chunk.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    values : ndarray

    Raises
    ------
    OSError
        If it cannot be written, such as on a full disk; the file is named.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(Path(folder, "some.npy"), np.array([1, 2]))
    ...     Pool(Path(folder, "some.npy")).array().tolist()
    [1, 2]
    """
    with whole_file(path) as file:
        np.save(file, values)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write to, beside its place; it is renamed if the block succeeds, and removed if it raises.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.

    Yields
    ------
    file
        For bytes.

    Raises
    ------
    OSError
        If it cannot be written, such as on a full disk; the file is named.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "some")) as file:
    ...         written = file.write(b"all")
    ...     Path(folder, "some").read_bytes()
    b'all'
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a machine that loses its power may keep the name of a file without its content
        partial.replace(path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {why_not_written(error)}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def why_not_written(error: OSError) -> str:
    """Say why a file could not be written; numpy counts what it wrote, and says no more.

    Parameters
    ----------
    error : OSError

    Returns
    -------
    str

    Examples
    --------
    >>> why_not_written(OSError(28, "No space left on device")), why_not_written(OSError("9 requested and 3 written"))
    ('No space left on device', 'not written whole, is the disk full? 9 requested and 3 written')
    """
    return error.strerror or f"not written whole, is the disk full? {error}"


def publish(partial: Path, folder: Path) -> None:
    """Give a folder that is complete its name, in the place of what is there.

    Parameters
    ----------
    partial : Path
        Files of processes that were ended while they wrote are removed from it.
    folder : Path
        On the same file system.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder, "partial"), 0, np.array([1, 2]))
    ...     publish(Path(folder, "partial"), Path(folder, "rows"))
    ...     Pool(Path(folder, "rows")).array()
    array([1, 2])
    """
    for left in partial.glob(".*"):
        left.unlink(missing_ok=True)
    remove(folder)
    partial.rename(folder)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there.

    Parameters
    ----------
    path : Path

    Examples
    --------
    >>> remove(Path("nowhere"))
    """
    _mapping.cache_clear()  # a shared file system keeps a file that is in use
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def written(folder: Path, number: int) -> bool:
    """Tell whether the file of a chunk is there, and whole.

    Parameters
    ----------
    folder : Path
    number : int

    Returns
    -------
    bool

    Examples
    --------
    >>> written(Path("nowhere"), 0)
    False
    """
    try:
        _loaded(folder / _name(number), mmap_mode="r")
    except OSError:
        return False
    return True


def refuse_to_replace(folder: Path) -> None:
    """Refuse a folder for new rows that holds anything but a pool.

    Parameters
    ----------
    folder : Path
        It may be missing.

    Raises
    ------
    OSError
        If it does; one of the files is named.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder), 0, np.array([1, 2]))
    ...     refuse_to_replace(Path(folder))
    """
    others = [path.name for path in folder.iterdir() if not _OF_A_POOL.fullmatch(path.name)] if folder.is_dir() else []
    if others:
        raise OSError(f"{folder}: is not replaced, because {min(others)} is in it, which is no file of a pool")


def _is_a_whole_file(array: "np.memmap[Any, Any]") -> bool:
    """Tell whether an array is what `np.load` maps: not a part of it, nor one that may change in memory alone."""
    return isinstance(array.base, mmap.mmap) and array.mode == "r" and Path(str(array.filename)).suffix == ".npy"


def _name(number: int) -> str:
    return f"{number:06}.npy"


def _loaded(path: Path, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.load(path, mmap_mode)
    except FileNotFoundError:
        raise OSError(f"{path}: is missing") from None
    except (ValueError, EOFError) as error:
        raise OSError(f"{path}: cannot be read as .npy: {error}") from None
    return values


def _mapped(path: Path) -> NDArray[Any]:
    return _loaded(path, mmap_mode="r")


def _kept_mapped(path: Path) -> NDArray[Any]:
    """Map a file into memory, or find that it is already, as long as it has not changed."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise OSError(f"{path}: is missing") from None
    return _mapping(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=MAPPED)
def _mapping(path: Path, *_: int) -> NDArray[Any]:
    return np.asarray(_mapped(path))


def _opened(path: Path, chunk: int, identity: tuple[Any, ...]) -> Pool:
    """Open a pool that was pickled with its identity, so that a digest of what holds it changes with its files."""
    pool = Pool(path, chunk)
    if pool.identity() != identity:
        raise OSError(f"{path}: its files have changed")
    return pool
