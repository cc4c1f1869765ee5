"""What a run would make of a folder of pictures: told before anything runs, and nothing is written."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from stages import picture_files, reading
from stages.picture_files import Listing, Picture

SHAPE = (64, 64, 3)
"""Pictures are compared at this size: those that are the same at it are copies."""
SHOWN = 5
"""Examples of each finding."""
SMALL = 48
"""Height or width, in pixels, below which a pretrained network sees little."""
COLOURED = 0.05
"""The share of pictures from which on colours are worth their memory."""


class _Found(NamedTuple):
    """What is known of the pictures that can be read."""

    pictures: list[Picture]
    sizes: list[tuple[int, int]]
    coloured: int
    copies: list[tuple[str, str]]
    twins: list[tuple[str, str]]
    rejected: list[tuple[str, str]]


def report(folder: Path) -> Iterator[str]:
    """Look at every picture of a folder.

    Parameters
    ----------
    folder : Path

    Yields
    ------
    str
        Lines for a person.

    Raises
    ------
    SystemExit
        With one line, if there is no such folder, or nothing in it that can be read.
    """
    listing = _listing(folder)
    yield from listing.remarks
    found = _looked_at(folder, listing.pictures)
    if not found.pictures:
        raise SystemExit(f"{folder}: none of {len(listing.pictures):,} files can be read as a picture")
    yield f"{len(listing.pictures):,} files, {len(found.pictures):,} pictures that can be read"
    yield from _examples("left out", [f"{file}: {reason}" for file, reason in found.rejected])
    yield from _examples("copies, for which nobody pays twice", [f"{copy} of {file}" for file, copy in found.copies])
    yield from _examples("copies with another label", [f"{file} and {copy}" for file, copy in found.twins])
    yield from _classes(found.pictures)
    heights, widths = ([size[at] for size in found.sizes] for at in (1, 0))
    yield (
        f"sizes: {min(widths)} to {max(widths)} wide, {min(heights)} to {max(heights)} high, in the median "
        f"{median(widths):.0f} x {median(heights):.0f}; {found.coloured:,} in colour"
    )
    yield from _suggestion(found)


def _listing(folder: Path) -> Listing:
    """List the pictures; a fault of their labels is said, and they are looked at without labels."""
    if not folder.is_dir():
        raise SystemExit(f"{folder}: there is no such folder")
    try:
        return picture_files.listed(folder)
    except SystemExit as fault:
        files = sorted(file for file in picture_files.found(folder) if file != picture_files.LABELS)
        if not files:
            raise
        return Listing([Picture(file, "", "") for file in files], [], [f"a run would stop here: {fault}"])


def _looked_at(folder: Path, pictures: Sequence[Picture]) -> _Found:
    found = _Found([], [], 0, [], [], [])
    coloured = 0
    seen: dict[bytes, Picture] = {}
    usable = [picture for picture in pictures if not picture_files.unusable(picture.file)]
    for picture in pictures:
        if reason := picture_files.unusable(picture.file):
            found.rejected.append((picture_files.shown(picture.file), reason))
    rows = reading.read_all(folder, [picture.file for picture in usable], SHAPE, "pad")
    for picture, row in zip(usable, rows, strict=True):
        if isinstance(row, reading.UnreadableError):
            found.rejected.append((picture.file, str(row)))
            continue
        found.pictures.append(picture)
        found.sizes.append(reading.size_of(folder / picture.file))
        coloured += bool(np.ptp(row.reshape(-1, 3), axis=1).any())
        first = seen.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), picture)
        if first is not picture:
            found.copies.append((first.file, picture.file))
            if first.label and picture.label and first.label != picture.label:
                found.twins.append((f"{first.file} ({first.label})", f"{picture.file} ({picture.label})"))
    return found._replace(coloured=coloured)


def _classes(pictures: Sequence[Picture]) -> Iterator[str]:
    counts = Counter(picture.label for picture in pictures if picture.label)
    if not counts:
        yield "labels: none; people can give some in labels.csv (file,label), or sort pictures into folders"
        return
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    yield f"labels: {counts.total():,} pictures of {len(counts)} classes, {len(pictures) - counts.total():,} without"
    yield f"largest class {most!r} with {many:,}, smallest {least!r} with {few:,}: {many / few:.1f} to 1"
    for label, count in counts.items():
        if count == 1:
            yield f"class {label!r} has one picture that can be read: a run would stop, two are the least"


def _suggestion(found: _Found) -> Iterator[str]:
    side = median(min(size) for size in found.sizes)
    colours = [3] if found.coloured > COLOURED * len(found.pictures) else []
    if side < SMALL:
        side = max(8, round(side))
        yield f"suggested: features: hog, data.image_shape: {[side, side, *colours]}"
    else:
        side = 224 if side >= 128 else 96
        yield f"suggested: features: embedding, data.image_shape: {[side, side, *colours]}"
    yield "features: auto lets the labels of the first round decide"


def _examples(what: str, found: Sequence[str]) -> Iterator[str]:
    if found:
        yield f"{len(found):,} {what}"
        yield from (f"  {one}" for one in found[:SHOWN])
        if len(found) > SHOWN:
            yield f"  and {len(found) - SHOWN:,} more"
