"""IDX files read to the last byte, and the flatten stage, which refuses a data set that has one wrong."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from stages import flatten, idx

PARAMS = Path(__file__).parents[2] / "params.yaml"
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_file(values: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def some_bytes(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(1,), (70_000,), (3, 5), (300, 8, 9), (2, 3, 4, 5), (0, 28, 28)])
def test_round_trip(shape: tuple[int, ...]) -> None:
    values = some_bytes(*shape)
    parsed = idx.parse(idx_file(values))
    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, values, strict=True)


def test_the_header_of_fashion_mnist() -> None:
    header = bytes.fromhex("00 00 08 03  00 00 ea 60  00 00 00 1c  00 00 00 1c")
    assert idx.declared_shape(header) == (60_000, 28, 28)
    assert idx.header_length(3) == len(header)


GOOD = idx_file(some_bytes(3, 4, 5))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty, which is not an IDX file of unsigned bytes"),
        (GOOD[:3], "starts with 00 00 08, which is not an IDX file of unsigned bytes"),
        (b"\x1f\x8b\x08\x00" + GOOD, "is compressed by gzip, which is not an IDX file of unsigned bytes"),
        (b"PK\x03\x04" + GOOD, "is a zip archive, which is not an IDX file of unsigned bytes"),
        (
            b"\n<html lang='en'>\n<p>Log in</p>",
            "is a web page, which starts with \"<html lang='en'>\", which is not an IDX file of unsigned bytes",
        ),
        (b"\x01" + GOOD[1:], "starts with 01 00 08 03, which is not an IDX file of unsigned bytes"),
        (b"\0\x01" + GOOD[2:], "starts with 00 01 08 03, which is not an IDX file of unsigned bytes"),
        (b"\0\0\x09" + GOOD[3:], "starts with 00 00 09 03, which is not an IDX file of unsigned bytes"),
        (b"\0\0\x08\0" + GOOD[4:], "starts with 00 00 08 00, which is not an IDX file of unsigned bytes"),
        (GOOD[:4], "ends after 4 bytes, within its header"),
        (GOOD[:15], "ends after 15 bytes, within its header"),
        (GOOD[:16], "0 bytes follow the header, which declares 3 x 4 x 5 = 60"),
        (GOOD[:-1], "59 bytes follow the header, which declares 3 x 4 x 5 = 60"),
        (GOOD + b"\0", "61 bytes follow the header, which declares 3 x 4 x 5 = 60"),
        # 2**32 * 2**32 is 0 in 64 bits
        (
            b"\0\0\x08\x04" + 4 * b"\0\x01\0\0",
            "0 bytes follow the header, which declares 65536 x 65536 x 65536 x 65536 = 18446744073709551616",
        ),
    ],
)
def test_a_malformed_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        idx.parse(data)
    assert str(refusal.value) == message


def test_a_file_gives_its_shape_and_some_rows_without_being_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(GOOD)
    assert idx.shape_of(path) == (3, 4, 5)
    np.testing.assert_array_equal(idx.read_rows(path, (3, 4, 5), 1, 2), idx.parse(GOOD)[1:].reshape(2, 20))
    path.write_bytes(GOOD + b"\0")
    with pytest.raises(ValueError, match=r"^61 bytes follow the header, which declares 3 x 4 x 5 = 60$"):
        idx.shape_of(path)


def test_many_labels_are_not_all_listed() -> None:
    with pytest.raises(ValueError, match=r"the 26 labels found are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …$"):
        idx.check_labels(np.arange(26, dtype=np.uint8), 26, 10)


def test_images_of_the_right_shape_pass() -> None:
    idx.check_images((1, 8, 9), [8, 9])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 9, 8), "holds 3 x 9 x 8 bytes, not n images of 8 x 9"),
        ((3, 72), "holds 3 x 72 bytes, not n images of 8 x 9"),
        ((3, 8, 9, 1), "holds 3 x 8 x 9 x 1 bytes, not n images of 8 x 9"),
        ((0, 8, 9), "holds 0 x 8 x 9 bytes, not n images of 8 x 9"),
    ],
)
def test_images_of_another_shape_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        idx.check_images(shape, [8, 9])
    assert str(refusal.value) == message


def test_labels_of_every_class_pass() -> None:
    idx.check_labels(np.array([2, 0, 1], np.uint8), 3, 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [0, 1, 3, 0, 200],
            "row 2: label 3 is not between 0 and 2, one for each of data.classes; the 4 labels found are 0, 1, 3, 200",
        ),
        (
            [2, 1, 3, 1, 1],
            "row 2: label 3 is not between 0 and 2, one for each of data.classes; the 3 labels found are 1, 2, 3",
        ),
        ([0, 1, 2, 0], "holds 4 labels for 5 images"),
        ([[0], [1], [2], [0], [1]], "holds 5 x 1 labels for 5 images"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: list[int], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        idx.check_labels(np.array(labels, np.uint8), 5, 3)
    assert str(refusal.value) == message


# ---- the stage


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[np.uint8]]:
    """A project with 12 training and 4 test images of 8 x 9 pixels in three classes."""
    monkeypatch.chdir(tmp_path)
    settings = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    settings["data"] |= {"image_shape": [8, 9], "classes": ["cat", "dog", "eel"]}
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    contents = [some_bytes(12, 8, 9), some_bytes(12) % 3, some_bytes(4, 8, 9), some_bytes(4) % 3]
    for name, values in zip(NAMES, contents, strict=True):
        raw(name, idx_file(values))
    return dict(zip(NAMES, contents, strict=True))


def raw(name: str, data: bytes) -> None:
    path = Path("data/raw", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def fails() -> str:
    with pytest.raises(SystemExit) as end:
        flatten.main()
    assert [path for path in Path("data/flat").rglob("*") if path.is_file()] == [], "all four arrays or none"
    assert isinstance(end.value.code, str), "a message, which Python turns into exit code 1"
    return end.value.code


def test_flatten_keeps_every_byte(project: dict[str, NDArray[np.uint8]]) -> None:
    flatten.main()
    written = {path.name: np.load(path) for path in Path("data/flat").glob("*.npy")}
    wanted = {
        "train_images.npy": project[NAMES[0]].reshape(12, 72),
        "train_labels.npy": project[NAMES[1]],
        "test_images.npy": project[NAMES[2]].reshape(4, 72),
        "test_labels.npy": project[NAMES[3]],
    }
    assert written.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(written[name], values, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_flatten_names_the_file_with_a_wrong_byte(name: str) -> None:
    data = Path("data/raw", name).read_bytes()
    raw(name, b"\x01" + data[1:])
    start = (b"\x01" + data[1:4]).hex(" ")
    assert fails() == f"data/raw/{name}: starts with {start}, which is not an IDX file of unsigned bytes"


@pytest.mark.parametrize("name", NAMES)
def test_flatten_names_the_file_that_is_missing(name: str) -> None:
    Path("data/raw", name).unlink()
    assert fails() == f"data/raw/{name}: No such file or directory"


@pytest.mark.parametrize("name", NAMES[1::2])
def test_flatten_names_the_row_with_a_label_out_of_range(name: str, project: dict[str, NDArray[np.uint8]]) -> None:
    project[name][2] = 3
    raw(name, idx_file(project[name]))
    found = ", ".join(map(str, np.unique(project[name])))
    assert fails() == (
        f"data/raw/{name}: row 2: label 3 is not between 0 and 2, one for each of data.classes; "
        f"the {len(np.unique(project[name]))} labels found are {found}"
    )


@pytest.mark.parametrize("name", NAMES[1::2])
def test_flatten_refuses_one_label_too_few(name: str, project: dict[str, NDArray[np.uint8]]) -> None:
    count = len(project[name])
    raw(name, idx_file(project[name][1:]))
    assert fails() == f"data/raw/{name}: holds {count - 1} labels for {count} images"


@pytest.mark.parametrize("name", NAMES[::2])
def test_flatten_refuses_images_of_another_shape(name: str, project: dict[str, NDArray[np.uint8]]) -> None:
    count = len(project[name])
    raw(name, idx_file(project[name].transpose(0, 2, 1).copy()))
    assert fails() == f"data/raw/{name}: holds {count} x 9 x 8 bytes, not n images of 8 x 9"
