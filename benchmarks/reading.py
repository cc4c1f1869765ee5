"""Read a folder of 10,000 pictures with one each of what real piles hold, and photographs of 12 megapixels.

`python -m benchmarks.reading`, half a minute. The small pictures are scikit-learn's digits, written as PNG files; so
what is right is known. Beside the stages download and flatten, Keras reads the same folder. Prints what each says and
found, seconds, and the peak memory of its process.
"""

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from stages import command

COUNT, PHOTOGRAPHS = 10_000, (100, 400)
KERAS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
read = keras.utils.image_dataset_from_directory(sys.argv[1], image_size=(8, 8), shuffle=False)
print(sum(len(images) for images, _ in read), "pictures were read")
"""
OURS = "from stages import download, flatten; download.main(); flatten.main()"


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_pile(folder / "images/mine")
        configure(folder, [8, 8])
        report("download and flatten", [sys.executable, "-c", OURS], folder)
        for line in (folder / "data/flat/rejected.csv").read_text(encoding="utf-8").splitlines():
            print(f"    {line}")
        for name, wanted in RIGHT.items():
            print(f"    {name}: {'right' if pixels_of(folder, name) == wanted else 'WRONG'}")
        (folder / "images/mine").rename(folder / "pile")
        for count in PHOTOGRAPHS:
            shutil.rmtree(folder / "data")
            write_photographs(folder / "images/mine", count)
            configure(folder, [224, 224, 3])
            report(f"{count} photographs of 12 megapixels", [sys.executable, "-c", OURS], folder)
            shutil.rmtree(folder / "images/mine")
        report("Keras, the pile", [sys.executable, "-c", KERAS, "pile"], folder)


def report(what: str, call: list[str], folder: Path) -> None:
    """Run a program in a folder and print what it said at last, its seconds and its peak memory."""
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    environment = os.environ | {"PYTHONPATH": str(command.ROOT)}
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    memory = f"{peak / 2**10:,.0f} MiB at most" if peak > before else "no more memory than what ran before"
    print(f"{what}: exit code {done.returncode}, {seconds:.1f} s, {memory}")
    for line in (done.stdout + done.stderr).strip().splitlines()[-4:]:
        print(f"    {line[:160]}")


def configure(folder: Path, image_shape: list[int]) -> None:
    settings = yaml.safe_load((command.ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["data"] |= {"source": "images", "folder": "images/mine", "image_shape": image_shape, "classes": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def write_photographs(folder: Path, count: int) -> None:
    """Enlarge a photograph to 4,000 x 3,000 pixels; the same file under many names is decoded as often."""
    for kind in ("one", "two"):
        (folder / kind).mkdir(parents=True)
    photograph = Image.fromarray(load_sample_images().images[1]).resize((4000, 3000))
    photograph.save(folder / "one/00000.jpg", quality=90)
    for number in range(1, count):
        os.link(folder / "one/00000.jpg", folder / ("one", "two")[number % 2] / f"{number:05}.jpg")


# ---- what real piles hold

DIGIT = (load_digits().images[0] * (255 / 16)).astype(np.uint8)
RIGHT: dict[str, list[int]] = {}
"""What the pixels of some pictures are, by their names."""


def write_pile(folder: Path) -> None:
    """Write digits as PNG files in a folder for each class, and one each of what real piles hold."""
    images, labels = load_digits(return_X_y=True)
    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
    for number in range(COUNT):
        image = (images[number % len(images)].reshape(8, 8) * (255 / 16)).astype(np.uint8)
        image[0, 0] = number // len(images)  # else each would be there several times
        Image.fromarray(image).save(folder / str(labels[number % len(images)]) / f"{number:05}.png")
    for name, write in EVILS.items():
        write(folder / "0" / name)
    (folder / "no pictures").mkdir()


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(DIGIT.T[::-1])).save(path, exif=exif)
    RIGHT[f"0/{path.name}"] = DIGIT.ravel().tolist()


def sixteen_bits(path: Path) -> None:
    Image.fromarray(DIGIT.astype(np.uint16) * 257).save(path)
    RIGHT[f"0/{path.name}"] = DIGIT.ravel().tolist()


def hidden_colours(path: Path) -> None:
    colours = np.dstack([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)])
    colours[2:6, 2:6] = (100, 100, 100, 255)
    Image.fromarray(colours).save(path)
    right = np.full((8, 8), 255)
    right[2:6, 2:6] = 100
    RIGHT[f"0/{path.name}"] = right.ravel().tolist()


def webp(path: Path) -> None:
    Image.fromarray(DIGIT).convert("RGB").save(path, format="WEBP", lossless=True)
    RIGHT[f"0/{path.name}"] = DIGIT.ravel().tolist()


def film(path: Path) -> None:
    frames = [Image.new("L", (8, 8), level) for level in (7, 99)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    RIGHT[f"0/{path.name}"] = [7] * 64


def bomb(path: Path) -> None:
    content = b"\x89PNG\r\n\x1a\n"
    for chunk in (b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"")):
        content += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])


def cmyk(path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(path)
    RIGHT[f"0/{path.name}"] = [0] * 64


def palette(path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.save(path, transparency=0)
    RIGHT[f"0/{path.name}"] = [9] * 64


def copy(path: Path) -> None:
    path.write_bytes((path.parent / "00000.png").read_bytes())


EVILS: dict[str, Callable[[Path], object]] = {
    "turned.png": turned,
    "16 bits.png": sixteen_bits,
    "hidden colours.png": hidden_colours,
    "palette.png": palette,
    "cmyk.tif": cmyk,
    "webp named.jpg": webp,
    "film.gif": film,
    "copy, ü #1 100%?.png": copy,
    "bomb.png": bomb,
    "cut off.png": cut_off,
    "empty.jpg": Path.touch,
    "fake.jpg": lambda path: path.write_text("<html>404</html>"),
    "gone.png": lambda path: path.symlink_to("nowhere.png"),
    "two\nlines.png": copy,
    ".DS_Store": Path.touch,
    "._00000.png": Path.touch,
    "Thumbs.db": Path.touch,
}


def pixels_of(folder: Path, name: str) -> list[int]:
    """Look a picture up by its name in what flatten wrote."""
    flat = folder / "data/flat"
    train = (flat / "names.txt").read_text(encoding="utf-8").splitlines()
    for part, listed in (
        ("train", train),
        ("test", json.loads((flat / "test_names.json").read_text(encoding="utf-8"))),
    ):
        if name in listed:
            row: list[int] = np.load(flat / f"{part}_images.npy")[listed.index(name)].tolist()
            return row
    return []


if __name__ == "__main__":
    command.run(main)
