"""Where the stages compute changes no result: as arrays, as pools on disk, on a cluster, and after a failure."""

import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT, write_idx
from distributed import Client
from numpy.typing import NDArray
from PIL import Image
from synthetic import BARS, bars

from fewlabels.dask_cluster import served
from fewlabels.features import hog
from fewlabels.features.hog import oriented_gradients
from fewlabels.pool import Pool, as_pool
from fewlabels.run import EngineError
from stages import auto_label, command, describe, engine, files, flatten, inputs, params, predictions, reading

STAGES = [
    "flatten",
    "embed",
    "first_round",
    "describe",
    "kmeans",
    "select_representatives",
    "propagate",
    "train_ridge",
    "evaluate",
    "auto_label",
]
AS_DVC = ("evaluate", "auto_label")
"""Stages that are started as DVC does: as the main module, which is another one in workers that others started."""
FOLDERS = ("data/features", "data/clusters", "data/labels", "data/predictions", "metrics")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("workers"), workers=2, memory="1.5 GB", port=0) as (address, _):
        yield address


def project(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: dict[str, Any]) -> None:
    """Go to a new project with 2,500 images of bars, in chunks of 1,024."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setattr(flatten, "chunk_of", lambda row_bytes: 1024)
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    settings |= {"clusters": 30, "features": "hog"}
    settings["data"] |= {"source": "idx", "folder": "x", "image_shape": list(BARS), "classes": ["one", "two", "three"]}
    settings["cluster_margin"] |= {"first_round": 10}
    predictions.save("nn", "propagated_soft", {"untrained": np.array("is not, here")})
    files.save_json(predictions.curves_of("propagated_soft"), [])
    trained = {"lr": [], "lr_distances": [], "nn": ["propagated_soft"], "ridge": ["active"], "ensemble": []}
    settings["label_sets"] = trained
    for section, values in changes.items():
        settings[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    Path("data/raw").mkdir(parents=True)
    for part, count in (("train", 2500), ("t10k", 50)):
        images, labels = bars(count)
        images[count // 2] = images[0]
        write_idx(Path(f"data/raw/{part}-images-idx3-ubyte"), images.reshape(-1, *BARS))
        write_idx(Path(f"data/raw/{part}-labels-idx1-ubyte"), labels)


def run(stages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in stages:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["stage", *(["active"] if name == "train_ridge" else [])])
            if name in AS_DVC:
                patched.setattr(command, "ROOT", Path.cwd())
                patched.delitem(sys.modules, f"stages.{name}", raising=False)  # or runpy warns that it is there
                runpy.run_module(f"stages.{name}", run_name="__main__", alter_sys=True)
            else:
                import_module(f"stages.{name}").main()


def results() -> dict[str, Any]:
    """What the stages have written, whatever the layout: rows, label sets, predictions, scores, the labelled pile."""
    found: dict[str, Any] = {str(auto_label.PILE): auto_label.PILE.read_text(encoding="utf-8")}
    for folder in FOLDERS:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix == ".npy" and not path.parent.suffix:
                found[str(path)] = as_pool(files.load_rows(path)).array().tolist()
            elif path.suffix == ".npz":
                found[str(path)] = {name: values.tolist() for name, values in files.load_arrays(path).items()}
            elif path.suffix == ".json":
                found[str(path)] = files.load_json(path)
    return found


ON_DISK = {"in_memory": 1000}


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched:
        project(tmp_path_factory.mktemp("arrays") / "project", patched)
        run(STAGES, patched)
        assert not inputs.on_disk()
        return results()


def test_a_pile_on_disk_gives_what_arrays_give(
    in_memory: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "project", monkeypatch, pool=ON_DISK)
    run(STAGES, monkeypatch)
    for name in ("flat/train_images.npy", "features/train.npy"):
        assert Pool(f"data/{name}").chunks == 3
    assert results() == in_memory
    assert not list(Path("data").rglob(".partial*"))
    assert not engine.SCRATCH.exists() or not list(engine.SCRATCH.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("pool", [{}, ON_DISK], ids=["arrays", "on disk"])
def test_a_cluster_gives_what_one_process_gives(
    pool: dict[str, Any], scheduler: str, in_memory: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "project", monkeypatch, pool=pool, engine={"scheduler": scheduler})
    run(STAGES, monkeypatch)
    assert results() == in_memory


def test_a_stage_that_failed_goes_on_from_what_is_there(
    in_memory: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are computed once: when neighbours then fail, the next run has them."""
    described: list[int] = []

    def counted(images: NDArray[np.uint8], image_shape: list[int]) -> NDArray[np.float32]:
        described.append(len(images))
        return oriented_gradients(images, image_shape)

    project(tmp_path / "project", monkeypatch, pool=ON_DISK)
    monkeypatch.setattr(hog, "oriented_gradients", counted)
    run(["flatten", "embed", "first_round"], monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(describe, "nearest_neighbours", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space left"):
            run(["describe"], patched)
    assert list(engine.SCRATCH.iterdir())
    first = sum(described)
    run(["describe"], monkeypatch)
    assert first >= 3 * 2500, "fitted to all, which looks at them twice, then computed for all"
    assert sum(described) - first < 2 * 2500 + 100, "fitted to all, and computed for the test images"
    run(STAGES[4:], monkeypatch)
    assert results() == in_memory
    assert not list(engine.SCRATCH.iterdir())


def test_a_scheduler_that_is_not_there_ends_a_stage_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "project", monkeypatch, engine={"scheduler": "tcp://127.0.0.1:1"})

    def refused(*_: object, **__: object) -> None:
        raise EngineError("engine.scheduler: tcp://127.0.0.1:1: cannot be reached")

    monkeypatch.setattr(engine, "connected", refused)
    line = r"^params.yaml: engine.scheduler: tcp://127.0.0.1:1: cannot be reached$"
    with pytest.raises(SystemExit, match=line), engine.running(params.load(), "describe"):
        pytest.fail("nothing is computed")


def test_idx_files_leave_nothing_of_pictures_that_were_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path / "project", monkeypatch)
    (engine.SCRATCH / "flatten").mkdir(parents=True)
    run(["flatten"], monkeypatch)
    assert not list(engine.SCRATCH.iterdir())


def test_images_that_fit_are_one_array_and_others_a_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path / "project", monkeypatch)
    run(["flatten"], monkeypatch)
    images = np.array(inputs.images("train"))
    assert Path("data/flat/train_images.npy").is_file()
    monkeypatch.setattr(flatten, "MEMORY_SHARE", 1e-12)
    run(["flatten"], monkeypatch)
    assert inputs.on_disk()
    np.testing.assert_array_equal(as_pool(inputs.images("train")).array(), images)
    np.testing.assert_array_equal(inputs.pixels("train", np.array([2499, 0, 1024])), images[[2499, 0, 1024]])


BOTH = "pool.in_memory and a sixteenth of the memory"


@pytest.mark.parametrize(
    ("most", "share", "exceeded"),
    [
        (2500, 1 / 16, ""),
        (2499, 1 / 16, "pool.in_memory"),
        (2500, 1e-12, "a sixteenth of the memory"),
        (2499, 1e-12, BOTH),
    ],
)
def test_the_limit_that_makes_images_a_pool_is_named(
    most: int,
    share: float,
    exceeded: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project(tmp_path / "project", monkeypatch, pool={"in_memory": most})
    monkeypatch.setattr(flatten, "MEMORY_SHARE", share)
    run(["flatten"], monkeypatch)
    said = [line for line in capsys.readouterr().out.splitlines() if "more than" in line]
    assert said == [f"train: more than {exceeded}: written as 3 files"] * bool(exceeded)
    assert inputs.on_disk() == bool(exceeded)


# ---- pictures


def pictures(folder: Path, monkeypatch: pytest.MonkeyPatch, **how: Any) -> Callable[[], dict[str, bytes]]:
    """Go to a new project with 90 pictures, of which three cannot be read; gives what lists all that flatten writes."""
    own = {"source": "images", "folder": "images/mine", "image_shape": [24, 20, 3], "classes": None}
    project(folder, monkeypatch, data=own, **how)
    monkeypatch.setattr(reading, "CHUNK", 8)
    random = np.random.default_rng(0)
    for number in range(90):
        path = Path("images/mine", "abc"[number % 3], f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (400, 500, 3)).astype(np.uint8)).save(path)
        if number % 30 == 7:
            path.write_bytes(path.read_bytes()[:1000])

    def flattened() -> dict[str, bytes]:
        run(["download", "flatten"], monkeypatch)
        assert not list(engine.SCRATCH.iterdir())
        return {str(path): path.read_bytes() for path in Path("data/flat").rglob("*") if path.is_file()}

    return flattened


@pytest.fixture(scope="module")
def flattened_here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patched:
        return pictures(tmp_path_factory.mktemp("pictures") / "project", patched)()


def not_here(*_: object) -> None:
    pytest.fail("is left to the workers")


@pytest.mark.slow
def test_the_workers_of_a_cluster_read_the_pictures(
    flattened_here: dict[str, bytes], scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flattened = pictures(tmp_path / "project", monkeypatch, engine={"scheduler": scheduler})
    monkeypatch.setattr(reading, "read", not_here)
    assert flattened() == flattened_here


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_reads_changes_nothing(
    flattened_here: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    done = threading.Event()

    def kill(worker: int) -> None:
        while not killed and not done.is_set():
            chunks = len(list(engine.SCRATCH.absolute().glob("flatten/.partial-reasons-*/[0-9]*.npy")))
            if chunks:
                os.kill(worker, signal.SIGKILL)
                killed.append(chunks)
            time.sleep(0.001)

    with served(tmp_path / "workers", workers=2, memory="1.5 GB", port=0) as (address, _):
        flattened = pictures(tmp_path / "project", monkeypatch, engine={"scheduler": address})
        with Client(address) as client:
            worker = next(iter(client.run(os.getpid).values()))
        thread = threading.Thread(target=kill, args=(worker,), daemon=True)
        thread.start()
        try:
            assert flattened() == flattened_here
        finally:
            done.set()
            thread.join()
    assert killed, "it was done before"
    assert killed[0] < 12, "of 12 chunks"
