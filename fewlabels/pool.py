"""A pool of rows that may be more than memory holds: an array, or a folder of files with a chunk of rows in each.

What looks at all rows takes a chunk at a time, see `fewlabels.run`. A chunk has a multiple of the 512 and 1,024 rows
that the methods work on at once, so that each row gets the very bits that it gets from the whole array.
"""

import mmap
import shutil
import uuid
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 20_480
"""Rows in a chunk: 16 MB of images of 28 x 28 pixels, 25 MB of their features."""
STEP, CHUNK_BYTES = 1024, 2**25
"""Rows that a chunk is a multiple of, and the bytes that it has at most, where `STEP` rows are no more."""


class Pool:
    """Rows of numbers, in memory or on disk, read a chunk at a time.

    Parameters
    ----------
    source : array-like, str or Path
        An array; a .npy file, which is mapped into memory; or a folder of .npy files as `write` makes them.
    chunk : int, default=20480
        Rows in a chunk of an array or of one file; a folder has as many as its files.

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
    ValueError
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

    def __init__(self, source: ArrayLike | str | Path, chunk: int = CHUNK) -> None:
        self.path: Path | None = None
        self._array: NDArray[Any] | None = None
        if isinstance(source, (str, Path)):
            self.path = Path(source).absolute()
            if not self.path.is_dir():
                self._array = np.load(self.path, mmap_mode="r")
        else:
            self._array = np.asanyarray(source)
            if isinstance(self._array, np.memmap) and isinstance(self._array.base, mmap.mmap):
                self.path = Path(str(self._array.filename))
        if self._array is not None:
            self.shape, self.dtype, self.chunk = self._array.shape, self._array.dtype, chunk
        else:
            self._measure()
        self.chunks = max(1, -(-len(self) // self.chunk))

    def _measure(self) -> None:
        """Find shape and type of a folder by its first and its last file."""
        names = sorted(path.name for path in self._folder.glob("[0-9]*.npy"))
        if not names or names != [_name(number) for number in range(len(names))]:
            raise ValueError(f"{self.path}: its files are not {_name(0)} and so on, without a gap")
        first, last = (np.load(self._folder / name, mmap_mode="r") for name in (names[0], names[-1]))
        if first.shape[1:] != last.shape[1:] or first.dtype != last.dtype or len(last) > len(first):
            raise ValueError(f"{self._folder / names[-1]}: {last.dtype} {last.shape} after {first.dtype} {first.shape}")
        self.dtype, self.chunk = first.dtype, max(1, len(first))
        self.shape = (len(first) * (len(names) - 1) + len(last), *first.shape[1:])

    @property
    def _folder(self) -> Path:
        assert self.path is not None  # noqa: S101 — an array has none, and never asks
        return self.path

    def __len__(self) -> int:
        return int(self.shape[0])

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
        ValueError
            If its file has another number of rows than its place asks for.
        """
        rows = self.rows(number)
        if self._array is not None:
            return self._array[rows]
        values: NDArray[Any] = np.load(self._folder / _name(number))
        if values.shape != (rows.stop - rows.start, *self.shape[1:]):
            raise ValueError(f"{self._folder / _name(number)}: shape {values.shape}, not {rows.stop - rows.start} rows")
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
        mapped: NDArray[Any] = np.load(self._folder / _name(number), mmap_mode="r")
        return mapped

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
        """
        wanted = np.asarray(rows, np.int64)
        if self._array is not None:
            return np.asarray(self._array[wanted])
        taken = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        numbers = wanted // self.chunk
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
        return np.concatenate([self.read(number) for number in range(self.chunks)])

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
            shutil.rmtree(self._folder)

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
        return (Pool, (self.path if self.path is not None else self._array, self.chunk))


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

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder), 0, np.array([1, 2]))
    ...     Pool(folder).array()
    array([1, 2])
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{_name(number)}.{uuid.uuid4().hex}"
    try:
        with partial.open("wb") as file:
            np.save(file, values)
        partial.replace(folder / _name(number))
    finally:
        partial.unlink(missing_ok=True)


def written(folder: Path, number: int) -> bool:
    """Tell whether the file of a chunk is there.

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
    return (folder / _name(number)).exists()


def _name(number: int) -> str:
    return f"{number:06}.npy"
