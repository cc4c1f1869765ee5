"""Read pictures as people see them, each as a row of pixels of one shape.

Whatever is in a file, the run goes on: what cannot be read is named with its reason. Several threads read at once, or
the workers of a cluster, and the result does not depend on how many.
"""

import errno
import hashlib
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tqdm import tqdm

from fewlabels.pool import CHUNK_BYTES, Pool
from fewlabels.run import current
from fewlabels.threads import map_chunks

BACKGROUND = (255, 255, 255)
"""White: what is seen through transparent parts, and beside a picture that is padded."""
MOST_PIXELS = 100_000_000
"""Of a picture; a small file that claims more would fill the memory."""
AT_ONCE = 64
"""Pictures that are read before the first of them is handed on, so that memory stays bounded."""
CHUNK = 512
"""Pictures in a chunk of a pool at most: what each worker reads again if reading was ended."""
FAULTS_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE)
"""Errors of the system that say nothing of the picture: it would be left out on one machine, and not on another."""
REASON = 256
"""Bytes that why a picture is unreadable is cut to in a pool."""
RESAMPLING = Image.Resampling.BICUBIC

Image.MAX_IMAGE_PIXELS = None  # checked here, with a reason that names the size
Image.init()
FORMATS = sorted(Image.OPEN.keys() - {"EPS", "WMF"})
"""All that Pillow reads but what is a program to draw a picture: reading that would run it."""


class UnreadableError(Exception):
    """Why a file gives no picture, in a few words."""


def read(path: Path, image_shape: Sequence[int], fit: str) -> NDArray[np.uint8]:
    """Read a picture.

    It is turned upright by its EXIF orientation. Of several frames the first is taken. Transparent parts show the
    background, never the colours hidden in them. Grey of 12 or 16 bits is scaled to 8.

    Parameters
    ----------
    path : Path
        The content says what it is, not the name.
    image_shape : (int, int) or (int, int, 3)
        Height and width; grey, or red, green and blue.
    fit : {"pad", "crop", "stretch"}
        How it is brought to that shape: padded with the background, cropped around its middle, or stretched.

    Returns
    -------
    ndarray of uint8, shape (height * width,) or (height * width * 3,)
        A picture of that very size is taken as it is, bit for bit.

    Raises
    ------
    UnreadableError
    """
    height, width = image_shape[:2]
    mode = "RGB" if len(image_shape) == 3 else "L"
    fitted = _opened(path, max(height, width), lambda one: _fitted(_plain(one, mode), (width, height), fit, mode))
    return np.asarray(fitted, np.uint8).reshape(-1)


def read_all(
    folder: Path, files: Sequence[str], image_shape: Sequence[int], fit: str
) -> Iterator[NDArray[np.uint8] | UnreadableError]:
    """Read pictures with several threads, in their order.

    Parameters
    ----------
    folder : Path
    files : sequence of str
        Paths in it.
    image_shape, fit
        As for `read`.

    Yields
    ------
    ndarray of uint8 or UnreadableError
        For each file, its pixels or why there are none.
    """
    with tqdm(total=len(files), desc="reading", unit="picture", disable=None) as bar:
        for pixels in _some_at_once(folder, files, image_shape, fit):
            bar.update()
            yield pixels


def read_into(
    into: Path, folder: Path, files: Sequence[str], image_shape: Sequence[int], fit: str
) -> tuple[Pool, Pool, Pool]:
    """Read pictures where the current run computes, some at a time, such that it can go on after it was ended.

    It goes on as long as the pictures are the same files, of the same sizes and times; otherwise it starts anew.

    Parameters
    ----------
    into : Path
        A folder for the pools, which a cluster's workers see, too.
    folder : Path
    files : sequence of str
        Paths in it that are UTF-8.
    image_shape, fit
        As for `read`.

    Returns
    -------
    pixels : Pool of uint8, shape (n, height * width) or (n, height * width * 3)
        Zeros where there are none.
    digests : Pool of uint8, shape (n, 16)
        Of the pixels; zeros where there are none.
    reasons : Pool of bytes, shape (n,)
        Why there are none, as UTF-8; empty where there are.
    """
    pools: tuple[Pool, Pool, Pool] = current().map(
        _read_chunk,
        Pool(_as_they_are(folder, files), max(1, min(CHUNK, CHUNK_BYTES // int(np.prod(image_shape))))),
        outputs=3,
        into=[into / name for name in ("pixels", "digests", "reasons")],
        label="reading pictures",
        slow=True,
        folder=folder.absolute(),
        image_shape=tuple(image_shape),
        fit=fit,
    )
    return pools


def _as_they_are(folder: Path, files: Sequence[str]) -> NDArray[Any]:
    """List files with what tells that one has changed: its size and the time when it was written."""
    names = [file.encode() for file in files]
    longest = max(map(len, names), default=1)
    bar = tqdm(zip(names, files, strict=True), "listing", len(names), unit=" pictures", leave=False, disable=None)
    return np.array(
        [(name, *_size_and_time(folder / file)) for name, file in bar],
        [("name", f"S{longest}"), ("size", np.int64), ("time", np.int64)],
    )


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # reading it says why
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _read_chunk(
    rows: slice, files: NDArray[Any], *, folder: Path, image_shape: Sequence[int], fit: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bytes_]]:
    pixels = np.zeros((len(files), int(np.prod(image_shape))), np.uint8)
    digests, reasons = np.zeros((len(files), 16), np.uint8), np.zeros(len(files), f"S{REASON}")
    names = [name.decode() for name in files["name"].tolist()]
    for name, (_, *listed) in zip(names, files.tolist(), strict=True):
        if (*listed,) != _size_and_time(folder / name):
            raise OSError(f"{folder / name}: changed while pictures were read, or {platform.node()} does not see it")
    for place, seen in enumerate(_some_at_once(folder, names, image_shape, fit)):
        if isinstance(seen, UnreadableError):
            reasons[place] = str(seen).encode(errors="backslashreplace")[:REASON]
        else:
            pixels[place] = seen
            digests[place] = np.frombuffer(hashlib.blake2b(seen.tobytes(), digest_size=16).digest(), np.uint8)
    return pixels, digests, reasons


def _some_at_once(
    folder: Path, files: Sequence[str], image_shape: Sequence[int], fit: str
) -> Iterator[NDArray[np.uint8] | UnreadableError]:
    """Read pictures with as many threads as there are for this process, in their order."""

    def attempt(rows: slice, some: Sequence[str]) -> NDArray[np.uint8] | UnreadableError:
        try:
            return read(folder / some[rows.start], image_shape, fit)
        except UnreadableError as error:
            return error

    for start in range(0, len(files), AT_ONCE):
        some = files[start : start + AT_ONCE]
        yield from map_chunks(partial(attempt, some=some), len(some), chunk=1)


def shown(path: Path, most: int) -> Image.Image:
    """Read a picture for a person to look at: upright, in 8 bits without transparency, and no larger than need be.

    Parameters
    ----------
    path : Path
    most : int
        Height and width at most, in pixels; a larger picture is made smaller, a smaller one stays as it is.

    Returns
    -------
    Image
        Grey or in colour.

    Raises
    ------
    UnreadableError
    """
    plain = _opened(path, most, lambda one: _plain(one, "L" if one.mode in ("1", "L") else "RGB"))
    plain.thumbnail((most, most), RESAMPLING)
    return plain


def size_of(path: Path) -> tuple[int, int]:
    """Read the width and height of a picture that can be read, in pixels, as it is stored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=FORMATS) as picture:
            return picture.size


def _opened(path: Path, side: int, work: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Open a picture, turn it upright and work on it; whatever goes wrong is why it is unreadable.

    It may be read at a fraction of its size, but no smaller than twice the side that is wanted.
    """
    try:
        if not path.stat().st_size:
            raise UnreadableError("empty file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise UnreadableError(
                        f"{picture.width} x {picture.height} pixels are more than {MOST_PIXELS // 10**6} million"
                    )
                picture.draft(None, (2 * side, 2 * side))  # a JPEG file can be read at half or less of its size
                return work(ImageOps.exif_transpose(picture))
    except UnreadableError:
        raise
    except OSError as error:
        if error.errno in FAULTS_OF_THE_MACHINE:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise UnreadableError(_reason(error)) from None
    except MemoryError:
        raise UnreadableError("too large for the memory") from None
    except Exception as error:  # Pillow's readers raise whatever a broken file leads them to
        raise UnreadableError(_reason(error)) from None


def _reason(error: Exception) -> str:
    text = " ".join(str(getattr(error, "strerror", None) or error).replace("\0", " ").split())
    if "cannot identify image file" in text:
        return "no picture, or of a kind that is not known"
    return text or type(error).__name__


def _plain(picture: Image.Image, mode: str) -> Image.Image:
    """Bring any kind of picture to 8 bits, grey or coloured, without transparency."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(picture))).convert(mode)
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        behind = Image.new("RGBA", coloured.size, (*BACKGROUND, 255))
        return Image.alpha_composite(behind, coloured).convert("RGB").convert(mode)
    return picture.convert(mode) if picture.mode in ("1", "L", "RGB") else picture.convert("RGB").convert(mode)


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale grey of more than 8 bits: of 12 or 16, whichever its largest value fits; fractions by their range."""
    levels = np.nan_to_num(values.astype(np.float64))
    low, high = float(min(levels.min(), 0)), float(levels.max())
    if np.issubdtype(values.dtype, np.integer) and low == 0:
        most = next((bits for bits in (4095, 65535) if high <= bits), high)
    else:
        most = 1.0 if low == 0 and high <= 1 else max(high, low + 1e-12)
    return np.rint((levels - low) * (255 / (most - low))).astype(np.uint8)


def _fitted(picture: Image.Image, size: tuple[int, int], fit: str, mode: str) -> Image.Image:
    if picture.size == size:
        return picture
    if fit == "stretch":
        return picture.resize(size, RESAMPLING)
    if fit == "crop":
        return ImageOps.fit(picture, size, RESAMPLING)
    return ImageOps.pad(picture, size, RESAMPLING, color=BACKGROUND if mode == "RGB" else BACKGROUND[0])
