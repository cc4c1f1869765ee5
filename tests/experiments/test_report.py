"""The table of all runs, the comparisons made from it, the report's page and the generated tables of the docs."""

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
from experiments import charts, docs, report, results, sweep
from stages.registry import CLASSIFIERS

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PHONE = 375


def rows(**columns: list[object]) -> pd.DataFrame:
    """A table of results in which all but the columns given is the same; `network__steps` is network.steps."""
    columns = {name.replace("__", "."): values for name, values in columns.items()}
    count = len(next(iter(columns.values())))
    same = results.defaults() | {
        "run": "a",
        "seed": 1,
        "clusters": 2000,
        "percentile": 25,
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
    assert columns.keys() <= same.keys()
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
    values = {"seed": 7, "clusters": 5, "network": {"steps": 5}, "data": {"directory": "/x", "classes": ["a", "b"]}}
    parameters = results.recorded_parameters(values | {"label_sets": {"nn": ["propagated"]}})
    assert parameters == {"seed": 7, "clusters": 5, "network.steps": 5, "data.classes": '["a", "b"]'}
    costs = {"kmeans": {"seconds": 2.5}, "nn_propagated": {"seconds": 9.5, "peak_memory_gib": 1.5}}
    found = {row["model"]: row for row in results.rows_of("one", parameters, metrics, costs)}
    assert set(found) == {"lr", "nn"}
    shared = {"run": "one", **parameters}
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
    assert set().union(*found.values()) == {*results.COLUMNS, *parameters}


def test_runs_of_other_parameters_do_not_count_as_default_ones() -> None:
    found = rows(seed=[1, 2, 3], accuracy=[0.8, 0.9, 0.1], network__steps=[1000, 1000, 1])
    [row] = results.by_setting(found).itertuples()
    assert (row.seeds, row.accuracy) == (2, pytest.approx(0.85))
    assert row.accuracy_sd == pytest.approx(np.std([0.8, 0.9], ddof=1))


def test_a_model_that_runs_share_counts_once() -> None:
    """Logistic regression on random labels is the same at any percentile, that on near ones is not."""
    found = rows(
        seed=[1, 1, 2, 1, 1],
        percentile=[20, 25, 25, 20, 25],
        label_set=["random", "random", "random", "partially_propagated", "partially_propagated"],
        accuracy=[0.8, 0.8, 0.9, 0.6, 0.7],
    )
    told = {(row.label_set, round(row.accuracy, 6), row.seeds) for row in results.by_setting(found).itertuples()}
    assert told == {
        ("random", 0.85, 2),
        ("partially_propagated", 0.6, 1),
        ("partially_propagated", 0.7, 1),
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
    assert row.sd == pytest.approx(np.std([0.1, 0.06], ddof=1))


def test_a_student_is_compared_with_its_teacher_of_the_same_seed() -> None:
    """Seed 3 has no student yet: the table says that the gain is over two seeds, the ridge's mean over three."""
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
    assert row.sd == pytest.approx(np.std([0.01, 0.03], ddof=1))
    published = pd.DataFrame({"label_set": ["random"] * 2, "clusters": [2000, 2000], "accuracy": [0.75, 0.76]})
    table = docs.budgets(found, published)
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
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    before = (PROJECT / report.RESULTS).read_bytes()
    recorded = pd.read_csv(PROJECT / report.RESULTS)
    found = recorded[recorded["seconds"].isna()].head(again).assign(seconds=None)
    report.write(results.merged(found, recorded))
    assert report.RESULTS.read_bytes() == before


def test_a_network_with_all_labels_is_reported_with_its_sd() -> None:
    found = rows(
        seed=[1, 2, 3, 1],
        label_set=["all"] * 4,
        model=["nn"] * 4,
        network__architecture=["edges", "edges", "compact", "study"],
        network__steps=[report.EDGES_STEPS] * 2 + [1000] * 2,
        accuracy=[0.93, 0.94, 0.5, 0.6],
    )
    compared = results.compared(found, report.load(PROJECT / report.PUBLISHED))
    told = report.findings(found, compared, results.collapses(found))
    assert "With all 60,000 labels, the student's layers reach 93.50 ± 0.71 % (2 seeds)." in told


def test_a_model_depends_on_what_its_label_set_and_its_classifier_depend_on() -> None:
    """Regression on all labels is the same for any number of clusters, that on distances to their centroids is not."""
    assert results.depends_on("lr", "all") == ()
    assert results.depends_on("lr_distances", "all") == ("clusters",)
    assert results.depends_on("nn", "partially_propagated") == ("clusters", "percentile")
    found = rows(clusters=[100, 200] * 2, label_set=["all"] * 4, model=["lr"] * 2 + ["lr_distances"] * 2)
    assert len(results.by_setting(found)) == 3


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
    published = pd.DataFrame({"label_set": ["all"], "model": ["nn"], "clusters": [None], "accuracy": [0.85]})
    found = rows(
        seed=[1, 2, 3] * 3 + [1],
        clusters=[500] * 3 + [1000] * 3 + [2000] * 3 + [500],
        label_set=["random"] * 9 + ["active"],
        model=["ridge"] * 10,
        accuracy=[0.8] * 3 + [0.84, 0.86, 0.88] + [0.9] * 3 + [0.99],
    )
    [told] = report.budget_findings(results.by_setting(found), published)
    assert told.startswith(
        "1,000 labels are enough for what the study reached with 60,000: kernel ridge regression on random labels has"
    )
    assert "86.00 ± 2.00 % (3 seeds), the study's network 85.00 %" in told


def test_collapses_are_counted_with_their_uncertainty() -> None:
    """Ten trainings without a collapse: up to 1 - 0.025 ** (1 / 10) of all may be."""
    study = {"network__architecture": "study", "network__restarts": 0}
    found = rows(
        seed=[*range(10), 1, 1, 2],
        model=["nn"] * 13,
        label_set=["random"] * 10 + ["all", "all", "all"],
        percentile=[25] * 10 + [20, 50, 50],
        collapsed=[False] * 10 + [True, True, False],
        **{name: [value] * 13 for name, value in study.items()},
    )
    dead = rows(seed=[40], model=["nn"], collapsed=[True], **{name: [value] for name, value in study.items()})
    every, at_random, chosen = results.collapses(
        pd.concat([found, dead, rows(model=["nn"], collapsed=[True])])
    ).itertuples()
    assert (chosen.dead, chosen.trainings, chosen.collapsed) == (True, 1, 1)
    assert (at_random.label_set, at_random.trainings, at_random.collapsed) == ("random", 10, 0)
    assert at_random.high == pytest.approx(1 - 0.025**0.1)
    assert (every.label_set, every.trainings, every.collapsed, every.rate) == ("all", 2, 1, 0.5)


def test_the_pages_say_what_the_figures_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last run printed is left out: its figures are those of the machine that ran it."""
    monkeypatch.chdir(PROJECT)
    pages = {page: page.read_text(encoding="utf-8") for page in docs.PAGES}
    tables = docs.tables(report.load(report.RESULTS), report.load(report.PUBLISHED)) | docs.printed_tables()
    if subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "metrics/metrics.json"], check=False).returncode:
        [page] = [page for page, text in pages.items() if "<!-- table: run -->" in text]
        tables["run"] = pages[page].split("<!-- table: run -->\n")[1].split("\n<!-- end of table -->")[0]
    assert docs.filled(pages, tables) == pages


def test_the_readme_is_one_screen() -> None:
    lines = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 130
    assert [line for line in lines if len(line) > 100] == []


LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The names by which GitHub links to the headings of a page."""
    without_code = re.sub("```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", docs.PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    links = [one or other for one, other in LINK.findall(re.sub("```.*?```", "", text, flags=re.DOTALL))]
    assert links
    for link in links:
        target, _, anchor = link.partition("#")
        if not target.startswith(("http:", "https:")):
            path = (PROJECT / page.parent / target).resolve() if target else PROJECT / page
            assert path.exists(), link
            if anchor:
                assert anchor in anchors(path.read_text(encoding="utf-8")), link


def test_every_page_is_linked_from_the_readme() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert [page for page in docs.PAGES[1:] if f"({page})" not in text] == []


def test_the_example_of_the_readme_runs() -> None:
    """Images of ten classes, told apart by the direction of their edges; the annotators answer at once."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    [example] = re.findall("```python\n(.*?)```", text, flags=re.DOTALL)
    random = np.random.default_rng(0)
    truth = random.integers(0, 10, 400)
    places = np.stack(np.mgrid[0:28, 0:28]).reshape(2, -1)
    angles = truth[:, None] * np.pi / 10
    waves = np.sin((np.cos(angles) * places[0] + np.sin(angles) * places[1]) * 0.8 + random.uniform(0, 6, (400, 1)))
    names = {
        "images": (100 + 80 * waves + random.normal(scale=20, size=waves.shape)).clip(0, 255).astype(np.uint8),
        "ask": lambda rows: truth[rows],
    }
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    assert len(set(names["rows"])) == len(names["labels"]) == 200
    assert np.mean(names["predicted"] == truth) > 0.9


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
        {"contender": contender, "features": features, "budget": budget, "accuracy": {"mean": score, "sd": 0.01}}
        for contender, features, score in scores
        for budget in (500, 1000)
    ]


PEERS = measured(
    ("LabelSpreading, random", "pixels", 0.7),
    ("Laplace learning, random", "hog", 0.8),
    ("Laplace learning, random", "pixels", 0.6),
    ("ridge, margin sampling", "hog", 0.85),
    ("ridge, TypiClust on MiniBatchKMeans", "hog", 0.84),
    ("ridge, random", "hog", 0.9),
    ("ridge, active (ours)", "hog", 0.95),
)
BEST = ["measured: Laplace learning, random, HOG", "measured: ridge, margin sampling, HOG"]


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
            "label_set": ["all", "all", "random", "random"],
            "clusters": pd.array([None, 500, 500, 500], "Float64"),
            "model": ["nn", "lr_distances", "lr", "nn"],
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


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("nothing here", {"study": "| a |"}),
        ("<!-- table: study -->\n<!-- end of table -->", {}),
        (2 * "<!-- table: study -->\n<!-- end of table -->\n", {"study": "| a |"}),
    ],
    ids=["no place", "no table", "two places"],
)
def test_a_table_without_its_one_place_is_refused(text: str, tables: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="tables study, not 1 for 1"):
        docs.filled({Path("page.md"): text}, tables)


def test_the_committed_results_hold_every_published_row_on_three_seeds() -> None:
    compared = results.compared(report.load(PROJECT / report.RESULTS), report.load(PROJECT / report.PUBLISHED))
    assert compared["seeds"].min() >= 3


def test_a_sweep_ends_in_a_report(repository: Repository) -> None:
    """Two settings and what is committed: the table has the figures that DVC shows, the page has the table.

    What another machine has recorded stays.
    """
    grid = {f"label_sets.{model}": [[]] for model in CLASSIFIERS} | {"label_sets.lr": [["random"]]}
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
    assert {*results.COLUMNS, "network.student.shift", "data.classes"} <= set(found.columns)
    assert len(committed) == sum(len(SMALL[f"label_sets.{model}"]) for model in CLASSIFIERS)
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
