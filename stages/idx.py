"""IDX, the format of MNIST and similar data: a magic number, the dimensions as big-endian integers, then the bytes.

Parsed strictly, because a wrong byte here would pass silently through everything that follows.
The format: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UNSIGNED_BYTES = 0x08
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
"""What files of other formats start with."""
LONGEST_HEADER = 4 + 4 * 255
"""Bytes: a file has 255 dimensions at most."""


def parse(data: bytes) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    data : bytes
        The whole file, decompressed.

    Returns
    -------
    ndarray of uint8
        With the shape that the file declares.

    Raises
    ------
    ValueError
        If the magic number is not that of an IDX file of unsigned bytes, or the length is not exactly what the declared
        dimensions need.
    """
    shape = declared_shape(data)
    _check_length(len(data), shape)
    return np.frombuffer(data, np.uint8, offset=header_length(len(shape))).reshape(shape)


def _check_length(length: int, shape: Sequence[int]) -> None:
    start, size = header_length(len(shape)), int(np.prod(shape, dtype=object))
    if length - start != size:
        raise ValueError(
            f"{length - start} bytes follow the header, which declares {' x '.join(map(str, shape))} = {size}"
        )


def shape_of(path: Path) -> tuple[int, ...]:
    """Read the dimensions of an IDX file of unsigned bytes, and nothing of its values.

    Raises
    ------
    ValueError
        As `parse` does.
    """
    with path.open("rb") as file:
        shape = declared_shape(file.read(LONGEST_HEADER))
    _check_length(path.stat().st_size, shape)
    return shape


def read_rows(path: Path, shape: Sequence[int], first: int, count: int) -> NDArray[np.uint8]:
    """Read some rows of an IDX file whose shape is known.

    Parameters
    ----------
    path : Path
    shape : sequence of int
        As from `shape_of`.
    first, count : int

    Returns
    -------
    ndarray of uint8, shape (count, product of the other dimensions)
    """
    length = int(np.prod(shape[1:], dtype=np.int64))
    start = header_length(len(shape)) + first * length
    return np.fromfile(path, np.uint8, count * length, offset=start).reshape(count, length)


def declared_shape(data: bytes) -> tuple[int, ...]:
    """Read the dimensions out of the first bytes of an IDX file of unsigned bytes.

    Raises
    ------
    ValueError
        If the magic number is wrong or the header is cut short.
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTES or data[3] == 0:
        raise ValueError(f"{start_of(data)}, which is not an IDX file of unsigned bytes")
    dimensions = data[3]
    if len(data) < header_length(dimensions):
        raise ValueError(f"ends after {len(data)} bytes, within its header")
    return tuple(int(length) for length in np.frombuffer(data, ">u4", count=dimensions, offset=4))


def start_of(data: bytes) -> str:
    """Say what a file starts with, in the words of a person who looks at it.

    Examples
    --------
    >>> start_of(b"<!DOCTYPE html><html>")
    "is a web page, which starts with '<!DOCTYPE html>'"
    >>> start_of(bytes([0, 0, 8, 3]))
    'starts with 00 00 08 03'
    """
    if data.lstrip()[:1] == b"<":
        text = " ".join(data.lstrip()[:30].decode("utf-8", "replace").split())
        return f"is a web page, which starts with {text.partition('>')[0] + '>'!r}"
    if data[:2] == GZIP:
        return "is compressed by gzip"
    if data[:4] == ZIP:
        return "is a zip archive"
    return f"starts with {data[:4].hex(' ')}" if data else "is empty"


def header_length(dimensions: int) -> int:
    """Bytes before the values: the magic number and one 4-byte integer for each dimension."""
    return 4 + 4 * dimensions


def check_images(found: Sequence[int], shape: Sequence[int]) -> None:
    """Refuse what is not a stack of images of one shape.

    Parameters
    ----------
    found : sequence of int
        The shape of what a file holds.
    shape : sequence of int
        Of one image.

    Raises
    ------
    ValueError
        If the file does not hold an array of shape (n, *shape) with n > 0.
    """
    if len(found) != 3 or found[0] == 0 or tuple(found[1:]) != tuple(shape):
        raise ValueError(f"holds {' x '.join(map(str, found))} bytes, not n images of {' x '.join(map(str, shape))}")


def check_labels(labels: NDArray[np.uint8], count: int, n_classes: int) -> None:
    """Refuse labels that do not fit their images.

    Raises
    ------
    ValueError
        If `labels` is not of shape (count,), or one of them is not below `n_classes`; the row is named, and the
        labels that there are.
    """
    if labels.ndim != 1 or len(labels) != count:
        raise ValueError(f"holds {' x '.join(map(str, labels.shape))} labels for {count} images")
    if labels.max() >= n_classes:
        row = int(np.argmax(labels >= n_classes))
        found = np.unique(labels)
        few = f"{', '.join(map(str, found[:10]))}{', …' if len(found) > 10 else ''}"
        raise ValueError(
            f"row {row}: label {labels[row]} is not between 0 and {n_classes - 1}, one for each of data.classes; "
            f"the {len(found)} labels found are {few}"
        )
