"""The pipeline as a user runs it, in small: results, what a change re-runs, bad values, kills, a sweep.

All tests that need `finished` are here, so that it is made once where processes share the tests.
"""

import csv
import json
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import vl_convert
import yaml
from conftest import CLASSES, CLUSTERS, PROJECT, SHAPE, SMALL, Repository, copy_compiled
from numpy.typing import NDArray

from benchmarks import peers
from experiments import report, results, sweep
from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.rounds import simulate
from fewlabels.label_set import LabelSet
from stages import params, train_nn
from stages.registry import BOUGHT, CLASSIFIERS

LR, NN = (SMALL[f"label_sets.{name}"] for name in ("lr", "nn"))
MODELS = [(name, label_set) for name in CLASSIFIERS for label_set in SMALL[f"label_sets.{name}"]]

KILLER = """
import os, pathlib, signal

def replace(partial, target, original=pathlib.Path.replace):
    if target.name == os.environ["KILLED_AT"]:
        os.killpg(0, signal.SIGKILL)
    return original(partial, target)

pathlib.Path.replace = replace
"""
"""Imported by Python at its start: kills DVC and the stage when a file is written but does not have its name yet."""

ALONE = """
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]
"""
"""Imported by Python at its start: the installed fewlabels is not there, only what lies in the working directory."""


def ran(output: str) -> list[str]:
    """The stages that DVC ran, neither skipped nor restored."""
    return re.findall(r"^Running stage '(.+)':$", output, re.MULTILINE)


def details(repository: Repository) -> dict:
    return json.loads((repository.folder / "metrics/details.json").read_text(encoding="utf-8"))


def array(repository: Repository, name: str) -> NDArray:
    return np.load(repository.folder / f"data/flat/{name}.npy")


def label_sets(repository: Repository) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (repository.folder / "data/labels").iterdir()}


def files(folder: Path) -> set[Path]:
    """Every file but the compiled code that Python and numba keep beside their modules."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in found if "__pycache__" not in path.parts}


def test_images_arrive_as_they_are(finished: Repository, images: Path) -> None:
    for part, name, count in (("train", "train", 300), ("t10k", "test", 100)):
        assert array(finished, f"{name}_images").shape == (count, SHAPE[0] * SHAPE[1])
        assert array(finished, f"{name}_labels").shape == (count,)
        for kind, idx in (("images", "images-idx3-ubyte"), ("labels", "labels-idx1-ubyte")):
            assert (images / f"{part}-{idx}").read_bytes().endswith(array(finished, f"{name}_{kind}").tobytes())


def test_metrics_have_every_arm(finished: Repository) -> None:
    found = details(finished)
    assert set(found) == {"run", "kmeans", "label_sets", *CLASSIFIERS, "untrained", "recall"}
    assert found["run"]["classes"] == CLASSES
    compared = json.loads((finished.folder / "metrics/metrics.json").read_text(encoding="utf-8"))
    assert set(compared) == {"accuracy", "purity"}
    for name, label_set in MODELS:
        assert compared["accuracy"][name][label_set] == found[name][label_set]["accuracy"]
    assert set(compared["purity"]) == {"clusters", "propagated", "partially_propagated", "propagated_soft"}
    assert set(found["kmeans"]) == {"inertia", "purity", "iterations", "distinct_nearest"}
    assert found["kmeans"]["distinct_nearest"] <= CLUSTERS
    assert set(found["label_sets"]) == {label_set for _, label_set in MODELS}
    assert [(name, label_set) for name in CLASSIFIERS for label_set in found[name]] == MODELS
    for name, scores in found["label_sets"].items():
        soft = {"calibration_error", "purity_above", "coverage_above"} if name == "propagated_soft" else set()
        assert set(scores) == {"bought", "rows", "purity", "coverage"} | soft
    for scores in [found[name][label_set] for name, label_set in MODELS]:
        assert {"accuracy", "macro_f1", "calibration_error"} <= set(scores)
    assert found["label_sets"]["all"] == {"bought": 300, "rows": 300, "purity": 1, "coverage": 1}
    for name in ("lr", "lr_distances"):
        assert found[name]["all"]["accuracy"] > 0.8
    for label_set in NN:
        assert (found["nn"][label_set]["collapsed_starts"], found["nn"][label_set]["collapsed"]) in [
            (0, False),
            (1, True),
        ]
    assert found["label_sets"]["random"] == {"bought": CLUSTERS, "rows": CLUSTERS, "purity": 1, "coverage": 0.04}
    assert found["label_sets"]["propagated"]["bought"] == CLUSTERS
    assert found["label_sets"]["propagated"]["coverage"] == 1
    assert found["label_sets"]["propagated"]["purity"] < 1, "the data are too easy to tell a wrong purity"


@pytest.mark.parametrize("name", BOUGHT)
def test_the_budget_buys_one_true_label_for_each_cluster(finished: Repository, name: str) -> None:
    label_set = np.load(finished.folder / f"data/labels/{name}.npz")
    assert len(np.unique(label_set["rows"])) == len(label_set["rows"]) == CLUSTERS
    assert label_set["bought"].all()
    np.testing.assert_array_equal(label_set["labels"], array(finished, "train_labels")[label_set["rows"]])

    with (finished.folder / "data/labels/purchases.csv").open(encoding="utf-8") as file:
        purchases = [purchase for purchase in csv.DictReader(file) if purchase["label_set"] == name]
    assert sorted(int(purchase["row"]) for purchase in purchases) == label_set["rows"].tolist()
    for purchase in purchases:
        assert int(purchase["label"]) == array(finished, "train_labels")[int(purchase["row"])]


def test_the_benchmark_of_peers_buys_the_random_labels_of_the_pipeline(finished: Repository) -> None:
    true_labels = array(finished, "train_labels")
    features = np.arange(len(true_labels), dtype=np.float32)[:, None]
    query, rounds = peers._random(CLUSTERS, seed=42)
    chosen = LabelSet.from_bought(*simulate(query, features, SimulatedAnnotator(true_labels), CLUSTERS, rounds=rounds))
    pipeline = np.load(finished.folder / "data/labels/random.npz")
    np.testing.assert_array_equal(chosen.rows, pipeline["rows"])
    np.testing.assert_array_equal(chosen.labels, pipeline["labels"])


@pytest.mark.parametrize(
    ("name", "source"),
    [("propagated", "representatives"), ("partially_propagated", "representatives"), ("propagated_soft", "active")],
)
def test_spread_labels_cost_what_their_source_cost(finished: Repository, name: str, source: str) -> None:
    """Every label that a classifier has seen was bought there: validation and teaching take from the same ones."""
    label_set, bought = (np.load(finished.folder / f"data/labels/{one}.npz") for one in (name, source))
    assert len(label_set["rows"]) > CLUSTERS
    for values in ("rows", "labels"):
        np.testing.assert_array_equal(label_set[values][label_set["bought"]], bought[values])


def test_models_take_pixels_and_score_what_the_metrics_say(finished: Repository) -> None:
    from fewlabels.networks.quiet_keras import keras

    models, found = finished.folder / "data/models", details(finished)
    pixels, truth = array(finished, "test_images"), array(finished, "test_labels")
    answers = {(name, one): joblib.load(models / name / f"{one}.joblib").predict(pixels) for name, one in MODELS}
    for name in NN:
        network = keras.models.load_model(models / f"nn/{name}.keras")
        np.testing.assert_array_equal(network.predict(pixels, verbose=0).argmax(axis=1), answers["nn", name])

    for (classifier, name), answer in answers.items():
        scores = found[classifier][name]
        assert scores["accuracy"] == np.mean(answer == truth)
        recall = [np.mean(answer[truth == label] == label) for label in range(len(CLASSES))]
        found_recall = {
            one["class"]: one["recall"] for one in found["recall"] if one["model"] == f"{classifier} on {name}"
        }
        assert found_recall == dict(zip(CLASSES, recall, strict=True))
        with (finished.folder / f"data/plots/confusion/{classifier}_{name}.csv").open(encoding="utf-8") as file:
            counts = {(row["actual"], row["predicted"]): int(row["count"]) for row in csv.DictReader(file)}
        pairs = [(CLASSES[one], CLASSES[other]) for one, other in zip(truth, answer, strict=True)]
        assert counts == {(one, other): pairs.count((one, other)) for one in CLASSES for other in CLASSES}


def test_few_labels_take_few_steps(finished: Repository) -> None:
    network = params.load(finished.folder / "params.yaml").network
    assert (network.few.below, network.few.steps) == (5000, 5)
    curves = json.loads((finished.folder / "data/plots/curves.json").read_text(encoding="utf-8"))
    assert {point["label_set"] for point in curves} == set(NN)
    assert [point["step"] for point in curves if point["label_set"] == "all"][-1] == 5
    for bought, steps in ((4999, 5), (5000, network.steps)):
        assert train_nn.training_settings(network, "random", bought)["steps"] == steps
    assert network.steps > 5


def test_every_file_is_described_with_its_dtype_and_shape(finished: Repository) -> None:
    """data/README.md, line by line, held to what the small run wrote."""
    pixels = SHAPE[0] * SHAPE[1]
    shapes = {
        "(n, pixels)": [(300, pixels)],
        "(m, pixels)": [(100, pixels)],
        "(n,)": [(300,)],
        "(m,)": [(100,)],
        "(n, f)": [(300, 288)],
        "(m, f)": [(100, 288)],
        "(0, 0) or (n or m, d)": [(0, 0)],
        "(n, 5)": [(300, 5)],
        "(a,)": [(0,)],
        "(n, c) or (0, 0)": [(300, len(CLASSES)), (0, 0)],
    }
    text = (PROJECT / "data/README.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    described: set[str] = set()
    for name, *cells in rows:
        for pattern in re.findall("`(.+?)`", name):
            parts = re.match(r"(.*?)\{(.*)\}(.*)", pattern)
            names = [f"{parts[1]}{one}{parts[3]}" for one in parts[2].split(",")] if parts else [pattern]
            for one in names:
                glob = one.replace("CLASSIFIER_LABEL_SET", "*_*").replace("CLASSIFIER", "*").replace("LABEL_SET", "*")
                paths = list((finished.folder / "data").glob(glob))
                assert paths or "/" not in one, f"data/README.md: {one} was not written"
                described |= {str(path.relative_to(finished.folder)) for path in paths}
                if one.endswith(".npy"):
                    values, (_, dtype, shape, *_) = np.load(paths[0]), cells
                    assert str(values.dtype) == dtype, one
                    assert values.shape in shapes[shape], one
    written = {str(path) for path in files(finished.folder) if path.parts[0] == "data"}
    assert written - described == set()


def test_clusters_load_and_give_distances(finished: Repository) -> None:
    clusters = finished.folder / "data/clusters"
    distances = joblib.load(clusters / "kmeans.joblib").transform(array(finished, "train_images"))
    assert distances.shape == (300, CLUSTERS)
    np.testing.assert_array_equal(distances.argmin(axis=1), np.load(clusters / "assignments.npy"))
    np.testing.assert_allclose(distances.min(axis=1), np.load(clusters / "distances.npy"), rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "check",
        "download",
        "flatten",
        "first-round",
        "embed",
        "describe",
        "kmeans",
        "select-representatives",
        "propagate",
        "train-lr@all",
        "train-lr-distances@all",
        "train-ridge@active",
        "train-nn@all",
        "ensemble@propagated_soft",
        "evaluate",
        "auto-label",
    ],
)
def test_a_stage_needs_no_data_but_its_dependencies(finished: Repository, tmp_path: Path, name: str) -> None:
    """Alone with the files it declares, a stage writes what it declares, and byte for byte what it wrote before."""
    stage = yaml.safe_load((finished.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"][name]
    alone = Repository(tmp_path / "alone")
    needed = [dep["path"] for dep in stage["deps"]]
    packages = [path.relative_to(finished.folder) for path in finished.folder.rglob("__init__.py")]
    for path in dict.fromkeys([*needed, "params.yaml", "stages/params.py", "stages/registry.py", *packages]):
        source, target = finished.folder / path, alone.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
    copy_compiled(finished.folder, alone.folder)
    before = files(alone.folder)
    (tmp_path / "sitecustomize.py").write_text(ALONE, encoding="utf-8")
    alone.run(*shlex.split(stage["cmd"]), PYTHONPATH=str(tmp_path))

    outs = [out["path"] for out in stage.get("outs", [])]
    written = {path for path in files(finished.folder) if any(path.is_relative_to(out) for out in outs)}
    assert files(alone.folder) - before == written
    for path in written:
        # Keras dates its files, also inside joblib's; their curves are compared. What a run cost is never the same.
        if not {"nn", "costs", "ensemble"} & set(path.parts):
            assert (alone.folder / path).read_bytes() == (finished.folder / path).read_bytes(), path


def test_a_second_run_runs_nothing(repository: Repository) -> None:
    output = repository.run("dvc", "repro")
    assert ran(output) == []
    assert "Data and pipelines are up to date." in output


FEWER: dict[str, object] = {"label_sets.nn": ["all"], "label_sets.lr": ["random"], "label_sets.ensemble": []}


@pytest.fixture(scope="module")
def fewer(finished: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy of `finished` after another run, with fewer models, committed. For reading only."""
    folder = tmp_path_factory.mktemp("fewer") / "repository"
    shutil.copytree(finished.folder, folder)
    repository = Repository(folder)
    repository.configure(FEWER)
    repository.run("dvc", "repro")
    repository.commit()
    return repository


def test_a_second_clone_computes_nothing_whatever_ran_before(fewer: Repository, tmp_path: Path) -> None:
    """For two settings, one after the other in the same folders: what the other left there does not matter."""
    shutil.copytree(fewer.folder, tmp_path / "repository")
    repository, second = Repository(tmp_path / "repository"), Repository(tmp_path / "second")
    repository.run("dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    repository.commit()
    for setting in ("fewer", "all"):
        if setting == "all":
            repository.configure({name: SMALL[name] for name in FEWER})
            repository.run("dvc", "repro")
            repository.commit()
        repository.run("dvc", "push", "--run-cache")
        if second.folder.exists():
            second.run("git", "pull", "--quiet")
        else:
            repository.run("git", "clone", "--quiet", str(repository.folder), str(second.folder))
        second.run("dvc", "pull", "--run-cache")
        second.run("dvc", "checkout")  # removes what the setting before has left, as pull does not
        assert json.loads(second.run("dvc", "status", "--json")) == {}
        assert ran(second.run("dvc", "repro")) == []
    # A setting that was not committed comes from the run cache, in place of what lies there now; but for `check`, which
    # is not kept in it, and the figures, which are in git and not in DVC's cache.
    second.configure(FEWER)
    assert ran(second.run("dvc", "repro")) == ["check", "evaluate"]
    assert second.run("git", "status", "--porcelain", "metrics") != ""
    first_commit = second.run("git", "rev-list", "HEAD").split()[1]
    assert second.run("git", "diff", first_commit, "--", "metrics", "dvc.lock") == ""


def test_a_mistyped_parameter_is_noticed_when_everything_is_cached(repository: Repository) -> None:
    text = (repository.folder / "params.yaml").read_text(encoding="utf-8")
    (repository.folder / "params.yaml").write_text(f"{text}percentil: 50\n", encoding="utf-8")
    for target in ([], ["train-ridge@random"]):
        code, output = repository.attempt("dvc", "repro", *target)
        assert code != 0
        assert ran(output) == ["check"]
        assert "\nparams.yaml: percentil: is not a known parameter\n" in output


def test_the_page_of_plots_is_small_and_has_what_this_run_trained(fewer: Repository) -> None:
    drawn = json.loads(fewer.run("dvc", "plots", "show", "--json"))
    assert drawn.get("errors", []) == []
    trained = {name: (SMALL | FEWER)[f"label_sets.{name}"] for name in CLASSIFIERS}
    models = [f"{name}_{one}" for name, some in trained.items() for one in some]
    pages = {"validation accuracy", "training loss", "metrics/details.json"}
    assert set(drawn["data"]) == pages | {f"data/plots/confusion/{one}.csv" for one in models}
    for plot in ("validation accuracy", "training loss"):
        (shown,) = drawn["data"][plot]
        values = shown["content"]["data"]["values"]
        assert {value["label_set"] for value in values} == {"all"}
        assert values[-1]["step"] == 5
    (shown,) = drawn["data"]["data/plots/confusion/lr_random.csv"]
    assert [value["predicted"] for value in shown["content"]["data"]["values"][: len(CLASSES)]] == CLASSES
    for plots in drawn["data"].values():
        for shown in plots:
            assert "<DVC_METRIC" not in json.dumps(shown["content"])
            assert vl_convert.vegalite_to_svg(shown["content"]).count("<path") > 10
            assert len(shown["content"]["data"]["values"]) <= len(CLASSES) * max(len(CLASSES), len(MODELS))


def test_what_cannot_be_trained_on_one_label_is_left_out_and_named(repository: Repository) -> None:
    """Without networks, which are soon trained on one label in tests/networks, too."""
    changes = {"label_sets.nn": [], "label_sets.lr_distances": [], "label_sets.ensemble": []}
    trained = {"label_sets.lr": ["random", "propagated"], "label_sets.ridge": ["random"]}
    repository.configure({"clusters": 1} | changes | trained)
    repository.run("dvc", "repro")
    found = details(repository)
    assert set(found["untrained"]) == {"lr on random", "lr on propagated"}
    assert "one class" in found["untrained"]["lr on random"]
    table = repository.run("python", "-m", "experiments.table")
    assert "lr on random is left out, it cannot be trained: " in table
    assert found["ridge"]["random"]["accuracy"] > 0


def test_other_clusters_leave_the_baseline_alone(repository: Repository) -> None:
    before = label_sets(repository)
    repository.configure({"clusters": 9})
    seen = ["check", "kmeans", "select-representatives", "propagate"]
    assert ran(repository.run("dvc", "repro", "propagate")) == seen
    after = label_sets(repository)
    assert sorted(name for name in before if before[name] == after[name]) == [
        "all.npz",
        "audit.npz",
        "audit_rows.npy",
        "first_round.npz",
    ]
    changed = json.loads(repository.run("dvc", "status", "--json"))
    trained = {f"{CLASSIFIERS[name].stage}@{one}" for name, one in MODELS if one != "all" or name == "lr_distances"}
    assert set(changed) == trained | {"evaluate", "auto-label"}


def test_other_features_change_what_sees_them(repository: Repository) -> None:
    """With pixels as with HOG, kernel ridge regression and cluster-margin sampling see HOG, and networks see pixels."""
    before = label_sets(repository)
    repository.configure({"features": "hog"})
    seen = ["check", "first-round", "embed", "describe", "kmeans", "select-representatives", "propagate"]
    seen += ["train-lr-distances@all"]
    assert sorted(ran(repository.run("dvc", "repro", "propagate", "train-lr-distances@all"))) == sorted(seen)
    concerned = {*(f"train-lr@{name}" for name in LR), "evaluate", "auto-label"}
    assert set(json.loads(repository.run("dvc", "status", "--json"))) == concerned
    after = label_sets(repository)
    same = [name for name in before if before[name] == after[name]]
    assert sorted(same) == [
        "active.npz",
        "all.npz",
        "audit.npz",
        "audit_rows.npy",
        "first_round.npz",
        "propagated_soft.npz",
        "random.npz",
    ]
    model = joblib.load(repository.folder / "data/models/lr_distances/all.joblib")
    assert model.predict(array(repository, "test_images")).shape == (100,)


def test_nothing_is_bought_in_rounds_for_nobody(repository: Repository) -> None:
    repository.configure({f"label_sets.{name}": [] for name in CLASSIFIERS} | {"label_sets.lr": ["all"]})
    repository.run("dvc", "repro", "propagate")
    for name in ("active", "propagated_soft"):
        assert len(np.load(repository.folder / f"data/labels/{name}.npz")["rows"]) == 0
    assert "active" not in (repository.folder / "data/labels/purchases.csv").read_text(encoding="utf-8")


def test_an_edit_of_a_module_concerns_the_stages_that_use_it(repository: Repository) -> None:
    for edited in ("fewlabels/classifiers/logistic.py", "stages/params.py"):
        with (repository.folder / edited).open("a", encoding="utf-8") as file:
            file.write("# A comment.\n")
    changed = json.loads(repository.run("dvc", "status", "--json"))
    assert changed.pop("check") == [{"changed deps": {"stages/params.py": "modified"}}]
    concerned = [*(f"train-lr@{name}" for name in LR), "train-lr-distances@all"]
    assert changed == {one: [{"changed deps": {"fewlabels/classifiers/logistic.py": "modified"}}] for one in concerned}


def test_a_bad_value_ends_a_run_in_one_line_before_any_compute(repository: Repository) -> None:
    before = (repository.folder / "dvc.lock").read_bytes()
    code, output = repository.attempt("dvc", "exp", "run", "--set-param", "percentile=130")
    assert code != 0
    assert ran(output) == ["check"]
    said = output.split("> python -m stages.check\n")[1].splitlines()
    assert [line for line in said if line and not line.startswith("ERROR: failed to reproduce 'check'")] == [
        "params.yaml: percentile: 130: should be less than or equal to 100"
    ]
    assert (repository.folder / "dvc.lock").read_bytes() == before


EMPTY = ("all.npz", "partially_propagated.npz")
"""Label sets that no model of the next test is trained on."""


def test_a_run_killed_twice_and_resumed_gives_the_same_results(
    finished: Repository, new_repository: Callable[[Path], Repository], tmp_path: Path
) -> None:
    """From an empty cache in a folder of its own; and with a few models, of which none is a network."""
    repository = new_repository(tmp_path / "repository")
    none = {f"label_sets.{name}": [] for name in CLASSIFIERS}
    repository.configure(
        none | {"label_sets.lr": ["random", "propagated", "propagated_soft"], "label_sets.ridge": ["active"]}
    )
    (tmp_path / "sitecustomize.py").write_text(KILLER, encoding="utf-8")
    for killed in ("kmeans.joblib", "propagated.joblib"):
        code, output = repository.attempt("dvc", "repro", PYTHONPATH=str(tmp_path), KILLED_AT=killed)
        assert code == -signal.SIGKILL, output
        assert [path.name for path in repository.folder.rglob(".partial-*")] == [f".partial-{killed}"]

    resumed = ["train-lr@propagated", "train-lr@propagated_soft", "train-ridge@active", "evaluate", "auto-label"]
    assert ran(repository.run("dvc", "repro")) == resumed
    assert list(repository.folder.rglob(".partial-*")) == []
    assert not (repository.folder / "data/models/nn").exists()
    trained_on = {name: data for name, data in label_sets(finished).items() if name not in EMPTY}
    assert {name: data for name, data in label_sets(repository).items() if name not in EMPTY} == trained_on
    found, before = details(repository), details(finished)
    assert (found["run"], found["kmeans"], found["untrained"]) == (before["run"], before["kmeans"], {})
    assert found["label_sets"] == {name: before["label_sets"][name] for name in found["label_sets"]}
    for classifier, name in (("lr", "random"), ("lr", "propagated"), ("ridge", "active")):
        assert found[classifier][name] == before[classifier][name]


def test_a_sweep_runs_what_it_touches_and_ends_in_a_report(repository: Repository) -> None:
    """Two settings and what is committed: the table has the figures that DVC shows, the page has the table.

    Of another percentile nothing changes but the label set that it selects, and the model on that. What another machine
    has recorded stays.
    """
    before = details(repository)
    sweeps = {"test": [{"percentile": [50, 70]}]}
    (repository.folder / sweep.SWEEPS).write_text(json.dumps(sweeps), encoding="utf-8")
    repository.commit()
    assert "from 1 runs" in repository.run("python", "-m", "experiments.report")
    assert "stays as it is" in repository.run("python", "-m", "experiments.report")

    recorded = results.read_csv(repository.folder / report.RESULTS)
    elsewhere = recorded.assign(run="elsewhere", seed=7)
    pd.concat([recorded, elsewhere]).to_csv(repository.folder / report.RESULTS, index=False)

    output = repository.run("python", "-m", "experiments.sweep", "test")
    touched = ["check", "propagate", "train-lr@partially_propagated", "evaluate", "auto-label"]
    assert ran(output) == [*touched, *touched]
    assert "from 4 runs" in repository.run("python", "-m", "experiments.report")
    runs = report.load(repository.folder / report.RESULTS)
    assert (runs["run"] == "elsewhere").sum() == len(elsewhere)
    runs = runs[runs["run"] != "elsewhere"]
    committed = runs[runs["run"] == "HEAD"]
    assert {*results.COLUMNS, "network.student.shift", "data.classes"} <= set(runs.columns)
    assert len(committed) == len(MODELS)
    assert sorted(runs["percentile"].unique()) == [30, 50, 70]
    names = repository.run("dvc", "exp", "list", "--name-only").split()
    assert {*names} == {*runs["run"]} - {"HEAD"}
    for name in names:
        shown = json.loads(repository.run("dvc", "metrics", "diff", "--json", "--all", "HEAD", name))
        metrics, found = shown["metrics/metrics.json"], runs[runs["run"] == name]
        changed = {key for key, values in metrics.items() if values["old"] != values["new"]}
        assert changed <= {"accuracy.lr.partially_propagated", "purity.partially_propagated"}
        assert len(found) == len(MODELS)
        for row in found.itertuples():
            assert row.accuracy == pytest.approx(metrics[f"accuracy.{row.model}.{row.label_set}"]["new"])
            assert row.seconds > 0
        [row] = found[found["label_set"] == "partially_propagated"].itertuples()
        assert row.purity == pytest.approx(metrics["purity.partially_propagated"]["new"])
        [ref] = repository.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").split()
        after = json.loads(repository.run("git", "show", f"{ref}:metrics/details.json"))
        assert after["run"] == before["run"] | {"percentile": row.percentile}
        one, other = (each["label_sets"]["partially_propagated"]["rows"] for each in (before, after))
        assert one < other
        assert after["label_sets"] == before["label_sets"] | {
            "partially_propagated": after["label_sets"]["partially_propagated"]
        }
    page = (repository.folder / report.REPORT).read_text(encoding="utf-8")
    assert all(f">{name}<" in page for name in names)
    assert f"The last run: {CLUSTERS} clusters, percentile 30, seed 42." in page
    compared = repository.run("python", "-m", "experiments.compare", COLUMNS="160")
    lines = {line.split()[0]: line for line in compared.splitlines() if line.strip()}
    assert {"workspace", "HEAD", *names} <= {*lines}
