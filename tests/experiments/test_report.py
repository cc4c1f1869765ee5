"""The report of the results: a browser shows its page without a network, on a phone and in the dark."""

import base64
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

from experiments import charts, report, results
from fewlabels import pictures
from stages import files

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PHONE = 375


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


NAMES = ["null", "nan", "no", "1e3"]


@pytest.fixture
def last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A workspace after a run on other data: class names that readers take for something else, its own settings.

    params.yaml and the results are those of the project again. No test image is of the last class.
    """
    (tmp_path / "experiments").mkdir()
    for path in (Path("params.yaml"), report.PUBLISHED, report.PUBLISHED_PEERS):
        shutil.copy(PROJECT / path, tmp_path / path)
    monkeypatch.chdir(tmp_path)
    counts = np.array([[3, 1, 0, 0], [0, 2, 0, 2], [0, 0, 4, 0], [0, 0, 0, 0]])
    details = {
        "run": {"seed": 7, "clusters": 12, "percentile": 40, "classes": NAMES},
        "kmeans": {},
        "lr": {"random": {"accuracy": 0.75}},
        "ridge": {"active": {"accuracy": 0.5}},
    }
    files.save_json("metrics/details.json", details)
    pairs = [
        {"actual": one, "predicted": other, "count": counts[NAMES.index(one), NAMES.index(other)]}
        for one in sorted(NAMES)
        for other in sorted(NAMES)
    ]
    files.save_table(report.CONFUSION / "lr_random.csv", pairs)
    return details


def test_a_run_brings_its_own_names_and_settings(last: dict[str, Any]) -> None:
    [matrix] = report.confusions(last)
    assert matrix["classes"] == NAMES
    assert [name for name, _ in matrix["rows"]] == NAMES
    shares = [row for _, row in matrix["rows"]]
    assert shares == [[0.75, 0.25, 0, 0], [0, 0.5, 0, 0.5], [0, 0, 1, 0], [None] * 4]
    text = report.page(report.load(PROJECT / report.RESULTS), report.load(report.PUBLISHED))
    assert "The last run: 12 clusters, percentile 40, seed 7." in text
    [table] = re.findall('<table class="confusion">(.*?)</table>', text, flags=re.DOTALL)
    assert re.findall('<th scope="row">(.*?)</th>', table) == NAMES
    cells = re.findall("<td.*?>(.*?)</td>", table)
    assert " ".join(cells).rstrip() == "75 25 0 0 0 50 0 50 0 0 100 0"


def test_confusions_of_another_run_are_not_shown(last: dict[str, Any]) -> None:
    """Their accuracy or their classes differ: of a checkout without `dvc checkout`."""
    assert report.confusions(last | {"lr": {"random": {"accuracy": 0.8}}}) == []
    assert report.confusions(last | {"run": last["run"] | {"classes": ["null", "nan", "no", "yes"]}}) == []
    assert report.confusions({}) == []


def test_a_page_says_what_is_not_there_yet(last: dict[str, Any]) -> None:
    """Neither confusion matrices nor pictures, and only one run, on other images."""
    shutil.rmtree("data")
    every = report.load(PROJECT / report.RESULTS)
    runs = results.with_parameters(every).head(1).assign(images="0a0a0a0a")
    text = report.page(runs, report.load(report.PUBLISHED))
    assert "confusion matrices of the last run appear here after\n<code>make repro</code>" in text
    assert "Pictures of the representatives appear here after <code>make repro</code>" in text
    assert "<h2>Other images</h2>" in text
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", re.sub(r"<[^>]*>", " ", text))


def test_the_page_is_small(page: Path) -> None:
    assert page.stat().st_size < 1_000_000


def test_pictures_lose_bytes_and_nothing_else(last: dict[str, Any]) -> None:
    """Fashion-MNIST's two, as matplotlib writes them, would be a third of the page."""
    images = np.random.default_rng(0).integers(0, 256, (40, 7, 7), dtype=np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    path = report.PICTURES / "mislabelled.png"
    path.parent.mkdir(parents=True)
    pictures.image_grid(images, NAMES * 10, "Wrong").savefig(path, format="png", dpi=110)
    [shown] = report._pictures()
    kind, encoded = shown["data"].split(";base64,")
    content = base64.b64decode(encoded)
    assert kind == "data:image/webp"
    assert len(content) < path.stat().st_size / 2
    with Image.open(path) as written, Image.open(io.BytesIO(content)) as decoded:
        np.testing.assert_array_equal(decoded.convert("RGBA"), written.convert("RGBA"))


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
