"""Write images as arrays: one image a row, one label a row; and what each row is called.

IDX files are checked to the last byte. Pictures of a folder are read where the engine of params.yaml computes, and are
never all in memory; those that cannot be read are listed with the reason, and a part of the labelled ones is held out
where there is no test set. Where there are too many images for memory, they are written as a pool: a folder of files,
some thousand images in each.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from psutil import virtual_memory
from tqdm import tqdm

from fewlabels import pool
from fewlabels.arrays import first_occurrences
from fewlabels.label_set import UNKNOWN
from fewlabels.pool import Pool, chunk_of
from stages import command, engine, files, idx, params, picture_files, reading, sources
from stages.picture_files import Picture

RAW, FLAT = Path("data/raw"), Path("data/flat")
REJECTED = FLAT / "rejected.csv"
MEMORY_SHARE = 1 / 16
"""Of the memory: training images that need more are a pool on disk. Of pixels, k-means takes four times as much."""
CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory a container may use."""
SHOWN = 3
"""Examples in a line."""


def main() -> None:
    settings = params.load()
    if settings.data.source == "images":
        _from_pictures(settings)
    else:
        with engine.running(settings, "flatten", here=True):  # removes what reading pictures has left on the way
            _from_idx(settings)


# ---- IDX files


def _from_idx(settings: params.Params) -> None:
    classes = settings.data.classes or []
    parts: dict[str, tuple[Path, tuple[int, ...], NDArray[np.uint8]]] = {}
    for part, name in (("train", "train"), ("t10k", "test")):
        images_file, labels_file = RAW / f"{part}-images-idx3-ubyte", RAW / f"{part}-labels-idx1-ubyte"
        with _named(images_file):
            shape = idx.shape_of(images_file)
            idx.check_images(shape, settings.data.image_shape)
        with _named(labels_file):
            labels = idx.parse(labels_file.read_bytes())
            idx.check_labels(labels, shape[0], len(classes))
        parts[name] = images_file, shape, labels
        print(f"{name}: {shape[0]:,} images, {len(np.unique(labels))} classes")
    for name, (images_file, shape, labels) in parts.items():
        _save_images(name, shape[0], settings, partial(idx.read_rows, images_file, shape))
        files.save_array(FLAT / f"{name}_labels.npy", labels)
        _save_names(name, (f"{name}/{row:05}" for row in range(shape[0])))
    files.save_json(FLAT / "classes.json", classes)
    files.save_table(REJECTED, [], ("file", "reason"))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """End with one line that names a file, where it cannot be read or is not what it should be."""
    try:
        yield
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"{path}: {error}") from None


# ---- a folder of pictures


class _Read(NamedTuple):
    """The pictures that could be read, in their order."""

    pictures: list[Picture]
    labels: NDArray[np.uint8]
    originals: NDArray[np.int64]
    pixels: Pool
    """Of all pictures, on disk."""
    rows: NDArray[np.int64]
    """Which of these were read."""


def _from_pictures(settings: params.Params) -> None:
    listing = json.loads((RAW / "pictures.json").read_text(encoding="utf-8"))
    classes: list[str] = listing["classes"]
    pictures = [Picture(*one) for one in listing["pictures"]]
    folder = sources.folder(str(settings.data.folder))
    rejected: list[dict[str, str]] = []
    with engine.running(settings, "flatten") as scratch:
        read = _read(folder, pictures, classes, settings, rejected, scratch)
        _check(folder, read, rejected, len(pictures))
        # With people there is the audit, and no label of a picture is read.
        test = _held_out(read, settings.data.test_share if settings.oracle == "labels" else 0, settings.seed)
        _save(read, test, settings)
    files.save_json(FLAT / "classes.json", classes)
    files.save_table(REJECTED, rejected, ("file", "reason"))
    for remark in _remarks(read, test):
        print(remark)
    copies = len(read.pictures) - len(np.unique(read.originals))
    left_out = f"{len(rejected):,} left out: see {REJECTED}" if rejected else "none left out"
    print(f"{len(pictures):,} pictures, {left_out}, {copies:,} copies")


def _read(
    folder: Path,
    pictures: Sequence[Picture],
    classes: Sequence[str],
    settings: params.Params,
    rejected: list[dict[str, str]],
    scratch: Path,
) -> _Read:
    """Read all pictures; their pixels are in the scratch folder, and those that cannot be read are listed."""
    usable = []
    for picture in pictures:
        reason = picture_files.unusable(picture.file)
        if reason:
            rejected.append({"file": picture_files.shown(picture.file), "reason": reason})
        else:
            usable.append(picture)
    names = [one.file for one in usable]
    pixels, digests, reasons = reading.read_into(scratch, folder, names, settings.data.image_shape, settings.data.fit)
    readable = np.ones(len(usable), bool)
    for number in range(reasons.chunks):
        some, why = reasons.rows(number), reasons.read(number)
        readable[some] = why == b""
        for place in np.flatnonzero(why):
            text = why[place].decode(errors="ignore")  # of a character that is cut in two
            rejected.append({"file": names[some.start + place], "reason": text})
    rows = np.flatnonzero(readable)
    kept = [usable[row] for row in rows]
    number_of = {name: place for place, name in enumerate(classes)}
    labels = np.array([number_of.get(picture.label, UNKNOWN) for picture in kept], np.uint8)
    return _Read(kept, labels, first_occurrences(digests.take(rows)), pixels, rows)


def _check(folder: Path, read: _Read, rejected: Sequence[dict[str, str]], count: int) -> None:
    if 2 * len(rejected) > count or not read.pictures:
        examples = "; ".join(f"{one['file']}: {one['reason']}" for one in rejected[:SHOWN])
        raise SystemExit(
            f"data.folder: {folder}: {len(rejected):,} of {count:,} pictures cannot be read, such as {examples}"
        )
    counts = Counter(picture.label for picture in read.pictures if picture.label and picture.part != "test")
    for label, left in sorted(counts.items()):
        if left == 1:
            raise SystemExit(
                f"data.folder: {folder}: class {label!r} has one picture that can be read: two are the least"
            )


def _held_out(read: _Read, share: float, seed: int) -> NDArray[np.bool_]:
    """Choose the test pictures: the labelled ones of the part `test`, or a share of all labelled, copies together."""
    if any(picture.part for picture in read.pictures):
        in_test = np.array([picture.part == "test" for picture in read.pictures])
        return np.asarray(in_test & (read.labels != UNKNOWN))
    test = np.zeros(len(read.pictures), bool)
    labelled = np.flatnonzero((read.labels != UNKNOWN) & (read.originals == np.arange(len(test))))
    counts = np.bincount(read.labels[labelled], minlength=UNKNOWN)
    divisible = labelled[counts[read.labels[labelled]] > 1]
    wanted = round(share * len(labelled))
    if not wanted:
        return test
    from sklearn.model_selection import train_test_split  # not above: its import takes a second, and few need it

    try:
        _, held_out = train_test_split(divisible, test_size=wanted, random_state=seed, stratify=read.labels[divisible])
    except ValueError as error:
        raise SystemExit(f"params.yaml: data.test_share: {share:g}: {error}") from None
    test[held_out] = True
    with_copies: NDArray[np.bool_] = test[read.originals] & (read.labels != UNKNOWN)
    return with_copies


def _save(read: _Read, test: NDArray[np.bool_], settings: params.Params) -> None:
    for part, rows in (("train", np.flatnonzero(~test)), ("test", np.flatnonzero(test))):
        _save_images(part, len(rows), settings, partial(_some_rows, read.pixels, read.rows[rows]))
        files.save_array(FLAT / f"{part}_labels.npy", read.labels[rows])
        _save_names(part, (read.pictures[row].file for row in rows))
        print(
            f"{part}: {len(rows):,} images, {len(np.unique(read.labels[rows][read.labels[rows] != UNKNOWN]))} classes"
        )


def _some_rows(pixels: Pool, rows: NDArray[np.int64], first: int, count: int) -> NDArray[np.uint8]:
    return pixels.take(rows[first : first + count])


# ---- both


def _memory() -> int:
    """Count the bytes of memory that this process may use at most: those of the machine, or of its container."""
    limits = [Path(name).read_text(encoding="ascii").strip() for name in CGROUPS if Path(name).is_file()]
    return min([int(virtual_memory().total), *(int(limit) for limit in limits if limit.isdigit())])


def _save_images(part: str, count: int, settings: params.Params, read: Callable[[int, int], NDArray[np.uint8]]) -> None:
    """Write the images of a part a chunk at a time: as one array, or as a pool, if there are too many for memory.

    `read` takes the first row and how many. Test images are one array however many there are.
    """
    path, length = FLAT / f"{part}_images.npy", int(np.prod(settings.data.image_shape))
    chunk = chunk_of(length)
    starts = tqdm(range(0, count, chunk), desc=f"{part} images", unit=" chunks", leave=False, disable=None)
    chunks = (read(start, min(chunk, count - start)) for start in starts)
    limits = {"pool.in_memory": settings.pool.in_memory * length, "a sixteenth of the memory": MEMORY_SHARE * _memory()}
    exceeded = " and ".join(name for name, limit in limits.items() if count * length > limit)
    if part == "train" and exceeded:
        print(f"{part}: more than {exceeded}: written as {-(-count // chunk):,} files", flush=True)
        with files.folder_written(path) as folder:
            for number, values in enumerate(chunks):
                pool.write(folder, number, values)
        return
    with files.atomic_write(path) as file, file.open("wb") as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, length)}
        np.lib.format.write_array_header_1_0(out, header)
        for values in chunks:
            out.write(values.tobytes())


def _save_names(part: str, names: Iterable[str]) -> None:
    """Write what the rows are called; of test images, which there may be none of, as JSON: DVC wants no empty file."""
    if part == "test":
        files.save_json(FLAT / "test_names.json", list(names))
        return
    with files.atomic_write(FLAT / "names.txt") as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{name}\n" for name in names)


def _remarks(read: _Read, test: NDArray[np.bool_]) -> Iterator[str]:
    """Say which copies have different labels, and how many lie in both parts."""
    rows = np.flatnonzero(read.originals != np.arange(len(test)))
    pairs = [(row, read.originals[row]) for row in rows]
    twins = [(row, first) for row, first in pairs if UNKNOWN != read.labels[row] != read.labels[first] != UNKNOWN]
    if twins:
        shown = "; ".join(f"{read.pictures[first].file} and {read.pictures[row].file}" for row, first in twins[:SHOWN])
        yield f"{len(twins):,} copies have another label than the picture they are a copy of: {shown}"
    both = sum(test[row] != test[first] for row, first in pairs)
    if both:
        yield f"{both:,} copies of test pictures are training pictures, or the other way round"


if __name__ == "__main__":
    command.run(main)
