"""The report's charts, drawn by matplotlib as SVG that takes its colours from the page, light or dark."""

import io
import re
from collections.abc import Callable, Iterable
from html import escape
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.registry import CLASSIFIERS, LABEL_SETS, ClassifierEntry, LabelSetEntry

FULL = "all"
ENTRIES: dict[str, LabelSetEntry | ClassifierEntry] = {**LABEL_SETS, **CLASSIFIERS}
"""Label sets and classifiers share the names of the style sheet's colours."""
NAMES = ["ink", "faint", "tools", "published", *ENTRIES]
COLOURS = {name: f"#{2 * ((number + 1) * 0x010101):06x}" for number, name in enumerate(NAMES)}
"""What stands for a colour of the page's style sheet while matplotlib draws; the page replaces it, light or dark."""
STYLE_SHEET = Path(__file__).with_name("colours.css")

LOOKS = {
    "ours": ("-", (("random", "o"), ("active", "*"), ("propagated_soft", "X"), ("ensemble", "h"))),
    "peer": ("-.", (("tools", "D"), ("tools", "P"))),
    "study": (":", (("ink", "s"),)),
    "elsewhere": (":", (("published", "v"), ("published", "^"), ("published", "<"))),
}
"""How `budgets` draws each kind of curve: the line, then a colour and a marker for each; hollow where it is dotted."""
SHAPES = "osD^vP*X<>"
"""Markers of lines that share a colour."""

FONT = 10
"""Points, of all text: with WIDTH still 10 pixels on a phone."""
STYLE: dict[Any, Any] = {
    "font.size": FONT,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.edgecolor": COLOURS["ink"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": COLOURS["ink"],
    "ytick.color": COLOURS["ink"],
    "grid.color": COLOURS["faint"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "errorbar.capsize": 2,
}
WIDTH = 4.7
"""Inches, as many as a phone has pixels for points."""


def svg(name: str, title: str, description: str, draw: Callable[[], Figure]) -> str:
    """Draw a chart as an `<svg>` element for a page that defines COLOURS.

    Parameters
    ----------
    name : str
        Makes its ids differ from those of other charts.
    title, description : str
        The text alternative, for readers who do not see the chart; `description` in full sentences.
    draw : callable
        Makes the figure.

    Returns
    -------
    str
    """
    drawing = _drawn(name, title, description, draw, {name: f"var(--{name})" for name in COLOURS})
    return re.sub(r' (width|height)="[\d.]+pt"', "", drawing, count=2)


def picture(name: str, title: str, description: str, draw: Callable[[], Figure]) -> str:
    """Draw a chart as an SVG file of its own, in the colours of the light page and on its background.

    A viewer of such a file may neither support variables nor know whether the page around it is light or dark.

    Parameters
    ----------
    name, title, description, draw
        As for `svg`.

    Returns
    -------
    str
    """
    light = STYLE_SHEET.read_text(encoding="utf-8").split("@media")[0]
    colours = dict(re.findall(r"--(\w+): (#\w+)", light)) | {key: entry.colour.light for key, entry in ENTRIES.items()}
    head, body = _drawn(name, title, description, draw, colours).split(">", 1)
    return f'{head}><rect width="100%" height="100%" fill="{colours["page"]}"/>{body}'


def _drawn(name: str, title: str, description: str, draw: Callable[[], Figure], colours: dict[str, str]) -> str:
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):
        file = io.StringIO()
        draw().savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawing = file.getvalue()
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing[drawing.index("<svg") :], flags=re.DOTALL)
    drawing = re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", drawing)  # the same in every chart, and nothing refers to them
    for key, stand_in in COLOURS.items():
        drawing = drawing.replace(stand_in, colours[key])
    labels = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    attributes = f'<svg role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc" '
    head, body = drawing.split(">", 1)
    return head.replace("<svg ", attributes, 1) + ">" + labels + body


def published_and_ours(compared: pd.DataFrame, model: str) -> Figure:
    """Draw each published figure beside our mean, with its standard deviation.

    Parameters
    ----------
    compared : DataFrame
        As from `experiments.results.compared`.
    model : str
        A classifier of the registry.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = compared[compared["model"] == model]
    figure, axes = _figure(0.27 * len(rows) + 1.0)
    places = range(len(rows))
    shown = 100 * rows["published"].where(rows["published"] > 0.5)
    axes.hlines(places, shown, 100 * rows["ours"], color=COLOURS["faint"], linewidth=2)
    axes.plot(shown, places, "o", markerfacecolor="none", markeredgecolor=COLOURS["ink"], label="the study")
    axes.errorbar(
        100 * rows["ours"],
        places,
        xerr=100 * rows["sd"].fillna(0),
        fmt="o",
        color=COLOURS[model],
        label="ours",
    )
    axes.set_yticks(places, _ticks(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("test accuracy, %")
    _legend(figure, 2)
    return figure


def budgets(curves: pd.DataFrame, wide: bool = False) -> Figure:
    """Draw test accuracy against labels bought: ours, the study's, and others'.

    Parameters
    ----------
    curves : DataFrame
        As from `experiments.results.curves`.
    wide : bool, default=False
        Whether to fill a page's width rather than a phone's.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _figure(5.6)
    if wide:
        figure.set_size_inches(2 * WIDTH, 5.2)
    for kind, (line, looks) in LOOKS.items():
        arms = curves[curves["kind"] == kind].groupby("name", sort=False)
        for (colour, marker), (name, arm) in zip(cycle(looks), arms, strict=False):
            axes.errorbar(
                arm["labels"],
                100 * arm["accuracy"],
                yerr=100 * arm["sd"],
                linestyle=line,
                marker=marker,
                color=COLOURS[colour],
                label=fill(name, 26),
                **({"markerfacecolor": "none"} if line == ":" else {}),
            )
    for row in curves[curves["kind"] == FULL].itertuples():
        axes.axhline(
            100 * row.accuracy, label=f"the study, {row.labels:,} labels", color=COLOURS["ink"], linestyle="--"
        )
        axes.text(1.01, 100 * row.accuracy, row.name.split()[-1], transform=axes.get_yaxis_transform(), va="center")
    _budgets_along(axes, curves.loc[curves["kind"] == "ours", "labels"])
    _legend(figure, 4 if wide else 2)
    return figure


def rounds(audited: pd.DataFrame) -> Figure:
    """Draw the accuracy on the audit against labels bought from people, a line for each model, with 95 % intervals.

    Parameters
    ----------
    audited : DataFrame
        As from `experiments.rounds.read`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _figure(3.9)
    for (model, label_set), arm in audited.groupby(["model", "label_set"], sort=False):
        below, above = arm["accuracy"] - arm["low"], arm["high"] - arm["accuracy"]
        axes.errorbar(
            arm["labels"],
            100 * arm["accuracy"],
            yerr=[100 * below, 100 * above],
            marker="o",
            color=COLOURS[model],
            label=f"{CLASSIFIERS[model].heading} on {LABEL_SETS[label_set].title}",
        )
    axes.set_xlabel("labels bought")
    axes.set_ylabel("accuracy on the audit, %")
    _legend(figure, 2)
    return figure


def accuracy_against_budget(by_setting: pd.DataFrame, published: pd.DataFrame, model: str, percentile: float) -> Figure:
    """Draw test accuracy against labels bought, a line for each label set, the study's figures as hollow markers.

    Parameters
    ----------
    by_setting : DataFrame
        As from `experiments.results.by_setting`.
    published : DataFrame
    model : str
    percentile : float
        Of `partially_propagated`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _figure(3.9)
    for rows, ours in ((published, False), (by_setting, True)):
        rows = rows[(rows["model"] == model) & (rows["accuracy"] > 0.5)]
        rows = rows[rows["percentile"].isna() | (rows["percentile"] == percentile)]
        for label_set, entry in LABEL_SETS.items():
            arm = rows[(rows["label_set"] == label_set) & rows["clusters"].notna()].sort_values("clusters")
            _line(axes, arm["clusters"], arm, "accuracy", label_set, entry.title, hollow=not ours)
        for accuracy in rows.loc[(rows["label_set"] == FULL) & rows["clusters"].isna(), "accuracy"]:
            style = {"color": COLOURS["all"], "linestyle": "-" if ours else "--"}
            axes.axhline(100 * accuracy, label="60,000 labels" if ours else None, **style)
    if model not in set(published["model"]):
        for row in published[(published["label_set"] == FULL) & published["clusters"].isna()].itertuples():
            label = f"the study's {CLASSIFIERS[row.model].heading}, 60,000 labels"
            axes.axhline(100 * row.accuracy, label=label, color=COLOURS[row.model], linestyle="--")
    drawn = (by_setting["model"] == model) & by_setting["clusters"].notna()
    _budgets_along(axes, by_setting.loc[drawn, "clusters"])
    _legend(figure, 2)
    return figure


def against_percentile(by_setting: pd.DataFrame, published: pd.DataFrame, clusters: int) -> Figure:
    """Draw accuracy, purity and coverage of `partially_propagated` against the percentile.

    Parameters
    ----------
    by_setting : DataFrame
        As from `experiments.results.by_setting`.
    published : DataFrame
    clusters : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, (above, below) = _figure(5.4, 2, sharex=True)
    for rows, ours in ((published, False), (by_setting, True)):
        rows = rows[(rows["label_set"] == "partially_propagated") & (rows["clusters"] == clusters)]
        for model, entry in CLASSIFIERS.items():
            arm = rows[(rows["model"] == model) & (rows["accuracy"] > 0.5)].sort_values("percentile")
            _line(above, arm["percentile"], arm, "accuracy", model, entry.title, hollow=not ours)
    arm = by_setting[(by_setting["label_set"] == "partially_propagated") & (by_setting["clusters"] == clusters)]
    arm = arm.drop_duplicates("percentile").sort_values("percentile")
    for column, marker in (("purity", "s"), ("coverage", "D")):
        _line(below, arm["percentile"], arm, column, "ink", column, marker=marker)
    above.set_ylabel("test accuracy, %")
    below.set_ylabel("share, %")
    below.set_xlabel("percentile")
    below.set_ylim(0, 100)
    _legend(figure, 2)
    return figure


def purity_against_coverage(by_setting: pd.DataFrame) -> Figure:
    """Draw the purity of propagated and partially propagated labels against their coverage.

    Parameters
    ----------
    by_setting : DataFrame
        As from `experiments.results.by_setting`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _figure(3.7)
    spread = by_setting[by_setting["label_set"].isin(["propagated", "partially_propagated"])]
    spread = spread.drop_duplicates(["label_set", "clusters", "percentile"]).sort_values("coverage")
    for marker, (clusters, arm) in zip(cycle(SHAPES), spread.groupby("clusters"), strict=False):
        axes.plot(
            100 * arm["coverage"],
            100 * arm["purity"],
            linestyle="-",
            marker=marker,
            color=COLOURS["partially_propagated"],
            label=f"{clusters:,.0f} labels",
        )
    axes.set_xlabel("coverage: share of the training images with a label, %")
    axes.set_ylabel("purity: share of them that is right, %")
    _legend(figure, 3)
    return figure


def collapse_rates(collapses: pd.DataFrame) -> Figure:
    """Draw how often trainings collapsed, with 95 % intervals.

    Parameters
    ----------
    collapses : DataFrame
        As from `experiments.results.collapses`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _figure(0.3 * len(collapses) + 0.9)
    places = range(len(collapses))
    rate = 100 * collapses["rate"]
    whiskers = [rate - 100 * collapses["low"], 100 * collapses["high"] - rate]
    axes.barh(places, rate, 0.6, color=COLOURS["nn"])
    axes.errorbar(rate, places, xerr=whiskers, fmt="none", ecolor=COLOURS["ink"])
    starts = ["near zero: " if dead else "" for dead in collapses["dead"]]
    axes.set_yticks(places, [start + name for start, name in zip(starts, _ticks(collapses), strict=True)])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("trainings that collapsed, %")
    return figure


def costs(costs: pd.DataFrame) -> Figure:
    """Draw the seconds of each computation.

    Parameters
    ----------
    costs : DataFrame
        With `what`, `seconds` and `colour`, a key of COLOURS.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _figure(0.27 * len(costs) + 0.9)
    places = range(len(costs))
    bars = axes.barh(places, costs["seconds"], 0.7, color=[COLOURS[name] for name in costs["colour"]])
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_yticks(places, list(costs["what"]))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("seconds")
    return figure


def setting_name(row: Any) -> str:
    """Name a label set and the parameters that matter to it, from a row with both."""
    parts = [LABEL_SETS[row.label_set].title]
    if pd.notna(row.clusters):
        own = "clusters" in LABEL_SETS[row.label_set].parameters
        parts.append(f"{row.clusters:,.0f}" if own else f"distances to {row.clusters:,.0f} centroids")
    if pd.notna(row.percentile):
        parts.append(f"{_ordinal(row.percentile)} percentile")
    return ", ".join(parts)


def _ticks(rows: pd.DataFrame) -> list[str]:
    return [setting_name(row).removesuffix(" percentile") for row in rows.itertuples()]


def _ordinal(number: float) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(int(number) % 10 if int(number) % 100 not in (11, 12, 13) else 0, "th")
    return f"{number:g}{ending}"


def _figure(height: float, rows: int = 1, **how: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, **how)


def _budgets_along(axes: Axes, labels: Iterable[float]) -> None:
    budgets = sorted({int(one) for one in labels})
    axes.set_xscale("log")
    axes.set_xticks(budgets, [f"{budget:,}" for budget in budgets])
    axes.minorticks_off()
    axes.set_xlabel("labels bought")
    axes.set_ylabel("test accuracy, %")


def _line(
    axes: Axes,
    x: Iterable[float],
    arm: pd.DataFrame,
    column: str,
    colour: str,
    label: str,
    *,
    hollow: bool = False,
    marker: str = "o",
) -> None:
    """Draw a column against x, with its standard deviation, in the colour and marker of a label set or classifier."""
    paint, marker = COLOURS[colour], LABEL_SETS[colour].marker if colour in LABEL_SETS else marker
    x, y = [float(one) for one in x], 100 * arm[column].astype(float)
    if hollow:
        axes.plot(x, y, marker=marker, linestyle=":", color=paint, markerfacecolor="none")
    elif len(y):
        sd = 100 * arm[f"{column}_sd"].astype(float).fillna(0)
        axes.errorbar(x, y, yerr=sd, marker=marker, color=paint, label=label)


def _legend(figure: Figure, columns: int) -> None:
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=columns, fontsize=FONT)
