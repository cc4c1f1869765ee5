"""The generated tables of README.md and docs/, their links, and the example of the README."""

import json
import re
import subprocess
from functools import reduce
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from experiments import charts, docs, report, results


def test_the_pages_say_what_the_figures_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last run printed is left out: its figures are those of the machine that ran it."""
    monkeypatch.chdir(PROJECT)
    pages = {page: page.read_text(encoding="utf-8") for page in docs.PAGES}
    tables = docs.tables(report.load(report.RESULTS), report.load(report.PUBLISHED)) | docs.printed_tables()
    if ran_here():
        for name in ("run", "confidence"):
            [text] = [text for text in pages.values() if f"<!-- table: {name} -->" in text]
            tables[name] = text.split(f"<!-- table: {name} -->\n")[1].split("\n<!-- end of table -->")[0]
    assert docs.filled(pages, tables) == pages


@pytest.mark.parametrize("page", ["README.md", "docs/experiments.md"])
def test_examples_of_comparing_begin_with_the_committed_run(page: str) -> None:
    if ran_here():
        pytest.skip("metrics.json is of another run")
    metrics = json.loads((PROJECT / "metrics/metrics.json").read_text(encoding="utf-8"))
    text = (PROJECT / page).read_text(encoding="utf-8")
    compared = re.findall(r"^((?:accuracy|purity)\.\S+) +(\S+) +(\S+) +(\S+)$", text, re.MULTILINE)
    assert compared
    for name, head, workspace, change in compared:
        committed = reduce(dict.__getitem__, name.split("."), metrics)
        assert head == f"{committed:.5g}", name
        assert float(change) == pytest.approx(float(workspace) - float(head), abs=2e-5), name


def test_the_example_of_make_compare_has_the_committed_run() -> None:
    if ran_here():
        pytest.skip("metrics.json is of another run")
    metrics = json.loads((PROJECT / "metrics/metrics.json").read_text(encoding="utf-8"))
    text = (PROJECT / "docs/experiments.md").read_text(encoding="utf-8")
    [head] = re.findall(r"^HEAD +30 +(\S+) +(\S+) +(\S+)$", text, re.MULTILINE)
    accuracies = (metrics["accuracy"][model]["partially_propagated"] for model in ("lr", "nn"))
    wanted = [*accuracies, metrics["purity"]["partially_propagated"]]
    assert list(head) == [f"{100 * value:.2f}" for value in wanted]
    [same] = re.findall(r"^The same in all runs: (.*), …$", text, re.MULTILINE)
    assert re.findall(r"LR (\w+) ([\d.]+)", same) == [
        (name, f"{100 * metrics['accuracy']['lr'][name]:.2f}") for name in ("all", "random", "representatives")
    ]


def test_the_page_counts_the_runs_on_other_images_that_gain() -> None:
    runs = json.loads((PROJECT / "metrics/benchmarks.json").read_text(encoding="utf-8"))["other_images"]["runs"]
    text = " ".join((PROJECT / "docs/results.md").read_text(encoding="utf-8").split())
    for name in ("student", "ensemble"):
        [shown] = re.findall(rf"the {name} is better in (\d+) and worse in", text)
        assert int(shown) == sum(run[name] > run["ridge, active"] for run in runs)
        assert len(runs) == 20


def test_the_page_installs_the_tensorflow_that_is_locked() -> None:
    [shown] = re.findall(r"tensorflow\[and-cuda\]==(\S+)'", (PROJECT / "docs/speed.md").read_text(encoding="utf-8"))
    locked = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    assert re.search(rf"^tensorflow=={re.escape(shown)}\b", locked, re.MULTILINE)


def test_the_example_of_showing_experiments_has_the_recorded_figures() -> None:
    """To a thousandth: another number of threads rounds differently."""
    runs = results.with_parameters(report.load(PROJECT / report.RESULTS))
    runs = runs[(runs["seed"] == 42) & (runs["label_set"] == "partially_propagated")]
    text = (PROJECT / "docs/experiments.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| ([\d.]+) \| ([\d.]+|-) \| ([\d.]+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    assert len(shown) == 8
    for lr, nn, purity, clusters, percentile in shown:
        same = runs[(runs["clusters"] == int(clusters)) & (runs["percentile"] == int(percentile))].set_index("model")
        assert float(lr) == pytest.approx(same["accuracy"]["lr"], abs=1e-3)
        assert float(purity) == pytest.approx(same["purity"]["lr"], abs=1e-3)
        assert nn == "-" or float(nn) == pytest.approx(same["accuracy"]["nn"], abs=1e-3)


def test_ours_beside_published_figures_is_the_ensembles_mean() -> None:
    """With the same number of labels, or, in brackets, with the next smaller one."""
    text = (PROJECT / "docs/beside-others.md").read_text(encoding="utf-8").split("## Published elsewhere")[1]
    settings = results.by_setting(report.load(PROJECT / report.RESULTS))
    ensemble = settings[(settings["model"] == "ensemble") & (settings["label_set"] == "propagated_soft")]
    means = {f"{row.clusters:,.0f}": report.percent(row.accuracy) for row in ensemble.itertuples()}
    found = re.findall(r"^\|[^|]*\| ([\d,]+) \|[^|]*\| (?:\(([\d,]+): )?([\d.]+)\)? \|", text, re.MULTILINE)
    assert len(found) > 10
    assert [(labels, ours) for labels, smaller, ours in found if means.get(smaller or labels) != ours] == []
    text = (PROJECT / "docs/results.md").read_text(encoding="utf-8")
    assert re.findall(r"against ([\d.]+) and ([\d.]+) %", text) == [(means["5,000"], means["2,000"])]


def test_the_best_percentile_of_the_study_is_that_of_its_table() -> None:
    text = (PROJECT / "docs/study.md").read_text(encoding="utf-8")
    cell = re.compile(r"^\| partially propagated, 2,000, (\d+)th percentile *\|.* ([\d.]+ ± [\d.]+) \|$", re.MULTILINE)
    networks = dict(cell.findall(text))
    assert len(networks) == 5
    assert max(networks, key=networks.__getitem__) == "20"
    assert re.findall(r"20th\s+percentile gives (\S+ ± \S+) %", text) == [networks["20"]]


def ran_here() -> bool:
    """Tell whether the last run's figures are not the committed ones."""
    command = ["git", "diff", "--quiet", "HEAD", "--", "metrics/details.json", "metrics/metrics.json"]
    return bool(subprocess.run(command, cwd=PROJECT, check=False).returncode)


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
    """Images of ten classes, which differ in the direction of their edges; the annotators answer at once."""
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
    with pytest.raises(ValueError, match=r"table study: (not )?made, and \d places are marked for it, not 1"):
        docs.filled({Path("page.md"): text}, tables)
