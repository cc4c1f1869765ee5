"""A sweep ends in a report, and a browser shows its page without a network, on a phone and in the dark."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from conftest import CLUSTERS, PROJECT, SMALL, Repository

from experiments import charts, report, results, sweep
from stages.registry import CLASSIFIERS

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PHONE = 375


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
    runs = report.load(repository.folder / report.RESULTS)
    assert (runs["run"] == "elsewhere").sum() == len(elsewhere)
    runs = runs[runs["run"] != "elsewhere"]
    committed = runs[runs["run"] == "HEAD"]
    assert {*results.COLUMNS, "network.student.shift", "data.classes"} <= set(runs.columns)
    assert len(committed) == sum(len(SMALL[f"label_sets.{model}"]) for model in CLASSIFIERS)
    assert sorted(runs["clusters"].unique()) == [5, 7, CLUSTERS]
    names = repository.run("dvc", "exp", "list", "--name-only").split()
    for row in runs[runs["run"] != "HEAD"].itertuples():
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


def test_text_in_charts_is_at_least_ten_pixels_high(page: Path) -> None:
    """On a phone a chart is as many pixels wide as its drawing has points; on a larger screen it grows."""
    drawings = re.findall("<svg.*?</svg>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    sizes = [float(size) for one in drawings for size in re.findall(r"font(?:-size)?: ([0-9.]+)px", one)]
    assert min(sizes) >= 10
    widths = {float(width) for one in drawings for width in re.findall(r'viewBox="0 0 ([0-9.]+) ', one)}
    assert min(widths) <= PHONE - 2 * 16


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_a_colour_means_one_thing_and_stands_out(page: Path, scheme: int) -> None:
    sheets = re.findall(r":root \{.*?\}", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+)", sheets[scheme] + sheets[scheme + 2]))
    drawn = [colours[name] for name in charts.NAMES]
    assert len(set(drawn)) == len(drawn)
    for name in set(charts.NAMES) - {"faint"}:
        lower, higher = sorted([luminance(colours[name]), luminance(colours["page"])])
        assert (higher + 0.05) / (lower + 0.05) >= 4.5, name


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
            const shown = document.body.dataset
            shown.width = view.document.documentElement.scrollWidth
            shown.dark = view.matchMedia("(prefers-color-scheme: dark)").matches
            const requests = view.performance.getEntriesByType("resource")
            shown.requests = requests.filter(one => !one.name.startsWith("data:")).length
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
