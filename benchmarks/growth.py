"""Draw how the time of k-means grows with images and clusters: `python -m benchmarks.growth`, from what was recorded.

Writes metrics/growth.svg, which docs/speed.md shows.
"""

from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results import RESULTS
from stages import command, files


def main() -> None:
    rows = files.load_json(RESULTS)["kmeans"]["rows"]
    with (
        rc_context({"svg.hashsalt": "fewlabels", "svg.fonttype": "none"}),
        files.atomic_write("metrics/growth.svg") as partial,
    ):
        growth(rows).savefig(partial, format="svg", metadata={"Date": None})


def growth(rows: list[dict[str, Any]]) -> Figure:
    """Seconds over images, a line for each number of clusters; and over clusters, a line for each contender."""
    figure = Figure(figsize=(10, 4), layout="constrained", facecolor="white")
    over_images, over_clusters = figure.subplots(1, 2)
    ours = [row for row in rows if row["contender"] == "fewlabels"]
    for k in sorted({row["clusters"] for row in ours}):
        _line(over_images, [row for row in ours if row["clusters"] == k], "images", f"{k:,} clusters")
    most = [row for row in rows if row["images"] == 60_000]
    for contender in sorted({row["contender"] for row in most}):
        _line(over_clusters, [row for row in most if row["contender"] == contender], "clusters", contender)
    over_images.set_title("fewlabels")
    over_clusters.set_title("60,000 images")
    return figure


def _line(axes: Axes, rows: list[dict[str, Any]], over: str, label: str) -> None:
    rows = sorted(rows, key=lambda row: row[over])
    middle = [row["seconds"] for row in rows]
    below = [row["seconds"] - row["seconds_least"] for row in rows]
    above = [row["seconds_most"] - row["seconds"] for row in rows]
    axes.errorbar([row[over] for row in rows], middle, yerr=[below, above], marker="o", capsize=3, label=label)
    axes.set(xscale="log", yscale="log", xlabel=over, ylabel="seconds")
    axes.set_xticks([row[over] for row in rows], [f"{row[over]:,}" for row in rows], minor=False)
    axes.minorticks_off()
    axes.legend(loc="upper left", fontsize="small")


if __name__ == "__main__":
    command.run(main)
