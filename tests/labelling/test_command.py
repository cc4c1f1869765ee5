"""The command `fewlabels`: what it says of a folder, what it predicts for one, and each fault in one line."""

import csv
import io
from pathlib import Path
from typing import Any
from zlib import crc32

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from typer.testing import CliRunner, Result

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.features.hog import HOG
from fewlabels.features.pixels import scale_pixels
from fewlabels.networks.pretrained import PretrainedEmbedding
from labelling.command import app

SHAPE = (8, 8)
CLASSES = ["black, or nearly", "white"]
READ = {"image_shape": list(SHAPE), "fit": "stretch", "classes": CLASSES}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refusal(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    text = str(result.exception.code) if isinstance(result.exception, SystemExit) else ""
    text = text if text != "1" else result.stderr.strip()
    assert "\n" not in text
    return text


def picture(name: str, level: int = 0, size: tuple[int, int] = SHAPE, noise: int = 1) -> None:
    path = Path("mine", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = crc32(name.encode()) if noise else 0
    pixels = level + np.random.default_rng(seed).integers(0, 20 if noise else 1, (size[1], size[0]))
    Image.fromarray(pixels.astype(np.uint8)).save(path, format="PNG")


def pixels_classifier() -> Any:
    """Tells black from white by pixels."""
    images = np.repeat(np.array([[5], [15], [230], [250]], np.uint8), 64, axis=1)
    model = logistic_regression(FunctionTransformer(scale_pixels), C=1, max_iterations=100)
    return model.fit(images, [0, 0, 1, 1])


@pytest.fixture
def model() -> str:
    saved = pixels_classifier()
    saved.pictures_ = READ
    joblib.dump(saved, "model.joblib")
    return "model.joblib"


# ---- predict


def test_new_pictures_are_labelled_and_those_that_cannot_be_read_are_named(model: str) -> None:
    picture("b/dark.png", 3)
    picture("a light one.png", 200, size=(30, 20))
    Path("mine/.DS_Store").touch()
    Path("mine/broken.jpg").write_text("nothing")
    result = call("predict", "mine", "--model", model, "-o", "out/found.csv")
    assert result.exit_code == 0, result.output
    with Path("out/found.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["a light one.png", "b/dark.png", "broken.jpg"]
    assert [row["label"] for row in rows.values()] == ["white", "black, or nearly", ""]
    assert float(rows["b/dark.png"]["confidence"]) > 0.7
    assert rows["broken.jpg"]["reason"] == "no picture, or of a kind that is not known"
    for said in ("black, or nearly", "could not be read"):
        assert said in result.stderr


def test_without_a_file_the_table_is_printed(model: str) -> None:
    picture("dark.png")
    result = call("predict", "mine", "--model", model)
    [row] = csv.DictReader(io.StringIO(result.stdout))
    assert (row["file"], row["label"]) == ("dark.png", "black, or nearly")


def test_more_pictures_than_are_predicted_at_a_time(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from labelling import predict

    monkeypatch.setattr(predict, "CHUNK", 3)
    for number in range(8):
        picture(f"{number}.png", 200 * (number % 2))
    rows = list(csv.DictReader(io.StringIO(call("predict", "mine", "--model", model).stdout)))
    assert [CLASSES.index(row["label"]) for row in rows] == [0, 1] * 4


def test_a_folder_without_a_picture_is_named_and_nothing_is_written(model: str) -> None:
    assert refusal("predict", "nowhere", "--model", model) == "nowhere: there is no such folder"
    Path("mine").mkdir()
    assert refusal("predict", "mine", "--model", model) == "mine: no picture is in it"
    Path("mine/a.jpg").touch()
    said = refusal("predict", "mine", "--model", model, "-o", "out.csv")
    assert said == "mine: none of 1 files could be read as a picture"
    assert not Path("out.csv").exists()


def test_a_model_that_cannot_be_used_is_named(model: str) -> None:
    picture("a.png")
    Path("broken.joblib").write_text("nothing")
    Path("model.keras").touch()
    joblib.dump(None, "untrained.joblib")
    other = pixels_classifier()
    joblib.dump(other, "silent.joblib")
    hog = make_pipeline(HOG((6, 6)).fit(np.zeros((3, 36), np.uint8)), KernelRidgeClassifier())
    hog[-1].fit(hog[0].transform(np.zeros((2, 36), np.uint8)), [0, 1])
    hog.pictures_ = READ
    joblib.dump(hog, "small.joblib")
    for name, said in {
        "nowhere.joblib": "nowhere.joblib: there is no such file",
        "model.keras": "model.keras: neither a .joblib nor a .skops file; of a network, take the .joblib file "
        "beside it",
        "untrained.joblib": "untrained.joblib: this model could not be trained, for want of labels",
        "silent.joblib": "silent.joblib: it does not say how its pictures are read: was it trained by `dvc repro`?",
        "small.joblib": "small.joblib: it takes 36 numbers of each picture, not image_shape [8, 8]",
    }.items():
        assert refusal("predict", "mine", "--model", name) == said
    assert refusal("predict", "mine", "--model", "broken.joblib").startswith("broken.joblib: no model can be read")


# ---- share


def ridge_on(transformer: Any) -> Any:
    images = np.random.default_rng(0).integers(0, 256, (12, 64)).astype(np.uint8)
    fitted = transformer.fit(images)
    classifier = KernelRidgeClassifier(classes=range(2)).fit(fitted.transform(images), np.arange(12) % 2)
    model = make_pipeline(FrozenEstimator(fitted), classifier)
    model.pictures_ = READ
    return model


@pytest.mark.parametrize(
    "transformer", [HOG(SHAPE, 5), PretrainedEmbedding(SHAPE, n_components=5)], ids=["hog", "pretrained"]
)
def test_a_shared_model_predicts_the_same_and_is_no_program(transformer: Any) -> None:
    joblib.dump(ridge_on(transformer), "model.joblib")
    for number in range(4):
        picture(f"{number}.png", 60 * number)
    result = call("share", "model.joblib", "model.skops")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("model.skops: ")
    tables = [call("predict", "mine", "--model", f"model.{kind}").stdout for kind in ("joblib", "skops")]
    assert tables[0] == tables[1]
    assert tables[0].count("\n") == 5


def test_what_skops_cannot_hold_is_named(model: str) -> None:
    stranger = make_pipeline(FunctionTransformer(np.sqrt), KernelRidgeClassifier()).fit(np.eye(64), np.arange(64) % 2)
    stranger.steps.insert(0, ("print", FunctionTransformer(call)))
    stranger.pictures_ = READ
    joblib.dump(stranger, "stranger.joblib")
    assert refusal("share", "stranger.joblib", "s.skops").startswith("stranger.joblib: skops cannot hold it: ")
    assert not Path("s.skops").exists()
    assert refusal("share", model, "s.pkl") == "s.pkl: the name of such a file ends in .skops"


# ---- doctor


def test_a_folder_is_described_and_nothing_is_written() -> None:
    for number in range(6):
        picture(f"cat/{number}.png", 20 * number, size=(30 + number, 20))
    for number in range(3):
        picture(f"dog/{number}.png", 100 + 20 * number, size=(30, 20))
    Path("mine/dog/copy.png").write_bytes(Path("mine/cat/0.png").read_bytes())
    Path("mine/cat/copy.png").write_bytes(Path("mine/cat/0.png").read_bytes())
    Path("mine/cat/broken.png").write_text("nothing")
    Path("mine/eel").mkdir()
    before = sorted(Path().rglob("*"))
    said = call("doctor", "mine").output.splitlines()
    assert sorted(Path().rglob("*")) == before
    assert said == [
        "mine/eel: empty, so it is no class",
        "12 files, 11 pictures that can be read",
        "1 left out",
        "  cat/broken.png: no picture, or of a kind that is not known",
        "2 copies, for which nobody pays twice",
        "  cat/copy.png of cat/0.png",
        "  dog/copy.png of cat/0.png",
        "1 copies with another label",
        "  cat/0.png (cat) and dog/copy.png (dog)",
        "labels: 11 pictures of 2 classes, 0 without",
        "largest class 'cat' with 7, smallest 'dog' with 4: 1.8 to 1",
        "sizes: 30 to 35 wide, 20 to 20 high, in the median 30 x 20; 0 in colour",
        "suggested: features: hog, data.image_shape: [20, 20]",
        "features: auto lets the labels of the first round decide",
    ]


def test_large_pictures_in_colour_suit_a_pretrained_network() -> None:
    Path("mine").mkdir()
    for number in range(3):
        colours = np.random.default_rng(number).integers(0, 256, (150, 200, 3)).astype(np.uint8)
        Image.fromarray(colours).save(f"mine/{number}.png")
    said = call("doctor", "mine").output
    assert "labels: none; people can give some in labels.csv" in said
    assert "suggested: features: embedding, data.image_shape: [224, 224, 3]" in said
    assert "3 in colour" in said


def test_what_would_stop_a_run_is_said_and_the_rest_is_looked_at() -> None:
    picture("a.png")
    picture("b.png", 90)
    Path("mine/labels.csv").write_text("file,label\nc.png,cat\n", encoding="utf-8")
    said = call("doctor", "mine").output.splitlines()
    assert said[0] == "a run would stop here: mine/labels.csv: line 2: 'c.png' is not in mine"
    assert said[1] == "2 files, 2 pictures that can be read"
    assert refusal("doctor", "nowhere") == "nowhere: there is no such folder"


def test_help_names_every_command_and_what_a_joblib_file_is() -> None:
    for name in ("doctor", "predict", "share"):
        assert name in call("--help").output
    assert "program" in call("predict", "--help").output
