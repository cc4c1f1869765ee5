"""Write what all runs say to metrics/: results.csv, report.html and budgets.svg, which the README shows.

`python -m experiments.report`, or `make report`. The rows of DVC's experiments here take the place of those recorded in
results.csv with the same parameters, label set and model; all others stay. Without experiments, all of it stays.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import charts, results
from stages import files, params

RESULTS, REPORT, BUDGETS = Path("metrics/results.csv"), Path("metrics/report.html"), Path("metrics/budgets.svg")
BENCHMARKS = Path("metrics/benchmarks.json")
PUBLISHED = Path("experiments/published.csv")
PUBLISHED_PEERS = Path("experiments/published_peers.csv")
"""Means and standard deviations of the trials in their authors' own result files."""
ELSEWHERE = (
    "Those of Laplace and Poisson learning are by J. Calder, B. Cook, M. Thorpe and D. Slepčev (ICML 2020): 100 trials "
    "each with random labels, on the features of a variational autoencoder and transductive on all 70,000 images, that "
    "is, what they are judged on was in their graph."
)
"""What to know of PUBLISHED_PEERS beside ours."""
PERCENTILE = 25
"""Of the study's propagation to a part of each cluster, at all its cluster counts."""
SWEPT = 2000
"""The cluster count of its percentiles."""
COLLAPSED = 0.2
"""An accuracy below it is that of a network with one answer."""

CAPTIONS = {
    "representatives": "Some of the representatives and the labels bought for them",
    "mislabelled": "Some of the images that propagation gave a wrong label",
}


def main() -> None:
    found = results.collect()
    if (found["run"] != "HEAD").any() or not RESULTS.exists():
        if RESULTS.exists():
            found = results.merged(found, pd.read_csv(RESULTS))
        write(found)
        print(f"{RESULTS}: {len(found):,} rows from {found['run'].nunique():,} runs")
    else:
        print(f"no experiments here (`make sweep` runs some): {RESULTS} stays as it is")
    found, published = load(RESULTS), load(PUBLISHED)
    with files.written(BUDGETS) as partial:
        partial.write_text(charts.picture(*budget_chart(curves(found, published))), encoding="utf-8")
    with files.written(REPORT) as partial:
        partial.write_text(page(found, published), encoding="utf-8")
    print(f"{REPORT}: open it in a browser")


def write(found: pd.DataFrame) -> None:
    """Write results.csv, which then reads with `pandas.read_csv` and writes the same again."""
    with files.written(RESULTS) as partial:
        found.to_csv(partial, index=False, lineterminator="\n", float_format="%.10g")


def load(path: Path) -> pd.DataFrame:
    """Read results.csv or published.csv."""
    return pd.read_csv(path, dtype={"clusters": "Float64", "percentile": "Float64"})


def curves(found: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Give `experiments.results.curves`, with the peers of benchmarks.json if they were measured."""
    recorded = files.load_json(BENCHMARKS) if BENCHMARKS.exists() else {}
    peers = results.best_peers(recorded.get("peers", {}).get("rows", []))
    return results.curves(results.by_setting(found), published, pd.read_csv(PUBLISHED_PEERS), peers)


def page(found: pd.DataFrame, published: pd.DataFrame) -> str:
    """Render the report.

    Parameters
    ----------
    found : DataFrame
        As from `experiments.results.collect`.
    published : DataFrame
        With `label_set, clusters, percentile, model, accuracy`.

    Returns
    -------
    str
        A whole HTML page.
    """
    compared, settings = results.compared(found, published), results.by_setting(found)
    collapses, costs = results.collapses(found), _costs(found, settings)
    overview = curves(found, published)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(
        findings=[*budget_findings(settings, published), *findings(found, compared, collapses)],
        explanations=explanations(compared),
        percentile=PERCENTILE,
        comparison=comparison_table(compared),
        comparison_charts=[
            _chart(
                f"compared-{model}",
                f"Published and ours: {name}",
                _said(compared[compared["model"] == model]),
                lambda model=model: charts.published_and_ours(compared, model),
            )
            for model, name in charts.MODELS.items()
            if model in set(compared["model"])
        ],
        overview_chart=_chart(*budget_chart(overview)),
        overview=curves_table(overview),
        elsewhere=ELSEWHERE,
        peers="peer" in set(overview["kind"]),
        budget_charts=[
            _chart(
                f"budget-{model}",
                f"Test accuracy of {name} against labels bought",
                "A line for each way of spending the labels. The table below has the same figures.",
                lambda model=model: charts.accuracy_against_budget(settings, published, model, PERCENTILE),
            )
            for model, name in charts.MODELS.items()
            if model in set(settings["model"])
        ],
        paired=paired_table(results.paired(found)),
        settings=_settings_table(settings),
        percentile_charts=[
            _chart(
                "percentile",
                f"Accuracy, purity and coverage against the percentile, {SWEPT:,} labels",
                "Coverage grows with the percentile, purity falls. The table below has the same figures.",
                lambda: charts.against_percentile(settings, published, SWEPT),
            ),
            _chart(
                "purity",
                "Purity against coverage",
                "A line for each number of labels: the more images get a label, the fewer of the labels are right.",
                lambda: charts.purity_against_coverage(settings),
            ),
        ],
        percentiles=_percentile_table(settings),
        run_of=_run_of(),
        confusions=_confusions(),
        pictures=_pictures(),
        collapses=collapse_table(collapses) if len(collapses) else None,
        collapse_charts=[
            _chart(
                "collapses",
                "How often the study's network collapsed",
                "A bar for each label set. The table below has the same figures.",
                lambda: charts.collapse_rates(collapses),
            )
        ]
        if len(collapses)
        else [],
        costs=costs[["what", "seconds", "peak memory, GiB"]].round(2),
        cost_charts=[
            _chart(
                "costs",
                "Seconds of a single computation",
                "A bar for each k-means and each training. The table below has the same figures.",
                lambda: charts.costs(costs),
            )
        ],
        runs=_runs_table(found),
    )


def budget_chart(curves: pd.DataFrame) -> tuple[str, str, str, Callable[[], Figure]]:
    """Give name, title, text alternative and drawing of `experiments.charts.budgets`."""
    told = [
        f"{name}: " + ", ".join(f"{_points(row)} with {row.labels:,}" for row in points.itertuples()) + "."
        for name, points in curves.groupby("name", sort=False)
    ]
    return (
        "budgets",
        "Test accuracy against labels bought",
        "Test accuracy in %, with so many labels. " + " ".join(told),
        lambda: charts.budgets(curves),
    )


def curves_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.results.curves` for reading: a row for each curve, a column for each number of labels."""
    table = curves.assign(told=[_points(row) for row in curves.itertuples()]).pivot(
        index="name", columns="labels", values="told"
    )
    table = table.loc[curves["name"].unique()].fillna("").rename(columns=_count)
    return table.rename_axis("labels bought").reset_index()


def _points(row: Any) -> str:
    return with_spread(row.accuracy, row.spread)


def budget_findings(settings: pd.DataFrame, published: pd.DataFrame) -> list[str]:
    """Say how few labels do what the study needed all of them for, where at least three seeds bear it out."""
    few = settings[settings["clusters"].notna() & (settings["label_set"] != "distances") & (settings["seeds"] >= 3)]
    told = []
    for full in published[published["label_set"] == charts.FULL].itertuples():
        enough = few[few["accuracy"] >= full.accuracy].sort_values(["clusters", "accuracy"], ascending=[True, False])
        for row in enough.head(1).itertuples():
            told.append(
                f"{row.clusters:,.0f} labels do what the study needed 60,000 for: {charts.MODELS[row.model]} on "
                f"{row.label_set.replace('_', ' ')} labels has {with_spread(row.accuracy, row.accuracy_spread)} % "
                f"({row.seeds} seeds), the study's {charts.MODELS[full.model]} {percent(full.accuracy)} %."
            )
    return told


def findings(found: pd.DataFrame, compared: pd.DataFrame, collapses: pd.DataFrame) -> list[str]:
    """Say in sentences what the tables show."""
    run = compared[compared["ours"].notna()]
    told = [
        f"{len(run)} of the study's {len(compared)} figures were run again, on {run['seeds'].min():.0f} seeds or more: "
        f"{(run['difference'] >= 0).sum()} means are at or above the published figure."
    ]
    default = found[(found["clusters"] == SWEPT) & (found["other_parameters"] == "default")]
    nearest = default.drop_duplicates("seed")["distinct_nearest"].dropna()
    if len(nearest):
        told.append(
            f"The nearest of all images to each of {SWEPT:,} centroids, which the study labelled, are only "
            f"{nearest.mean():,.0f} different images (mean of {len(nearest)} seeds): {SWEPT - nearest.mean():,.0f} "
            "labels go unspent. We take the nearest of each cluster's own members."
        )
    edges = found[found["other_parameters"].str.startswith("network.architecture=edges")]
    told_all = edges.loc[(edges["model"] == "nn") & (edges["label_set"] == charts.FULL), "accuracy"]
    if len(told_all):
        told.append(
            f"Told all 60,000 labels, the student's layers reach {with_spread(told_all.mean(), told_all.std())} % "
            f"({len(told_all)} seeds)."
        )
    drawn, dead = (collapses[collapses["dead"] == which] for which in (False, True))
    if len(drawn) and len(dead):
        near = drawn[drawn["percentile"] == 20]
        told.append(
            "The study's 10 % at the 20th percentile is a network that answers one class for every image. The same "
            f"layers collapsed there in {near['collapsed'].sum()} of {near['trainings'].sum()} trainings, and in "
            f"{drawn['collapsed'].sum()} of {drawn['trainings'].sum()} altogether; from the two of 150 initialisations "
            f"that are next to dead, in {dead['collapsed'].sum()} of {dead['trainings'].sum()}. It is bad luck, not "
            "the percentile."
        )
    return told


def explanations(compared: pd.DataFrame) -> list[str]:
    """Say why a published figure is no measure of its setting, or was not reached."""
    told = []
    for row in compared.itertuples():
        name = f"{charts.setting_name(row)}, {charts.MODELS[row.model]}"
        if row.published < COLLAPSED:
            told.append(f"{name}: the published {percent(row.published)} is a collapsed network.")
        elif row.difference < 0:
            told.append(
                f"{name}: {percent(row.ours)} is {-100 * row.difference:.2f} points below the published figure, "
                f"which is that of a single run; the standard deviation of ours is {percent(row.spread) or 'unknown'}."
            )
    return told


def comparison_table(compared: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.results.compared` for reading."""
    return pd.DataFrame(
        {
            "label set": [charts.setting_name(row) for row in compared.itertuples()],
            "model": compared["model"].map(str.upper),
            "published": compared["published"].map(percent),
            "ours": [with_spread(row.ours, row.spread) for row in compared.itertuples()],
            "seeds": compared["seeds"].map(_count),
            "difference": compared["difference"].map(_signed),
        }
    )


def collapse_table(collapses: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.results.collapses` for reading."""
    return pd.DataFrame(
        {
            "label set": [charts.setting_name(row) for row in collapses.itertuples()],
            "start": collapses["dead"].map({False: "any", True: "next to dead"}),
            "trainings": collapses["trainings"],
            "collapsed": collapses["collapsed"],
            "rate, %": collapses["rate"].map(lambda share: f"{100 * share:.0f}"),
            "95 % interval": [f"{100 * row.low:.0f} to {100 * row.high:.0f}" for row in collapses.itertuples()],
        }
    )


def paired_table(paired: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.results.paired` for reading."""
    return pd.DataFrame(
        {
            "labels bought": paired["clusters"].map(_count),
            "label set": paired["label_set"],
            "model": paired["model"].map(charts.MODELS),
            "random, %": paired["random"].map(percent),
            "this, %": [with_spread(row.accuracy, row.accuracy_spread) for row in paired.itertuples()],
            "difference": [gain(row) for row in paired.itertuples()],
            "seeds": paired["seeds"],
        }
    )


def gain(row: Any) -> str:
    """Write the difference of a row of `experiments.results.paired`, with its spread where there is one."""
    return _signed(row.difference) + ("" if pd.isna(row.spread) else f" ± {percent(row.spread)}")


def _settings_table(settings: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label set": [charts.setting_name(row) for row in settings.itertuples()],
            "model": settings["model"].map(str.upper),
            "bought": settings["bought"].map(_count),
            "accuracy, %": [with_spread(row.accuracy, row.accuracy_spread) for row in settings.itertuples()],
            "purity, %": settings["purity"].map(percent),
            "coverage, %": settings["coverage"].map(percent),
            "seeds": settings["seeds"].map(_count),
        }
    )


def _percentile_table(settings: pd.DataFrame) -> pd.DataFrame:
    near = settings[settings["label_set"] == "propagated_near"]
    keys = ["clusters", "percentile"]
    accuracy = near.pivot(index=keys, columns="model", values="accuracy").reset_index()
    both = near.drop_duplicates(keys)[[*keys, "purity", "coverage"]].merge(accuracy, on=keys).sort_values(keys)
    return pd.DataFrame(
        {
            "percentile": both["percentile"].map("{:g}".format),
            "labels": both["clusters"].map(_count),
            **{f"{model.upper()}, %": both[model].map(percent) for model in charts.MODELS if model in both},
            "purity, %": both["purity"].map(percent),
            "coverage, %": both["coverage"].map(percent),
        }
    )


def _costs(found: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    default = found[(found["other_parameters"] == "default") & found["kmeans_seconds"].notna()]
    kmeans = default.drop_duplicates(["seed", "clusters"]).groupby("clusters")["kmeans_seconds"].median()
    rows: list[dict[str, Any]] = [
        {"what": f"k-means, {clusters:,.0f}", "seconds": seconds, "peak memory, GiB": "", "colour": "--all"}
        for clusters, seconds in kmeans.items()
    ]
    timed = settings[settings["seconds"].notna()]
    timed = timed[timed["percentile"].isna() | (timed["percentile"] == PERCENTILE)]
    timed = timed[timed["clusters"].isna() | (timed["clusters"] == SWEPT) | (timed["label_set"] == "distances")]
    rows += [
        {
            "what": f"{row.model.upper()}, {charts.setting_name(row)}",
            "seconds": row.seconds,
            "peak memory, GiB": f"{row.peak_memory_gib:.2f}",
            "colour": f"--{row.model}",
        }
        for row in timed.itertuples()
    ]
    return pd.DataFrame(rows, columns=["what", "seconds", "peak memory, GiB", "colour"])


def _runs_table(found: pd.DataFrame) -> pd.DataFrame:
    runs = found.groupby(["run", *results.SETTING], sort=False).agg(models=("model", "size")).reset_index()
    return (
        runs.assign(percentile=runs["percentile"].map("{:g}".format))
        .astype({"clusters": int})
        .rename(columns=lambda name: name.replace("_", " "))
    )


def _run_of() -> str:
    settings = params.load()
    return f"{settings.clusters:,} clusters, percentile {settings.percentile:g}, seed {settings.seed}"


def _confusions() -> list[dict[str, Any]]:
    settings, accuracies = params.load(), files.load_json("metrics/metrics.json")
    classes = settings.data.classes
    shown = []
    for model, name in charts.MODELS.items():
        for label_set, scores in accuracies.get(model, {}).items():
            answers = pd.read_csv(f"metrics/confusion/{model}_{label_set}.csv")
            counts = pd.crosstab(answers["actual"], answers["predicted"]).reindex(
                index=classes, columns=classes, fill_value=0
            )
            shares = counts.to_numpy() / np.maximum(1, counts.to_numpy().sum(axis=1, keepdims=True))
            shown.append(
                {
                    "title": f"{name} on {label_set.replace('_', ' ')}",
                    "accuracy": percent(scores["accuracy"]),
                    "classes": classes,
                    "rows": list(zip(classes, shares.tolist(), strict=True)),
                }
            )
    return shown


def _pictures() -> list[dict[str, str]]:
    found = [(name, Path(f"data/pictures/{name}.png")) for name in CAPTIONS]
    return [
        {
            "title": CAPTIONS[name],
            "text": f"A grid of small grey images of clothes with a class name above each. {CAPTIONS[name]}.",
            "data": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        }
        for name, path in found
        if path.exists()
    ]


def _chart(name: str, title: str, description: str, draw: Any) -> dict[str, str]:
    return {"title": title, "svg": charts.svg(name, title, description, draw)}


def _said(compared: pd.DataFrame) -> str:
    return " ".join(
        f"{charts.setting_name(row)}: published {percent(row.published)}, ours {percent(row.ours) or 'not run'}."
        for row in compared.itertuples()
    )


def percent(share: float) -> str:
    return "" if pd.isna(share) else f"{100 * share:.2f}"


def with_spread(mean: float, spread: float) -> str:
    return percent(mean) if pd.isna(spread) else f"{percent(mean)} ± {percent(spread)}"


def _signed(difference: float) -> str:
    return "" if pd.isna(difference) else f"{100 * difference:+.2f}"


def _count(number: float) -> str:
    return "" if pd.isna(number) else f"{number:,.0f}"


if __name__ == "__main__":
    main()
