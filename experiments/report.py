"""Write metrics/results.csv, metrics/report.html and metrics/budgets.svg, the README's chart, from all runs.

`python -m experiments.report`, or `make report`. The rows of the DVC experiments in this repository replace those
recorded in results.csv with the same parameters, images, label set and model; all others stay. What it says of the last
run, its names, settings and confusion matrices, comes from that run's own files, never from params.yaml.
"""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from experiments import charts, repository, results, rounds
from experiments.runs import FASHION, HEAD
from experiments.runs import last as last_run
from stages import command, files
from stages.registry import CLASSIFIERS, LABEL_SETS

RESULTS, REPORT, BUDGETS = Path("metrics/results.csv"), Path("metrics/report.html"), Path("metrics/budgets.svg")
BENCHMARKS = Path("metrics/benchmarks.json")
CONFUSION, PICTURES = Path("data/plots/confusion"), Path("data/pictures")
PUBLISHED = Path("experiments/published.csv")
PUBLISHED_PEERS = Path("experiments/published_peers.csv")
"""Means and standard deviations of the trials in their authors' own result files."""
PERCENTILE = 25
"""Of the study's propagation to a part of each cluster, at all its cluster counts."""
SWEPT = 2000
"""The cluster count of its percentiles."""
SEEDS = 3
"""Seeds at least of a mean that something is concluded from."""
PASSED = 0.9
"""An accuracy: how many labels does it take?"""
COLLAPSED = 0.2
"""An accuracy below it is that of a network that predicts one class for every image."""

HEADINGS = {name: entry.heading for name, entry in CLASSIFIERS.items()}

CAPTIONS = {
    "representatives": "Some of the representatives and the labels bought for them",
    "mislabelled": "Some of the images that propagation gave a wrong label",
}


def main() -> None:
    repository.enter_root()
    found, left_out = results.collect()
    for line in left_out:
        print(line)
    if (found["run"] != HEAD).any() or not RESULTS.exists():
        if RESULTS.exists():
            found = results.merged(found, results.read_csv(RESULTS))
        if found.empty:
            raise SystemExit("no run to report: `make repro`, then commit dvc.lock and metrics/")
        write(found)
        print(f"{RESULTS}: {len(found):,} rows from {found['run'].nunique():,} runs")
    else:
        print(f"no experiments here (`make sweep` runs some): {RESULTS} stays as it is")
    recorded, published = load(RESULTS), load(PUBLISHED)
    print("\n".join(machines(recorded)))
    with files.atomic_write(BUDGETS) as partial:
        partial.write_text(charts.picture(*budget_chart(curves(recorded, published))), encoding="utf-8")
    with files.atomic_write(REPORT) as partial:
        partial.write_text(page(recorded, published), encoding="utf-8")
    print(f"{REPORT}: open it in a browser")


def write(runs: pd.DataFrame) -> None:
    """Write results.csv, which `experiments.results.read_csv` reads and this writes the same again."""
    with files.atomic_write(RESULTS) as partial:
        runs.to_csv(partial, index=False, lineterminator="\n", float_format="%.10g")


def load(path: Path) -> pd.DataFrame:
    """Read results.csv or published.csv."""
    table = results.read_csv(path)
    return results.complete(table) if "run" in table else table


def curves(runs: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Compute `experiments.results.curves`, with the peers of benchmarks.json if they were measured."""
    recorded = files.load_json(BENCHMARKS) if BENCHMARKS.exists() else {}
    peers = results.best_peers(recorded.get("peers", {}).get("rows", []))
    default, strong = results.by_setting(runs), enough_seeds(results.by_setting(runs, results.STRONGEST))
    return results.curves(default, strong, published, results.read_csv(PUBLISHED_PEERS), peers)


def enough_seeds(settings: pd.DataFrame) -> pd.DataFrame:
    """Keep the settings with at least SEEDS seeds: a mean of fewer supports no conclusion."""
    return settings[settings["seeds"] >= SEEDS]


def page(runs: pd.DataFrame, published: pd.DataFrame) -> str:
    """Render the report.

    Parameters
    ----------
    runs : DataFrame
        As from `experiments.results.collect`.
    published : DataFrame
        With `label_set, clusters, percentile, model, accuracy`.

    Returns
    -------
    str
        A whole HTML page.
    """
    compared, settings = results.compared(runs, published), results.by_setting(runs)
    collapses, machine = results.collapses(runs), busiest(runs)
    costed = costs(runs, machine)
    overview, last, audited = curves(runs, published), last_run() or {}, rounds.read()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(
        colours=charts.ENTRIES,
        findings=[*budget_findings(settings, published), *passed(runs), *findings(runs, compared, collapses)],
        explanations=explanations(compared),
        percentile=PERCENTILE,
        comparison=comparison_table(compared),
        comparison_charts=[
            _chart(
                f"compared-{model}",
                f"Published and ours: {entry.title}",
                _described(compared[compared["model"] == model]),
                lambda model=model: charts.published_and_ours(compared, model),
            )
            for model, entry in CLASSIFIERS.items()
            if model in set(compared["model"])
        ],
        overview_charts={"narrow": _chart(*budget_chart(overview)), "wide": _chart(*budget_chart(overview, wide=True))},
        overview=curves_table(overview),
        peers="peer" in set(overview["kind"]),
        budget_charts=[
            _chart(
                f"budget-{model}",
                f"Test accuracy of {entry.title} against labels bought",
                "A line for each way of spending the labels. The table below has the same figures.",
                lambda model=model: charts.accuracy_against_budget(settings, published, model, PERCENTILE),
            )
            for model, entry in CLASSIFIERS.items()
            if model in set(settings["model"]) and "clusters" not in entry.parameters
        ],
        paired=paired_table(results.paired(runs)),
        settings=_settings_table(settings),
        percentile_charts=[
            _chart(
                "percentile",
                f"Accuracy, purity and coverage against the percentile, {SWEPT:,} labels",
                "Accuracy above, purity and coverage below it. The table below has the same figures.",
                lambda: charts.against_percentile(settings, published, SWEPT),
            ),
            _chart(
                "purity",
                "Purity against coverage",
                "A line for each number of labels. The table below has the same figures.",
                lambda: charts.purity_against_coverage(settings),
            ),
        ],
        percentiles=_percentile_table(settings),
        run_of=run_of(last),
        confusions=confusions(last),
        pictures=_pictures(),
        collapses=collapse_table(collapses),
        collapse_charts=[
            _chart(
                "collapses",
                "How often the study's network collapsed",
                "A bar for each label set. The table below has the same figures.",
                lambda: charts.collapse_rates(collapses),
            )
        ],
        costs=costed[["what", "seconds", "peak memory, GiB"]].round(2),
        cost_charts=[
            _chart(
                "costs",
                "Seconds of a single computation",
                "A bar for each k-means and each training. The table below has the same figures.",
                lambda: charts.costs(costed),
            )
        ],
        machine=machine or "a machine that was not recorded",
        machines=machines(runs),
        others=others_table(runs),
        rounds=rounds_table(audited),
        rounds_charts=[
            _chart(
                "rounds",
                "Accuracy on the audit against labels bought",
                "A line for each model, with 95 % intervals. The table below has the same figures.",
                lambda: charts.rounds(audited),
            )
        ]
        if len(audited)
        else [],
        runs=_runs_table(runs),
    )


def budget_chart(curves: pd.DataFrame, wide: bool = False) -> tuple[str, str, str, Callable[[], Figure]]:
    """Make name, title, text alternative and drawing of `experiments.charts.budgets`."""
    sentences = [
        f"{name}: " + ", ".join(f"{_accuracy(row)} with {row.labels:,}" for row in points.itertuples()) + "."
        for name, points in curves.groupby("name", sort=False)
    ]
    return (
        "budgets-wide" if wide else "budgets",
        "Test accuracy against labels bought",
        "Test accuracy in %, with so many labels. " + " ".join(sentences),
        lambda: charts.budgets(curves, wide),
    )


def curves_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.results.curves` as a table: a row for each curve, a column for each number of labels."""
    cells = curves.assign(cell=[_accuracy(row) for row in curves.itertuples()])
    table = cells.pivot(index="name", columns="labels", values="cell")
    table = table.loc[curves["name"].unique()].fillna("").rename(columns=_count)
    return table.rename_axis("labels bought").reset_index()


def _accuracy(row: Any) -> str:
    return with_sd(row.accuracy, row.sd)


def budget_findings(settings: pd.DataFrame, published: pd.DataFrame) -> list[str]:
    """Find the fewest labels that reach each of the study's accuracies with all labels, over at least three seeds."""
    few = enough_seeds(settings[settings["clusters"].notna() & (settings["label_set"] != charts.FULL)])
    sentences = []
    for full in published[(published["label_set"] == charts.FULL) & published["clusters"].isna()].itertuples():
        enough = few[few["accuracy"] >= full.accuracy].sort_values(["clusters", "accuracy"], ascending=[True, False])
        for row in enough.head(1).itertuples():
            sentences.append(
                f"{row.clusters:,.0f} labels are enough for what the study reached with 60,000: "
                f"the {CLASSIFIERS[row.model].title} on {LABEL_SETS[row.label_set].title} labels has "
                f"{with_sd(row.accuracy, row.accuracy_sd)} % ({row.seeds} seeds), the study's "
                f"{CLASSIFIERS[full.model].title} {percent(full.accuracy)} %."
            )
    return sentences


def passed(runs: pd.DataFrame) -> list[str]:
    """State how many labels the ensemble needs to pass 90 %, in each setting that reaches it."""
    sentences = []
    for setting, changes in {"default": None, "strongest": results.STRONGEST}.items():
        labels = results.labels_for(enough_seeds(results.by_setting(runs, changes)), PASSED)
        if labels is not None:
            sentences.append(
                f"The ensemble in the {setting} setting passes {percent(PASSED)} % with some {round(labels, -1):,.0f} "
                "labels, interpolated along the logarithm of their number."
            )
    return sentences


def findings(runs: pd.DataFrame, compared: pd.DataFrame, collapses: pd.DataFrame) -> list[str]:
    """State in sentences the figures that differ from the study's."""
    run = compared[compared["ours"].notna()]
    sentences = []
    if len(run):
        sentences.append(
            f"{len(run)} of the study's {len(compared)} figures were run again, "
            f"on {run['seeds'].min():.0f} seeds or more: {(run['difference'] >= 0).sum()} means are at or above the "
            "published figure."
        )
    default = results.with_parameters(runs[runs["clusters"] == SWEPT])
    nearest = default.drop_duplicates("seed")["distinct_nearest"].dropna()
    if len(nearest):
        sentences.append(
            f"The nearest of all images to each of {SWEPT:,} centroids, which the study labelled, are only "
            f"{nearest.mean():,.0f} different images (mean of {len(nearest)} seeds): {SWEPT - nearest.mean():,.0f} "
            "labels stay unspent. We take the nearest of each cluster's own members."
        )
    longest = results.with_parameters(runs, results.EVERYTHING)
    all_labels = longest.loc[(longest["model"] == "nn") & (longest["label_set"] == charts.FULL), "accuracy"]
    if len(all_labels):
        sentences.append(
            f"With all 60,000 labels, {results.EVERYTHING['network.networks']} networks joined, each of "
            f"{results.EVERYTHING['network.steps']:,} steps on shifted images, reach "
            f"{with_sd(all_labels.mean(), all_labels.std())} % ({len(all_labels)} seeds)."
        )
    drawn, dead = (collapses[collapses["dead"] == which] for which in (False, True))
    if len(drawn) and len(dead):
        near = drawn[drawn["percentile"] == 20]
        sentences.append(
            "The study's 10 % at the 20th percentile is a network that predicts one class for every image. The same "
            f"layers collapsed there in {near['collapsed'].sum()} of {near['trainings'].sum()} trainings, and in "
            f"{drawn['collapsed'].sum()} of {drawn['trainings'].sum()} altogether; from the two of 150 initialisations "
            f"whose single channel is near zero, in {dead['collapsed'].sum()} of {dead['trainings'].sum()}."
        )
    return sentences


def explanations(compared: pd.DataFrame) -> list[str]:
    """State why a published figure is no measure of its setting, or was not reached."""
    sentences = []
    for row in compared.itertuples():
        name = f"{charts.setting_name(row)}, {CLASSIFIERS[row.model].title}"
        if row.published < COLLAPSED:
            sentences.append(f"{name}: the published {percent(row.published)} % is that of a constant prediction.")
        elif row.difference < 0:
            sentences.append(
                f"{name}: {percent(row.ours)} is {-100 * row.difference:.2f} points below the published figure, "
                f"which is that of a single run; the standard deviation of ours is {percent(row.sd) or 'unknown'}."
            )
    return sentences


def comparison_table(compared: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.results.compared` for reading."""
    return pd.DataFrame(
        {
            "label set": [charts.setting_name(row) for row in compared.itertuples()],
            "gain": compared["difference"].map(_signed),
            "model": compared["model"].map(HEADINGS),
            "ours": [with_sd(row.ours, row.sd) for row in compared.itertuples()],
            "published": compared["published"].map(percent),
            "seeds": compared["seeds"].map(_count),
        }
    )


def collapse_table(collapses: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.results.collapses` for reading."""
    return pd.DataFrame(
        {
            "label set": [charts.setting_name(row) for row in collapses.itertuples()],
            "rate, %": collapses["rate"].map(lambda share: f"{100 * share:.0f}"),
            "95 % interval": [f"{100 * row.low:.0f} to {100 * row.high:.0f}" for row in collapses.itertuples()],
            "trainings": collapses["trainings"],
            "collapsed": collapses["collapsed"],
            "start": collapses["dead"].map({False: "any", True: "near zero"}),
        }
    )


def paired_table(paired: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.results.paired` for reading."""
    return pd.DataFrame(
        {
            "labels": paired["clusters"].map(_count),
            "gain": [gain(row) for row in paired.itertuples()],
            "model": paired["model"].map(HEADINGS),
            "label set": paired["label_set"].map(lambda name: LABEL_SETS[name].title),
            "this, %": [with_sd(row.accuracy, row.accuracy_sd) for row in paired.itertuples()],
            "random, %": paired["random"].map(percent),
            "seeds": paired["seeds"],
        }
    )


def gain(row: Any) -> str:
    """Write the difference of a row of `experiments.results.paired`, with its standard deviation where there is one."""
    return _signed(row.difference) + ("" if pd.isna(row.sd) else f" ± {percent(row.sd)}")


def _settings_table(settings: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label set": [charts.setting_name(row) for row in settings.itertuples()],
            "accuracy, %": [with_sd(row.accuracy, row.accuracy_sd) for row in settings.itertuples()],
            "model": settings["model"].map(HEADINGS),
            "bought": settings["bought"].map(_count),
            "purity, %": settings["purity"].map(percent),
            "coverage, %": settings["coverage"].map(percent),
            "seeds": settings["seeds"].map(_count),
        }
    )


def _percentile_table(settings: pd.DataFrame) -> pd.DataFrame:
    partial = settings[settings["label_set"] == "partially_propagated"]
    keys = ["clusters", "percentile"]
    accuracy = partial.pivot(index=keys, columns="model", values="accuracy").reset_index()
    both = partial.drop_duplicates(keys)[[*keys, "purity", "coverage"]].merge(accuracy, on=keys).sort_values(keys)
    return pd.DataFrame(
        {
            "percentile": both["percentile"].map("{:g}".format),
            "labels": both["clusters"].map(_count),
            **{f"{entry.heading}, %": both[name].map(percent) for name, entry in CLASSIFIERS.items() if name in both},
            "purity, %": both["purity"].map(percent),
            "coverage, %": both["coverage"].map(percent),
        }
    )


def busiest(runs: pd.DataFrame) -> str:
    """Name the machine that most rows with a cost come from, "" if it was not recorded."""
    timed = runs.loc[runs["seconds"].notna(), "machine"].fillna("")
    return str(timed.mode().iloc[0]) if len(timed) else ""


def machines(runs: pd.DataFrame) -> list[str]:
    """State how many rows come from which machine, and how many means are over runs of several.

    Examples
    --------
    >>> import pandas as pd
    >>> from experiments.report import load, machines, RESULTS
    >>> machines(load(RESULTS))  # doctest: +SKIP
    ['Rows from a machine that was not recorded: 462.']
    """
    counts = runs["machine"].fillna("a machine that was not recorded").value_counts()
    sentences = [f"Rows from {name}: {count:,}." for name, count in counts.items()]
    settings = results.by_setting(runs)
    mixed = (settings["machines"] > 1).sum()
    if mixed:
        sentences.append(f"Means over runs of more than one machine: {mixed:,} of {len(settings):,}.")
    return sentences


def others_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Average the runs on other images than Fashion-MNIST, which nothing else on the page shows."""
    others = [
        results.by_setting(runs, images=name).assign(images=name) for name in sorted({*runs["images"]} - {FASHION})
    ]
    if not others:
        return pd.DataFrame()
    table = pd.concat(others, ignore_index=True)
    return pd.concat([table["images"], _settings_table(table)], axis=1)


def rounds_table(audited: pd.DataFrame) -> pd.DataFrame:
    """Lay out `experiments.rounds.read` for reading."""
    return pd.DataFrame(
        {
            "labels": audited["labels"].map(_count),
            "accuracy, %": audited["accuracy"].map(percent),
            "95 % interval": [f"{percent(row.low)} to {percent(row.high)}" for row in audited.itertuples()],
            "audited": audited["images"].map(_count),
            "model": audited["model"].map(HEADINGS),
            "label set": audited["label_set"].map(lambda name: LABEL_SETS[name].title),
            "commit": audited["commit"],
        }
    )


def costs(runs: pd.DataFrame, machine: str) -> pd.DataFrame:
    """List what each computation cost on one machine, "" for those not recorded."""
    runs = runs[runs["machine"].fillna("") == machine]
    settings = results.by_setting(runs)
    default = results.with_parameters(runs[runs["kmeans_seconds"].notna()])
    kmeans = default.drop_duplicates(["seed", "clusters"]).groupby("clusters")["kmeans_seconds"].median()
    rows: list[dict[str, Any]] = [
        {"what": f"k-means, {clusters:,.0f}", "seconds": seconds, "peak memory, GiB": "", "colour": "ink"}
        for clusters, seconds in kmeans.items()
    ]
    timed = settings[settings["seconds"].notna()]
    timed = timed[timed["percentile"].isna() | (timed["percentile"] == PERCENTILE)]
    timed = timed[timed["clusters"].isna() | (timed["clusters"] == SWEPT) | (timed["model"] == "lr_distances")]
    rows += [
        {
            "what": f"{HEADINGS[row.model]}, {charts.setting_name(row)}",
            "seconds": row.seconds,
            "peak memory, GiB": f"{row.peak_memory_gib:.2f}",
            "colour": row.model,
        }
        for row in timed.itertuples()
    ]
    return pd.DataFrame(rows, columns=["what", "seconds", "peak memory, GiB", "colour"])


def _runs_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Count the models of each run, and name its parameters that differ from today's params.yaml."""
    rows = []
    default = results.defaults()
    others = [name for name in default if name not in results.SWEPT and not name.startswith("data.")]
    named = ["run", "images", *results.SWEPT, *others]
    for run, models in runs.groupby(named, sort=False):
        parameters = dict(zip(named, run, strict=True))
        changed = [f"{name}={parameters[name]}" for name in others if parameters[name] != default[name]]
        swept = {"seed": parameters["seed"], "clusters": f"{parameters['clusters']:.0f}"}
        swept["percentile"] = f"{parameters['percentile']:g}"
        swept["images"] = parameters["images"]
        rows.append({"run": parameters["run"], **swept, "models": len(models), "other parameters": " ".join(changed)})
    return pd.DataFrame(rows)


def run_of(last: dict[str, Any]) -> str:
    """Name the settings of the last run, from its own record."""
    run = last.get("run")
    return f"{run['clusters']:,} clusters, percentile {run['percentile']:g}, seed {run['seed']}" if run else ""


def confusions(last: dict[str, Any]) -> list[dict[str, Any]]:
    """Compute the confusion matrix of each model of the last run, the most accurate model first.

    Parameters
    ----------
    last : dict
        The content of metrics/details.json.

    Returns
    -------
    list of dict
        For each model `title`, `accuracy`, `classes` and `rows`: pairs of a class and a list, for its test images, of
        the share predicted as each class, None without test images. Models whose file is missing or of another run,
        which has another accuracy, are left out.

    Examples
    --------
    >>> from experiments.report import confusions
    >>> confusions({"run": {"classes": ["a", "b"]}, "lr": {}})
    []
    """
    shown: list[dict[str, Any]] = []
    models = [
        (name, label_set)
        for name in CLASSIFIERS
        for label_set, scores in last.get(name, {}).items()
        if "run" in last and "accuracy" in scores
    ]
    for model, label_set in sorted(models, key=lambda one: -last[one[0]][one[1]]["accuracy"]):
        path, accuracy = CONFUSION / f"{model}_{label_set}.csv", last[model][label_set]["accuracy"]
        if not path.exists():
            continue
        classes = last["run"]["classes"]
        pairs = pd.read_csv(path, dtype={"actual": str, "predicted": str}, na_filter=False)
        counts = pairs.pivot(index="actual", columns="predicted", values="count")
        if {*counts.index} != {*classes} or {*counts.columns} != {*classes}:
            continue
        counts = counts.loc[classes, classes].to_numpy()
        if abs(counts.trace() / counts.sum() - accuracy) > 1e-9:
            continue
        shares = [(row / row.sum()).tolist() if row.any() else [None] * len(row) for row in counts]
        shown.append(
            {
                "title": f"{CLASSIFIERS[model].title}, trained on {LABEL_SETS[label_set].title}",
                "accuracy": percent(accuracy),
                "classes": classes,
                "rows": list(zip(classes, shares, strict=True)),
            }
        )
    return shown


def _pictures() -> list[dict[str, str]]:
    pictures = [(name, PICTURES / f"{name}.png") for name in CAPTIONS]
    return [
        {
            "title": CAPTIONS[name],
            "text": f"A grid of small images with class names above each. {CAPTIONS[name]}.",
            "data": "data:image/webp;base64," + base64.b64encode(_as_webp(path)).decode(),
        }
        for name, path in pictures
        if path.exists()
    ]


def _as_webp(path: Path) -> bytes:
    """Encode a picture anew, without loss: a third of the bytes that matplotlib writes as PNG."""
    encoded = io.BytesIO()
    with Image.open(path) as picture:
        picture.save(encoded, "webp", lossless=True)
    return encoded.getvalue()


def _chart(name: str, title: str, description: str, draw: Any) -> dict[str, str]:
    return {"title": title, "svg": charts.svg(name, title, description, draw)}


def _described(compared: pd.DataFrame) -> str:
    return " ".join(
        f"{charts.setting_name(row)}: published {percent(row.published)}, ours {percent(row.ours) or 'not run'}."
        for row in compared.itertuples()
    )


def percent(share: float) -> str:
    # Summed in another order, a mean that ends in 5 would round the other way: its last digits are dropped first.
    return "" if pd.isna(share) else f"{round(100 * share, 8):.2f}"


def with_sd(mean: float, sd: float) -> str:
    return percent(mean) if pd.isna(sd) else f"{percent(mean)} ± {percent(sd)}"


def _signed(difference: float) -> str:
    return "" if pd.isna(difference) else f"{100 * difference:+.2f}"


def _count(number: float) -> str:
    return "" if pd.isna(number) else f"{number:,.0f}"


if __name__ == "__main__":
    command.run(main)
