"""What is told of all runs: the table, the figures made from it, the page and the README."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from conftest import CLUSTERS, PROJECT, SMALL, Repository

from benchmarks import peers
from benchmarks.results import RESULTS as BENCHMARKS
from experiments import charts, readme, report, results, sweep

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PHONE = 375


def rows(**columns: list[object]) -> pd.DataFrame:
    """A table of results in which all but the columns given is the same."""
    count = len(next(iter(columns.values())))
    same = {
        "run": "a",
        "seed": 1,
        "clusters": 2000,
        "percentile": 25,
        "other_parameters": "default",
        "label_set": "random",
        "model": "lr",
        "accuracy": 0.8,
        "purity": 1.0,
        "coverage": 0.1,
        "bought": 2000,
        "distinct_nearest": 1980,
        "collapsed": False,
        "seconds": 1.0,
        "peak_memory_gib": 0.5,
    }
    return pd.DataFrame({name: columns.get(name, [value] * count) for name, value in same.items()})


def test_a_run_gives_a_row_for_each_model() -> None:
    label_set = {"bought": 5, "rows": 9, "purity": 0.5, "coverage": 0.25}
    metrics = {
        "kmeans": {"inertia": 3.5, "purity": 0.75, "iterations": 2, "distinct_nearest": 4},
        "label_sets": {"propagated": label_set},
        "lr": {
            "propagated": {"accuracy": 0.5, "macro_f1": 0.4, "calibration_error": 0.1, "transductive_accuracy": 0.3}
        },
        "nn": {"propagated": {"accuracy": 0.6, "macro_f1": 0.5, "collapsed": False, "collapsed_starts": 1}},
    }
    defaults = {"seed": 42, "clusters": 5, "percentile": 30, "network.steps": 1000, "label_sets.nn": []}
    parameters = defaults | {"seed": 7, "network.steps": 5, "label_sets.nn": ["propagated"]}
    costs = {"kmeans": {"seconds": 2.5}, "nn_propagated": {"seconds": 9.5, "peak_memory_gib": 1.5}}
    found = {row["model"]: row for row in results.rows_of("one", parameters, defaults, metrics, costs)}
    assert set(found) == {"lr", "nn"}
    shared = {"run": "one", "seed": 7, "clusters": 5, "percentile": 30, "other_parameters": "network.steps=5"}
    shared |= {"label_set": "propagated", "inertia": 3.5, "cluster_purity": 0.75, "distinct_nearest": 4, **label_set}
    assert found["lr"] == shared | {
        "model": "lr",
        "kmeans_seconds": 2.5,
        "accuracy": 0.5,
        "macro_f1": 0.4,
        "calibration_error": 0.1,
        "transductive_accuracy": 0.3,
    }
    assert found["nn"]["seconds"] == 9.5
    assert set().union(*found.values()) == set(results.COLUMNS)


def test_runs_of_other_parameters_do_not_count_as_default_ones() -> None:
    found = rows(seed=[1, 2, 3], accuracy=[0.8, 0.9, 0.1], other_parameters=["default", "default", "network.steps=1"])
    [row] = results.by_setting(found).itertuples()
    assert (row.seeds, row.accuracy) == (2, pytest.approx(0.85))
    assert row.accuracy_spread == pytest.approx(np.std([0.8, 0.9], ddof=1))


def test_a_model_that_runs_share_counts_once() -> None:
    """Logistic regression on random labels is the same at any percentile, that on near ones is not."""
    found = rows(
        seed=[1, 1, 2, 1, 1],
        percentile=[20, 25, 25, 20, 25],
        label_set=["random", "random", "random", "propagated_near", "propagated_near"],
        accuracy=[0.8, 0.8, 0.9, 0.6, 0.7],
    )
    told = {(row.label_set, round(row.accuracy, 6), row.seeds) for row in results.by_setting(found).itertuples()}
    assert told == {
        ("random", 0.85, 2),
        ("propagated_near", 0.6, 1),
        ("propagated_near", 0.7, 1),
    }


def test_choices_are_compared_with_random_ones_of_the_same_seed() -> None:
    found = rows(
        seed=[1, 2, 1, 2, 3, 1],
        label_set=["random", "random", "active", "active", "active", "all"],
        accuracy=[0.7, 0.8, 0.8, 0.86, 0.99, 0.9],
    )
    [row] = results.paired(found).itertuples()
    assert (row.label_set, row.clusters, row.seeds) == ("active", 2000, 2)
    assert row.difference == pytest.approx(0.08)
    assert row.spread == pytest.approx(np.std([0.1, 0.06], ddof=1))


def test_a_student_is_compared_with_its_teacher_of_the_same_seed() -> None:
    """Seed 3 has no student yet: the README tells that the gain is over two seeds, the ridge's mean over three."""
    found = rows(
        seed=[1, 2, 3, 1, 2, 3, 1, 2],
        label_set=["random"] * 3 + ["active"] * 3 + ["propagated_soft"] * 2,
        model=["ridge"] * 6 + ["ensemble"] * 2,
        accuracy=[0.7, 0.7, 0.7, 0.8, 0.82, 0.84, 0.81, 0.85],
    )
    [row] = results.student_paired(found).itertuples()
    assert (row.model, row.clusters, row.seeds) == ("ensemble", 2000, 2)
    assert row.ridge == pytest.approx(0.81)
    assert row.difference == pytest.approx(0.02)
    assert row.spread == pytest.approx(np.std([0.01, 0.03], ddof=1))
    published = pd.DataFrame({"label_set": ["random"] * 2, "clusters": [2000, 2000], "accuracy": [0.75, 0.76]})
    table = readme.budgets(found, published)
    cells = [cell.strip() for cell in table.splitlines()[-1].strip("|").split("|")]
    told = ["2,000", "76.00", "70.00", "82.00 ± 2.00", "+12.00 ± 2.00", "3", "83.00 ± 2.83 (2 seeds)", "+2.00 ± 1.41"]
    assert cells == told


def test_a_run_replaces_what_was_recorded_of_it_and_nothing_else() -> None:
    recorded = rows(run=["old"] * 3, seed=[2, 1, 3], accuracy=[0.2, 0.1, 0.3])
    found = rows(run=["new"] * 2, seed=[4, 2], accuracy=[0.9, 0.8])
    both = results.merged(found, recorded)
    assert list(zip(both["run"], both["seed"], both["accuracy"], strict=True)) == [
        ("old", 1, 0.1),
        ("new", 2, 0.8),
        ("old", 3, 0.3),
        ("new", 4, 0.9),
    ]
    assert list(both.columns) == list(found.columns)
    assert results.merged(rows(seed=[1], percentile=[30]), rows(seed=[1], percentile=[25])).shape[0] == 2


@pytest.mark.parametrize("again", [0, 3])
def test_a_table_without_news_is_written_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: int) -> None:
    """Also if some of it is found once more, by a run whose costs this machine does not know."""
    monkeypatch.chdir(tmp_path)
    before = (PROJECT / report.RESULTS).read_bytes()
    recorded = pd.read_csv(PROJECT / report.RESULTS)
    found = recorded[recorded["seconds"].isna()].head(again).assign(seconds=None)
    report.write(results.merged(found, recorded))
    assert report.RESULTS.read_bytes() == before


def test_a_network_told_every_label_is_reported_with_its_spread() -> None:
    edges = "network.architecture=edges network.steps=9"
    found = rows(
        seed=[1, 2, 3, 1],
        label_set=["all"] * 4,
        model=["nn"] * 4,
        other_parameters=[edges, edges, "default", "network.architecture=study"],
        accuracy=[0.93, 0.94, 0.5, 0.6],
    )
    compared = results.compared(found, report.load(PROJECT / report.PUBLISHED))
    told = report.findings(found, compared, results.collapses(found))
    assert "Told all 60,000 labels, the student's layers reach 93.50 ± 0.71 % (2 seeds)." in told


def test_every_label_set_says_which_parameters_matter_to_it() -> None:
    from stages import params

    assert list(results.MATTERS) == list(params.LABEL_SETS)


def test_ours_stands_beside_what_was_published() -> None:
    published = pd.DataFrame(
        {
            "label_set": ["all", "random", "random"],
            "clusters": [None, 500, 2000],
            "percentile": [None, None, None],
            "model": ["lr", "lr", "lr"],
            "accuracy": [0.9, 0.7, 0.75],
        }
    )
    found = rows(seed=[1, 2, 1], label_set=["random", "random", "all"], accuracy=[0.7, 0.9, 0.88])
    compared = results.compared(found, published)
    assert compared["ours"].tolist() == [pytest.approx(0.88), pytest.approx(np.nan, nan_ok=True), pytest.approx(0.8)]
    assert compared["difference"].iloc[0] == pytest.approx(-0.02)
    assert compared["difference"].iloc[2] == pytest.approx(0.05)
    [explanation] = report.explanations(compared)
    assert explanation.startswith("all, logistic regression: 88.00 is 2.00 points below")


def test_the_fewest_labels_that_do_what_all_did_are_found() -> None:
    published = pd.DataFrame({"label_set": ["all"], "model": ["nn"], "accuracy": [0.85]})
    found = rows(
        seed=[1, 2, 3] * 3 + [1],
        clusters=[500] * 3 + [1000] * 3 + [2000] * 3 + [500],
        label_set=["random"] * 9 + ["active"],
        model=["ridge"] * 10,
        accuracy=[0.8] * 3 + [0.84, 0.86, 0.88] + [0.9] * 3 + [0.99],
    )
    [told] = report.budget_findings(results.by_setting(found), published)
    assert told.startswith(
        "1,000 labels do what the study needed 60,000 for: kernel ridge regression on random labels has"
    )
    assert "86.00 ± 2.00 % (3 seeds), the study's network 85.00 %" in told


def test_collapses_are_counted_with_their_uncertainty() -> None:
    """Ten trainings without a collapse: up to 1 - 0.025 ** (1 / 10) of all may be."""
    study = "network.architecture=study network.restarts=0"
    found = rows(
        seed=[*range(10), 1, 1, 2],
        model=["nn"] * 13,
        label_set=["random"] * 10 + ["all", "all", "all"],
        percentile=[25] * 10 + [20, 50, 50],
        collapsed=[False] * 10 + [True, True, False],
        other_parameters=[study] * 13,
    )
    dead = rows(seed=[40], model=["nn"], collapsed=[True], other_parameters=[study])
    every, at_random, chosen = results.collapses(
        pd.concat([found, dead, rows(model=["nn"], collapsed=[True])])
    ).itertuples()
    assert (chosen.dead, chosen.trainings, chosen.collapsed) == (True, 1, 1)
    assert (at_random.label_set, at_random.trainings, at_random.collapsed) == ("random", 10, 0)
    assert at_random.high == pytest.approx(1 - 0.025**0.1)
    assert (every.label_set, every.trainings, every.collapsed, every.rate) == ("all", 2, 1, 0.5)


def test_the_readme_says_what_the_results_say() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    tables = readme.tables(report.load(PROJECT / report.RESULTS), report.load(PROJECT / report.PUBLISHED))
    assert readme.filled(text, tables) == text


def test_the_readme_shows_the_chart_that_the_report_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is of the committed results, as its text alternative has the figures. It brings its colours along."""
    monkeypatch.chdir(PROJECT)
    assert f"]({report.BUDGETS})\n" in Path("README.md").read_text(encoding="utf-8")
    drawing = report.BUDGETS.read_text(encoding="utf-8")
    curves = report.curves(report.load(report.RESULTS), report.load(report.PUBLISHED))
    _, title, description, _ = report.budget_chart(curves)
    assert f">{title}</title>" in drawing
    assert f">{description}</desc>" in unescape(drawing)
    assert "ours: ridge, active labels: " in description
    assert "var(" not in drawing
    assert not any(stand_in in drawing for stand_in in charts.COLOURS.values())


def measured(*scores: tuple[str, str, float]) -> list[dict[str, object]]:
    """Rows of `benchmarks.peers`: a contender, its features, and an accuracy for each of two budgets."""
    return [
        {"contender": contender, "features": features, "budget": budget, "accuracy": {"mean": score, "spread": 0.01}}
        for contender, features, score in scores
        for budget in (500, 1000)
    ]


PEERS = measured(
    ("LabelSpreading, random", "pixels", 0.7),
    ("Laplace learning, random", "gradients", 0.8),
    ("Laplace learning, random", "pixels", 0.6),
    ("ridge, margin sampling", "gradients", 0.85),
    ("ridge, TypiClust on MiniBatchKMeans", "gradients", 0.84),
    ("ridge, random", "gradients", 0.9),
    ("ridge, active (ours)", "gradients", 0.95),
)
BEST = ["measured: Laplace learning, random, gradients", "measured: ridge, margin sampling, gradients"]


def test_the_best_of_others_are_shown() -> None:
    best = results.best_peers(PEERS)
    assert best["name"].tolist() == [BEST[0]] * 2 + [BEST[1]] * 2
    assert best["accuracy"].tolist() == [0.8, 0.8, 0.85, 0.85]
    assert best["labels"].tolist() == [500, 1000, 500, 1000]
    assert set(results.OURS_AMONG_PEERS) < set(peers.CONTENDERS)
    assert results.best_peers([]).empty


@pytest.mark.parametrize("with_peers", [True, False])
def test_what_a_budget_buys_is_drawn_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_peers: bool
) -> None:
    """Two budgets of ours; the study's best is the better of its two models, on labels that were bought."""
    found = rows(
        seed=[1, 2, 1, 1],
        clusters=[500, 500, 1000, 500],
        label_set=["active"] * 3 + ["propagated_soft"],
        model=["ridge"] * 3 + ["ensemble"],
        accuracy=[0.8, 0.82, 0.9, 0.85],
    )
    published = pd.DataFrame(
        {
            "label_set": ["all", "distances", "random", "random"],
            "clusters": pd.array([None, 500, 500, 500], "Float64"),
            "model": ["nn", "lr", "lr", "nn"],
            "accuracy": [0.88, 0.99, 0.7, 0.75],
        }
    )
    monkeypatch.setattr(report, "BENCHMARKS", tmp_path / "benchmarks.json")
    monkeypatch.setattr(report, "PUBLISHED_PEERS", PROJECT / report.PUBLISHED_PEERS)
    sections = {"peers": {"rows": PEERS}} if with_peers else {"kmeans": {"rows": []}}
    report.BENCHMARKS.write_text(json.dumps(sections), encoding="utf-8")
    curves = report.curves(found, published)
    chart = report.budget_chart(curves)
    _, _, description, draw = chart
    assert f">{description}</desc>" in unescape(charts.picture(*chart))
    assert "ours: ridge, active labels: 81.00 ± 1.41 with 500, 90.00 with 1,000. ours: ridge and its" in description
    assert "the study's best: 75.00 with 500. the study's NN: 88.00 with 60,000. published: Laplace" in description
    assert all((name in description) == with_peers for name in BEST)

    [axes] = draw().axes
    drawn = [" ".join(label.split()) for label in axes.get_legend_handles_labels()[1]]
    assert [name in drawn for name in BEST] == [with_peers] * 2
    assert len(drawn) == len(set(curves["name"])), "a curve or a line for each name"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["500", "1,000"]
    assert axes.get_xscale() == "log"

    table = report.curves_table(curves).set_index("labels bought")
    assert table.loc["ours: ridge, active labels", ["500", "1,000", "60,000"]].tolist() == ["81.00 ± 1.41", "90.00", ""]
    assert table.loc["published: Poisson MBO", "1,600"] == "81.62 ± 0.47"


def test_peers_are_read_from_where_they_are_recorded() -> None:
    assert report.BENCHMARKS == BENCHMARKS


def test_a_model_without_random_labels_has_its_budgets_below() -> None:
    found = rows(clusters=[100, 2000], label_set=["propagated_soft"] * 2, model=["ensemble"] * 2)
    published = report.load(PROJECT / report.PUBLISHED)
    figure = charts.accuracy_against_budget(results.by_setting(found), published, "ensemble", report.PERCENTILE)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["100", "2,000"]


def test_a_table_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="0 places for the table study"):
        readme.filled("nothing here", {"study": "| a |"})


def test_the_committed_results_hold_every_published_row_on_three_seeds() -> None:
    compared = results.compared(report.load(PROJECT / report.RESULTS), report.load(PROJECT / report.PUBLISHED))
    assert compared["seeds"].min() >= 3


def test_a_sweep_ends_in_a_report(repository: Repository) -> None:
    """Two settings and what is committed: the table has the figures that DVC shows, the page has the table.

    What another machine has recorded stays.
    """
    grid = {f"label_sets.{model}": [[]] for model in ("nn", "ridge", "ensemble")} | {"label_sets.lr": [["random"]]}
    grid["clusters"] = [5, 7]
    (repository.folder / sweep.SWEEPS).write_text(json.dumps({"test": [grid]}), encoding="utf-8")
    repository.commit()
    assert "from 1 runs" in repository.run("python", "-m", "experiments.report")
    assert "stays as it is" in repository.run("python", "-m", "experiments.report")

    recorded = pd.read_csv(repository.folder / report.RESULTS)
    elsewhere = recorded.assign(run="elsewhere", seed=7)
    pd.concat([recorded, elsewhere]).to_csv(repository.folder / report.RESULTS, index=False)

    repository.run("python", "-m", "experiments.sweep", "test")
    assert "from 4 runs" in repository.run("python", "-m", "experiments.report")
    found = report.load(repository.folder / report.RESULTS)
    assert (found["run"] == "elsewhere").sum() == len(elsewhere)
    found = found[found["run"] != "elsewhere"]
    committed = found[found["run"] == "HEAD"]
    assert list(found.columns) == list(results.COLUMNS)
    assert len(committed) == sum(len(SMALL[f"label_sets.{model}"]) for model in ("lr", "nn", "ridge", "ensemble"))
    assert sorted(found["clusters"].unique()) == [5, 7, CLUSTERS]
    names = repository.run("dvc", "exp", "list", "--name-only").split()
    for row in found[found["run"] != "HEAD"].itertuples():
        assert row.run in names
        shown = json.loads(repository.run("dvc", "metrics", "diff", "--json", "--all", "HEAD", row.run))
        metrics = shown["metrics/metrics.json"]
        assert row.accuracy == pytest.approx(metrics["lr.random.accuracy"]["new"])
        assert row.seconds > 0
    assert all(name in (repository.folder / report.REPORT).read_text(encoding="utf-8") for name in names)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the committed results."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        text = report.page(report.load(report.RESULTS), report.load(report.PUBLISHED))
    path.write_text(text, encoding="utf-8")
    return path


def test_the_page_needs_nothing_but_itself(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "<script" not in text
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", text)
    assert [source[:30] for source in sources if not source.startswith(("#", "data:"))] == []
    assert [url for url in re.findall(r"url\(([^)]*)\)", text) if not url.startswith("#")] == []


def test_every_picture_has_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    drawings = re.findall(r'<svg role="img" aria-labelledby="(.+?)" aria-describedby="(.+?)"', text)
    assert len(drawings) == text.count("<svg") >= 7
    for ids in drawings:
        for name in ids:
            assert re.search(rf'id="{name}">[^<]{{10,}}<', text), name
    assert text.count("<img ") == len(re.findall(r'<img [^>]*alt="[^"]{20,}"', text))
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", re.sub(r"<[^>]*>", " ", text)), "a missing value is shown"


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, PHONE])
def test_the_page_can_be_read_without_a_network(page: Path, tmp_path: Path, scheme: str, width: int) -> None:
    """The frame stands in for a window that Chromium would not make so narrow."""
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"""<body style="margin:0">
        <iframe id="page" src="{page.as_uri()}" style="border:0" width="{width}" height="1500"></iframe>
        <script>onload = () => {{
            const view = document.getElementById("page").contentWindow
            const told = document.body.dataset
            told.width = view.document.documentElement.scrollWidth
            told.dark = view.matchMedia("(prefers-color-scheme: dark)").matches
            const requests = view.performance.getEntriesByType("resource")
            told.requests = requests.filter(one => !one.name.startsWith("data:")).length
        }}</script>""",
        encoding="utf-8",
    )
    screenshot = tmp_path / "screenshot.png"
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,1500",
    ]
    subprocess.run(
        [*command, f"--screenshot={screenshot}", frame.as_uri()], check=True, capture_output=True, timeout=100
    )
    pixels = matplotlib.image.imread(screenshot)[:, :width, :3]
    background = np.median(pixels.reshape(-1, 3), axis=0)
    assert (background.mean() < 0.2) == (scheme == "dark")
    contrast = np.abs(pixels - background).max(axis=2) > 0.4
    assert 0.01 < contrast.mean() < 0.4, "text and charts, on a page that is mostly empty"
    assert contrast[750:].mean() > 0.002, "also below the first screen"

    shown = subprocess.run(
        [*command, "--dump-dom", frame.as_uri()], check=True, capture_output=True, text=True, timeout=100
    ).stdout
    assert f'data-dark="{str(scheme == "dark").lower()}"' in shown
    assert f'data-width="{width}"' in shown, "the page is wider than the window"
    assert 'data-requests="0"' in shown
