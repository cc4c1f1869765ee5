"""Make a large pile of images: `python -m benchmarks.pile 1000000 [--idx]`, after `dvc repro flatten`.

Row i is image i of Fashion-MNIST's training images; beyond 60,000 it is image i % 60,000, moved and scaled a little, by
numbers drawn for its row. So any chunk can be made alone, and a pile of a million begins with the pile of 240,000.

Written to data/pile/N: `images` and `labels`, a file for each chunk of rows; with `--idx` also the four IDX files that
the pipeline reads, with the test images as they are: `data: {source: idx, folder: data/pile/N/idx}` in params.yaml.
"""

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fewlabels.dask_cluster import connected
from fewlabels.pool import CHUNK, Pool
from fewlabels.run import current
from stages import command, files, idx

FLAT, PILES = Path("data/flat"), Path("data/pile")
SIDE = 28
SHIFT, SCALE = 2.0, 0.1
"""Pixels that an image is moved by at most in each direction, and the part that its size changes by at most."""
KEY = 20
"""Of the random numbers."""
BATCH = 1024
LABELS = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"
"""SHA-256 of the labels of Fashion-MNIST's training images."""


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("rows", type=int, metavar="N", help="how many images")
    parser.add_argument("--folder", type=Path, help="default: data/pile/N")
    parser.add_argument("--idx", action="store_true", help="also IDX files")
    parser.add_argument("--workers", type=int, help="on so many processes; default: in this one")
    asked = parser.parse_args()
    folder = asked.folder or PILES / str(asked.rows)
    with connected("local", folder / "scratch", workers=asked.workers) if asked.workers else nullcontext():
        if asked.idx:
            pile_as_idx(asked.rows, folder)
        else:
            pile(asked.rows, folder)
    images = Pool(folder / "images")
    print(f"{folder}: {len(images):,} images in {images.chunks:,} files")


def pile_as_idx(count: int, folder: Path) -> Path:
    """Write a pile, and the four IDX files of its folder `idx`, unless all are there; give that folder."""
    images, labels = pile(count, folder)
    for name, rows, shape in (
        ("train-images-idx3-ubyte", images, (SIDE, SIDE)),
        ("train-labels-idx1-ubyte", labels, ()),
        ("t10k-images-idx3-ubyte", Pool(FLAT / "test_images.npy"), (SIDE, SIDE)),
        ("t10k-labels-idx1-ubyte", Pool(FLAT / "test_labels.npy"), ()),
    ):
        if not (folder / "idx" / name).exists():
            write_idx(folder / "idx" / name, rows, shape)
    return folder / "idx"


def pile(count: int, folder: Path, chunk: int = CHUNK) -> tuple[Pool, Pool]:
    """Write the images and labels of a pile; a pile that was cut short goes on, and one that is there stays.

    Raises
    ------
    SystemExit
        With one line, if data/flat has other images than Fashion-MNIST's, such as those of a pile.
    """
    originals, labels = _originals()
    rows = Pool(np.broadcast_to(np.uint8(0), count), chunk)
    made: tuple[Pool, Pool] = current().map(
        _images_and_labels,
        rows,
        originals=originals,
        labels=labels,
        outputs=2,
        into=[folder.absolute() / "images", folder.absolute() / "labels"],
        label="images",
    )
    return made


def _originals() -> tuple[Pool, Pool]:
    paths = [(FLAT / f"train_{kind}.npy").resolve() for kind in ("images", "labels")]
    labels = np.load(paths[1]) if all(path.is_file() for path in paths) else np.empty(0)
    if hashlib.sha256(labels.tobytes()).hexdigest() != LABELS:
        raise SystemExit(f"{FLAT}: not Fashion-MNIST's training images; `dvc repro flatten` writes them")
    return Pool(paths[0]), Pool(paths[1])


def write_idx(path: Path, rows: Pool, shape: tuple[int, ...] = ()) -> None:
    """Write rows of bytes as an IDX file, a chunk at a time; `shape` is that of one row."""
    lengths = np.array([len(rows), *shape], ">u4")
    with files.atomic_write(path) as partial, partial.open("wb") as file:
        file.write(bytes([0, 0, idx.UNSIGNED_BYTES, len(lengths)]) + lengths.tobytes())
        for number in tqdm(range(rows.chunks), desc=path.name, leave=False, disable=None):
            file.write(rows.read(number).tobytes())


def moved(images: NDArray[np.uint8], shifts: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Move and scale each image about its middle, with bilinear interpolation; what comes from outside is black.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height, width)
    shifts : ndarray of float32, shape (n, 2)
        Pixels downwards and to the right.
    scales : ndarray of float32, shape (n,)
        The factor of its size: more than 1 enlarges.

    Returns
    -------
    ndarray of uint8, shape (n, height, width)
    """
    down = _weights(images.shape[1], shifts[:, 0], scales)
    right = _weights(images.shape[2], shifts[:, 1], scales)
    result: NDArray[np.uint8] = np.rint(down @ images.astype(np.float32) @ right.transpose(0, 2, 1)).astype(np.uint8)
    return result


def _weights(size: int, shifts: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of each pixel, in a row, goes into each one of the moved image: shape (n, size, size)."""
    pixels, middle = np.arange(size, dtype=np.float32), np.float32((size - 1) / 2)
    origins = (pixels - middle - shifts[:, None]) / scales[:, None] + middle
    weights: NDArray[np.float32] = np.maximum(1 - np.abs(origins[:, :, None] - pixels), 0)
    return weights


def _images_and_labels(
    rows: slice, _: NDArray[np.uint8], *, originals: Pool, labels: Pool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    numbers = np.arange(rows.start, rows.stop)
    images = originals.take(numbers % len(originals))
    for batch in _batches(int(np.searchsorted(numbers, len(originals))), len(numbers)):
        drawn = _drawn(rows.start + batch.start, rows.start + batch.stop)
        pictures = images[batch].reshape(-1, SIDE, SIDE)
        images[batch] = moved(pictures, SHIFT * drawn[:, :2], 1 + SCALE * drawn[:, 2]).reshape(len(pictures), -1)
    return images, labels.take(numbers % len(labels))


def _batches(start: int, stop: int) -> Iterator[slice]:
    return (slice(first, min(first + BATCH, stop)) for first in range(start, stop, BATCH))


def _drawn(start: int, stop: int) -> NDArray[np.float32]:
    """Draw four numbers between -1 and 1 for each row: the generator makes four for each state of its counter."""
    bits = np.random.Philox(key=KEY, counter=start).random_raw(4 * (stop - start)).reshape(-1, 4)
    return (bits * 2.0**-63 - 1).astype(np.float32)


if __name__ == "__main__":
    with command.at_root():
        main()
