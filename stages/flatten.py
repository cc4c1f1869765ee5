"""Check the IDX files to the last byte and write them as arrays: one image a row, one label a row."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages import command, files, idx, params

RAW, FLAT = Path("data/raw"), Path("data/flat")


def main() -> None:
    data = params.load().data
    arrays: dict[str, NDArray[np.uint8]] = {}
    for part, name in (("train", "train"), ("t10k", "test")):
        images_file, labels_file = RAW / f"{part}-images-idx3-ubyte", RAW / f"{part}-labels-idx1-ubyte"
        images, labels = _parsed(images_file), _parsed(labels_file)
        try:
            idx.check_images(images, data.image_shape)
        except ValueError as error:
            raise SystemExit(f"{images_file}: {error}") from None
        try:
            idx.check_labels(labels, len(images), len(data.classes))
        except ValueError as error:
            raise SystemExit(f"{labels_file}: {error}") from None
        arrays |= {f"{name}_images": images.reshape(len(images), -1), f"{name}_labels": labels}
        print(f"{name}: {len(images):,} images, {len(np.unique(labels))} classes")
    for name, values in arrays.items():
        files.save_array(FLAT / f"{name}.npy", values)


def _parsed(path: Path) -> NDArray[np.uint8]:
    try:
        return idx.parse(path.read_bytes())
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"{path}: {error}") from None


if __name__ == "__main__":
    command.run(main)
