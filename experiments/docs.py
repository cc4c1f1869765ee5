"""Write the generated tables of README.md and docs/: `python -m experiments.docs`. A test holds them to the figures.

They come from metrics/results.csv, metrics/benchmarks.json and metrics/details.json.
"""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import tabulate

from benchmarks import (
    dimensions,
    kmeans,
    models,
    neighbours,
    one_budget,
    other_images,
    own_images,
    peers,
    person,
    pipeline,
    pipeline_on_pile,
    rounding,
    scale,
)
from experiments import charts, report, repository, results, table
from stages import command, files

tabulate.MIN_PADDING = 0  # README.md has no line of more than 100 columns
SEEDS = 5
"""Seeds at least of a figure in README.md."""
PAGES = (
    Path("README.md"),
    *(Path("docs") / page.name for page in sorted((Path(__file__).parents[1] / "docs").glob("*.md"))),
)


def main() -> None:
    repository.enter_root()
    generated = tables(report.load(report.RESULTS), report.load(report.PUBLISHED)) | printed_tables()
    for page, text in filled({page: page.read_text(encoding="utf-8") for page in PAGES}, generated).items():
        with files.atomic_write(page) as beside:
            beside.write_text(text, encoding="utf-8")


def filled(pages: dict[Path, str], tables: dict[str, str]) -> dict[Path, str]:
    """Put each table between its marks, `<!-- table: NAME -->` and `<!-- end of table -->`.

    Raises
    ------
    ValueError
        If a table has no place in the pages, or more than one; or a place has no table.
    """
    pattern = re.compile("(<!-- table: (.+?) -->\n).*?(<!-- end of table -->)", re.DOTALL)
    places = [name for text in pages.values() for _, name, _ in pattern.findall(text)]
    for name in {*places, *tables}:
        if places.count(name) != 1 or name not in tables:
            made = "made" if name in tables else "not made"
            raise ValueError(f"table {name}: {made}, and {places.count(name)} places are marked for it, not 1")
    return {
        page: pattern.sub(lambda match: f"{match[1]}{tables[match[2]]}\n{match[3]}", text)
        for page, text in pages.items()
    }


def tables(runs: pd.DataFrame, published: pd.DataFrame) -> dict[str, str]:
    """Make the tables of metrics/results.csv by name, in Markdown."""
    compared, collapses = results.compared(runs, published), results.collapses(runs)
    settings = results.by_setting(runs)
    enough = [*report.budget_findings(settings, published), *report.passed(runs)]
    return {
        "headline": headline(runs, published),
        "enough": "\n".join(f"- {sentence}" for sentence in enough),
        "budgets": budgets(runs, published),
        "choices": choices(runs),
        "percentiles": percentiles(settings),
        "models": models_table(settings),
        "study": study(compared),
        "findings": "\n".join(f"- {sentence}" for sentence in report.findings(runs, compared, collapses)),
        "collapses": _markdown(report.collapse_table(collapses)),
        "clip_art": clip_art(runs),
    }


def printed_tables() -> dict[str, str]:
    """Make the tables that the benchmarks and the last run print, by name."""
    recorded = files.load_json(report.BENCHMARKS)
    details = files.load_json(table.DETAILS)
    print_table: dict[str, Callable[[list[dict[str, Any]]], None]] = {
        "peers": peers.print_table,
        "other_images": other_images.print_table,
        "kmeans": kmeans.print_table,
        "dimensions": dimensions.print_table,
        "neighbours": neighbours.print_table,
        "scale": scale.print_table,
        "logistic_regression": lambda rows: models.print_table("logistic regression", rows),
        "network": lambda rows: models.print_table("network", rows),
        "pipeline": pipeline.print_table,
        "one_budget": one_budget.print_table,
        "pipeline_on_pile": pipeline_on_pile.print_table,
        "rounding": rounding.print_table,
        "which_features": own_images.print_features,
        "suspects": own_images.print_suspects,
        "sizes": own_images.print_sizes,
        **person.TABLES,
    }
    shown = {name: _printed(partial(print_table[name], recorded[name]["rows"])) for name in print_table}
    on_paper = _printed(partial(scale.print_on_paper, recorded["scale"]["rows"]))
    stages = _printed(partial(pipeline.print_stages, recorded["pipeline"]["runs"][-1]["stages"]))
    of_the_run = {"run": _printed(lambda: table.show(details)), "confidence": confidence(details)}
    return shown | {"scale_on_paper": on_paper, "pipeline_stages": stages} | of_the_run


def headline(runs: pd.DataFrame, published: pd.DataFrame) -> str:
    """Lay out what each number of labels reaches, in words that need no glossary."""
    theirs = results.study_best(published)
    rows = [
        {
            "labels": f"{row.clusters:,.0f}",
            "the study's best": report.percent(theirs.get(row.clusters)),
            "chosen at random": report.percent(row.random),
            "chosen actively": report.with_sd(row.accuracy, row.accuracy_sd),
            "plus a student": report.with_sd(both.accuracy, both.accuracy_sd) if both else "",
        }
        | (
            {"strongest": report.with_sd(strong.accuracy, strong.accuracy_sd)}
            if strong and strong.seeds >= SEEDS
            else {}
        )
        for row, both, strong in _budgets(runs)
    ]
    return _markdown(pd.DataFrame(rows).fillna(""))


def clip_art(runs: pd.DataFrame) -> str:
    """Lay out what the sweep `clip_art` reached on each kind of features, a row for each number of labels."""
    arms = results.arms(runs[runs["images"].str.startswith("clip_art ")])
    columns = {
        ("hog", "lr", "random"): "HOG: LR, random",
        ("hog", "ridge", "random"): "HOG: ridge, random",
        ("hog", "ridge", "active"): "HOG: ridge, active",
        ("embedding", "lr", "random"): "embedding: LR, random",
        ("embedding", "ridge", "random"): "embedding: ridge, random",
        ("embedding", "ridge", "active"): "embedding: ridge, active",
    }
    scores = arms.groupby(["clusters", "features", "model", "label_set"])["accuracy"].agg(["mean", "std"])
    rows = [
        {"labels": f"{clusters:,.0f}"}
        | {title: report.with_sd(*scores.loc[(clusters, *column)]) for column, title in columns.items()}
        for clusters in sorted(arms["clusters"].dropna().unique())
    ]
    return _markdown(pd.DataFrame(rows))


def budgets(runs: pd.DataFrame, published: pd.DataFrame) -> str:
    """Lay out, for each budget, the study's best and gains of active selection and of the student, paired by seed."""
    theirs = results.study_best(published)
    rows = []
    for row, both, strong in _budgets(runs):
        rows.append(
            {
                "labels bought": f"{row.clusters:,.0f}",
                "the study's best": report.percent(theirs.get(row.clusters)),
                "ridge, random labels": report.percent(row.random),
                "ridge, active": report.with_sd(row.accuracy, row.accuracy_sd),
                "gain on random, paired": report.gain(row),
                "seeds": str(row.seeds),
            }
        )
        if both:
            rows[-1] |= {
                "with a student network": _accuracy(both, row.seeds),
                "gain on ridge, paired": report.gain(both),
            }
        if strong:
            rows[-1] |= {
                "strongest setting": _accuracy(strong, row.seeds),
                "gain on the default, paired": report.gain(strong),
            }
    return _markdown(pd.DataFrame(rows).fillna(""))


def choices(runs: pd.DataFrame) -> str:
    """Lay out what each query strategy gains for kernel ridge regression, paired by seed with random labels."""
    paired = results.paired(runs)
    ridge = paired[paired["model"] == "ridge"]
    return _markdown(
        pd.DataFrame(
            {
                "labels bought": [f"{row.clusters:,.0f}" for row in ridge.itertuples()],
                "strategy": ridge["label_set"].replace("active", "cluster_margin").map("`{}`".format),
                "random labels": ridge["random"].map(report.percent),
                "this strategy": [report.with_sd(row.accuracy, row.accuracy_sd) for row in ridge.itertuples()],
                "difference, paired": [report.gain(row) for row in ridge.itertuples()],
                "seeds": ridge["seeds"].astype(str),
            }
        )
    )


def percentiles(settings: pd.DataFrame) -> str:
    """Lay out how far the labels of representatives are spread, from the nearest members to all, and not at all."""
    swept = settings[settings["model"].isin(["lr", "nn"]) & (settings["clusters"] == report.SWEPT)]
    spread = {f"{percentile:.0f}": swept[swept["percentile"] == percentile] for percentile in (20, 25, 30, 50, 75)}
    spread |= {"100 (`propagated`)": swept[swept["label_set"] == "propagated"]}
    spread |= {"the representatives alone": swept[swept["label_set"] == "representatives"]}
    rows = []
    for name, trained in spread.items():
        of = trained.set_index("model")
        rows.append(
            {
                "percentile": name,
                "coverage, %": report.percent(of.loc["lr", "coverage"]),
                "purity, %": report.percent(of.loc["lr", "purity"]),
                "logistic regression, %": report.percent(of.loc["lr", "accuracy"]),
                "network, %": report.percent(of.loc["nn", "accuracy"]),
            }
        )
    return _markdown(pd.DataFrame(rows))


MODELS = [
    ("logistic regression on pixels", "lr", "random"),
    ("network on pixels", "nn", "random"),
    ("kernel ridge regression on HOG", "ridge", "random"),
    ("kernel ridge regression on HOG", "ridge", "active"),
    ("student network alone", "nn", "propagated_soft"),
    ("ensemble: the regression and its student", *results.STUDENT),
]
"""Models side by side, and what each of them is trained on with few labels."""


def models_table(settings: pd.DataFrame) -> str:
    """Lay out the models side by side, with few labels and with all."""
    rows = []
    for name, model, label_set in MODELS:
        trained = settings[settings["model"] == model]
        few = trained[trained["label_set"] == label_set].set_index("clusters")["accuracy"]
        full = trained[trained["label_set"] == charts.FULL]["accuracy"]
        at_random = label_set == "random"
        row = {"model": name, "labels": "random" if at_random else "active"}
        row |= {f"{labels:,}": report.percent(few.get(labels)) for labels in (500, 1000, 2000)}
        rows.append(row | {"60,000": report.percent(full.iloc[0]) if len(full) and at_random else ""})
    return _markdown(pd.DataFrame(rows))


def _budgets(runs: pd.DataFrame) -> list[tuple[Any, Any, Any]]:
    """Pair the rows of active kernel ridge regression with those of its ensemble, by default and in the strongest
    setting; None where it was not trained.
    """
    paired = results.paired(runs)
    ridge = paired[(paired["model"] == "ridge") & (paired["label_set"] == "active")]
    both, strong = (
        {row.clusters: row for row in rows.itertuples()}
        for rows in (results.student_paired(runs), results.strongest_paired(runs))
    )
    return [(row, both.get(row.clusters), strong.get(row.clusters)) for row in ridge.itertuples()]


def _accuracy(row: Any, usual: int) -> str:
    """Write a mean and its standard deviation, and of how many seeds, if that is not the usual number."""
    seeds = "" if row.seeds == usual else f" ({row.seeds} seed{'s' * (row.seeds > 1)})"
    return report.with_sd(row.accuracy, row.accuracy_sd) + seeds


def confidence(details: dict[str, Any]) -> str:
    """Lay out how many of the last run's soft labels are right, and how many there are, above each probability."""
    soft = details["label_sets"]["propagated_soft"]
    rows = [
        {"at least this confident": least, "purity, %": report.percent(purity), "coverage, %": report.percent(coverage)}
        for (least, purity), coverage in zip(soft["purity_above"].items(), soft["coverage_above"].values(), strict=True)
    ]
    return _markdown(pd.DataFrame(rows))


def study(compared: pd.DataFrame) -> str:
    """Lay out the study's figures and ours as the study did: a row for each label set, both models side by side."""
    named = compared.assign(name=[charts.setting_name(row) for row in compared.itertuples()])
    rows = []
    for name, trained in named.groupby("name", sort=False):
        row = {"label set, labels bought": name}
        for heading, classifiers in {"LR": ("lr", "lr_distances"), "NN": ("nn",)}.items():
            one = trained[trained["model"].isin(classifiers)]
            row[f"{heading}, study"] = report.percent(one["published"].iloc[0]) if len(one) else ""
            row[f"{heading}, ours"] = report.with_sd(*one[["ours", "sd"]].iloc[0]) if len(one) else ""
        rows.append(row)
    return _markdown(pd.DataFrame(rows))


def _markdown(table: pd.DataFrame) -> str:
    aligned = ["left"] + ["right"] * (len(table.columns) - 1)
    return str(table.to_markdown(index=False, colalign=aligned, disable_numparse=True))


def _printed(print_table: Callable[[], None]) -> str:
    """Catch what a function prints, as a block of text in Markdown."""
    output = io.StringIO()
    with redirect_stdout(output):
        print_table()
    return f"```text\n{output.getvalue().rstrip()}\n```"


if __name__ == "__main__":
    command.run(main)
