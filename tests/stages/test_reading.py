"""Pictures as people see them: what real piles hold, each with the right pixels or the right reason."""

import errno
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stages import reading
from stages.reading import UnreadableError, read, read_all

GREY, COLOUR = (4, 6), (4, 6, 3)
RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10


def saved(path: Path, image: Image.Image, **how: object) -> Path:
    image.save(path, **how)
    return path


def reason(path: Path) -> str:
    with pytest.raises(UnreadableError) as end:
        read(path, GREY, "pad")
    return str(end.value)


def pixels(path: Path, shape: tuple[int, ...] = GREY, fit: str = "pad") -> NDArray[np.uint8]:
    row = read(path, shape, fit)
    assert row.dtype == np.uint8
    assert row.shape == (np.prod(shape),)
    return row.reshape(shape)


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_picture_of_the_right_size_is_taken_bit_for_bit(at: Path) -> None:
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, COLOUR).astype(np.uint8)
    for fit in ("pad", "crop", "stretch"):
        np.testing.assert_array_equal(pixels(saved(at / "grey.png", Image.fromarray(RAMP)), GREY, fit), RAMP)
        np.testing.assert_array_equal(pixels(saved(at / "rgb.png", Image.fromarray(colours)), COLOUR, fit), colours)
    np.testing.assert_array_equal(pixels(at / "grey.png", COLOUR), np.repeat(RAMP[:, :, None], 3, axis=2))


@pytest.mark.parametrize("fault", [errno.EMFILE, errno.ENOMEM, errno.ESTALE])
def test_what_the_system_refuses_is_no_fault_of_the_picture(
    fault: int, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(at / "grey.png", Image.fromarray(RAMP))

    def refused(*_: object, **__: object) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(Image, "open", refused)
    with pytest.raises(OSError, match=os.strerror(fault)) as end:
        read(path, GREY, "pad")
    assert end.value.filename == str(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_upright(orientation: int, at: Path) -> None:
    """A picture of which the first row is bright, stored as cameras do that are held otherwise."""
    upright = np.zeros((8, 8), np.uint8)
    upright[0], upright[:, 0] = 250, 120
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T, 6: upright.T[::-1],
        7: upright[::-1, ::-1].T, 8: upright.T[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(at / "photo.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(pixels(path, (8, 8)), upright)


def test_grey_of_many_bits_is_scaled_and_not_cut_off(at: Path) -> None:
    sixteen = (RAMP.astype(np.uint16) * 257).reshape(4, 6)
    sixteen[-1, -1] = 65535
    np.testing.assert_array_equal(pixels(saved(at / "16.png", Image.fromarray(sixteen)))[:3], RAMP[:3])
    twelve = np.rint(np.linspace(0, 4095, 24)).astype(np.uint16).reshape(4, 6)
    for name in ("12.png", "12.tif"):
        np.testing.assert_array_equal(
            pixels(saved(at / name, Image.fromarray(twelve))), np.rint(twelve * (255 / 4095)).astype(np.uint8)
        )
    fractions = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(
        pixels(saved(at / "f.tif", Image.fromarray(fractions))), np.rint(fractions * 255).astype(np.uint8)
    )


def test_hidden_colours_never_show(at: Path) -> None:
    """Transparent red, half transparent black, and opaque green, on white."""
    colours = np.zeros((4, 6, 4), np.uint8)
    colours[:, :2] = (255, 0, 0, 0)
    colours[:, 2:4] = (0, 0, 0, 128)
    colours[:, 4:] = (0, 200, 0, 255)
    seen = pixels(saved(at / "rgba.png", Image.fromarray(colours)), COLOUR)
    assert seen[0, ::2].tolist() == [[255, 255, 255], [127, 127, 127], [0, 200, 0]]
    wide = np.repeat(np.repeat(colours, 4, axis=0), 4, axis=1)
    shrunk = pixels(saved(at / "wide.png", Image.fromarray(wide)), COLOUR)
    assert shrunk[:, 0].min() == 255, "not even at the edge, where colours are mixed"
    grey_alpha = np.dstack([np.zeros((4, 6), np.uint8), np.full((4, 6), 0, np.uint8)])
    assert pixels(saved(at / "la.png", Image.fromarray(grey_alpha))).min() == 255
    palette = Image.fromarray(np.array([[0, 1] * 3] * 4, np.uint8), mode="P")
    palette.putpalette([9, 9, 9, 255, 0, 0])
    seen = pixels(saved(at / "p.png", palette, transparency=1), COLOUR)
    assert seen[0, :2].tolist() == [[9, 9, 9], [255, 255, 255]]
    key = Image.fromarray(np.full((4, 6, 3), (1, 2, 3), np.uint8))
    assert pixels(saved(at / "key.png", key, transparency=(1, 2, 3)), COLOUR).min() == 255


def test_printers_colours_are_converted(at: Path) -> None:
    cyan = Image.new("CMYK", (6, 4), (255, 0, 0, 0))
    seen = pixels(saved(at / "cmyk.tif", cyan), COLOUR)
    assert seen[0, 0].tolist() == [0, 255, 255]


def test_the_content_says_what_it_is_and_the_first_frame_counts(at: Path) -> None:
    image = Image.fromarray(RAMP)
    image.convert("RGB").save(at / "named.jpg", format="WEBP", lossless=True)
    np.testing.assert_array_equal(pixels(at / "named.jpg"), RAMP)
    black, white = (Image.new("L", (6, 4), level) for level in (0, 255))
    path = saved(at / "film.gif", black, save_all=True, append_images=[white, black])
    assert pixels(path).max() == 0


def test_each_way_to_fit(at: Path) -> None:
    """A black picture, twice as wide as high: padded above and below, cropped, stretched; and one that is enlarged."""
    image = np.full((20, 40), 0, np.uint8)
    image[:, :10] = 100
    path = saved(at / "wide.png", Image.fromarray(image))
    padded = pixels(path, (8, 8), "pad")
    assert (padded[:2] == 255).all()
    assert (padded[6:] == 255).all()
    assert padded[3, 0] in range(95, 106)
    assert padded[3, 7] == 0
    assert (pixels(path, (8, 8), "crop")[:, 1:] == 0).all(), "the left quarter is cropped"
    stretched = pixels(path, (8, 8), "stretch")
    assert np.abs(stretched[:, 0].astype(int) - 100).max() <= 2
    assert (stretched[:, 4:] == 0).all()
    assert pixels(saved(at / "dot.png", Image.new("L", (1, 1), 7)), (8, 8)).tolist() == [[7] * 8] * 8


def test_shrinking_averages(at: Path) -> None:
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(pixels(saved(at / "checks.png", Image.fromarray(checks)), (8, 8)).astype(int) - 127).max() <= 2


def test_a_large_photograph_is_read_at_less_than_its_size(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(at / "photo.jpg", Image.new("RGB", (1600, 1200), (10, 200, 30)), quality=90)
    sizes = []
    plain = reading._plain
    monkeypatch.setattr(reading, "_plain", lambda picture, mode: sizes.append(picture.size) or plain(picture, mode))
    seen = pixels(path, (32, 32, 3))
    assert sizes == [(200, 150)]
    assert np.abs(seen[16, 16].astype(int) - (10, 200, 30)).max() <= 3


# ---- what cannot be read


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_what_cannot_be_read_is_named_with_the_reason(at: Path) -> None:
    (at / "empty.jpg").touch()
    (at / "fake.jpg").write_text("<html>not found</html>")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for name in ("cut.jpg", "cut.png"):
        whole = saved(at / name, Image.fromarray(noise)).read_bytes()
        (at / name).write_bytes(whole[: len(whole) // 2])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 40_000, 8, 2, 0, 0, 0))
    (at / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")))
    (at / "gone.png").symlink_to(at / "nowhere.png")
    (at / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert reason(at / "empty.jpg") == "empty file"
    assert reason(at / "fake.jpg") == "no picture, or of a kind that is not known"
    assert "truncated" in reason(at / "cut.jpg")
    assert "truncated" in reason(at / "cut.png") or "broken" in reason(at / "cut.png")
    assert reason(at / "bomb.png") == "30000 x 40000 pixels are more than 100 million"
    assert reason(at / "gone.png") == "No such file or directory"
    assert reason(at / "program.eps") == "no picture, or of a kind that is not known"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(at: Path) -> None:
    path = saved(at / "secret.png", Image.fromarray(RAMP))
    path.chmod(0)
    assert reason(path) == "Permission denied"


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), struct.error("short"), SyntaxError("odd")])
def test_whatever_a_reader_raises_the_run_goes_on(error: Exception, at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(at / "a.png", Image.fromarray(RAMP))

    def raises(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(reading.Image, "open", raises)
    assert reason(at / "a.png") == {"MemoryError": "too large for the memory"}.get(type(error).__name__, str(error))


def test_the_order_is_kept_and_threads_change_nothing(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [f"{number}.png" for number in range(150)]
    for number, file in enumerate(files):
        if number % 10 == 3:
            (at / file).write_text("nothing")
        else:
            saved(at / file, Image.new("L", (3 + number % 5, 4), number))
    results = []
    for threads in (1, 7):
        monkeypatch.setattr("fewlabels.threads.thread_count", lambda threads=threads: threads)
        results.append(
            [row.tolist() if isinstance(row, np.ndarray) else str(row) for row in read_all(at, files, GREY, "stretch")]
        )
    assert results[0] == results[1]
    assert [row for row in results[0] if isinstance(row, str)] == ["no picture, or of a kind that is not known"] * 15
    assert results[0][42][0] == 42
