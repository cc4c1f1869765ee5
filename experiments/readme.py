"""Write the README's tables from metrics/results.csv: `python -m experiments.readme`. A test holds them to it."""

import re
from pathlib import Path

import pandas as pd

from experiments import charts, report, results
from stages import files

README = Path("README.md")


def main() -> None:
    text = filled(
        README.read_text(encoding="utf-8"), tables(report.load(report.RESULTS), report.load(report.PUBLISHED))
    )
    with files.written(README) as partial:
        partial.write_text(text, encoding="utf-8")


def filled(text: str, tables: dict[str, str]) -> str:
    """Put each table between its marks, `<!-- table: NAME -->` and `<!-- end of table -->`.

    Raises
    ------
    ValueError
        If a table has no place in the text.
    """
    for name, table in tables.items():
        mark, end = f"<!-- table: {name} -->", "<!-- end of table -->"
        text, places = re.subn(f"{mark}.*?{end}", lambda _: f"{mark}\n{table}\n{end}", text, flags=re.DOTALL)  # noqa: B023
        if places != 1:
            raise ValueError(f"{places} places for the table {name}, not 1")
    return text


def tables(found: pd.DataFrame, published: pd.DataFrame) -> dict[str, str]:
    """Give the README's tables by name, in Markdown."""
    compared, collapses = results.compared(found, published), results.collapses(found)
    headline = report.budget_findings(results.by_setting(found), published)
    return {
        "headline": "\n".join(f"- {finding}" for finding in headline),
        "budgets": budgets(found, published),
        "study": study(compared),
        "findings": "\n".join(f"- {finding}" for finding in report.findings(found, compared, collapses)),
        "collapses": _markdown(report.collapse_table(collapses)),
    }


def budgets(found: pd.DataFrame, published: pd.DataFrame) -> str:
    """Lay out, for each budget, the best of the study's and what our choices add up to."""
    theirs, paired = results.study_best(published), results.paired(found)
    paired = paired[(paired["model"] == "ridge") & (paired["label_set"] == "active")]
    both = {row.clusters: row for row in results.student_paired(found).itertuples()}
    rows = []
    for row in paired.itertuples():
        rows.append(
            {
                "labels bought": f"{row.clusters:,.0f}",
                "the study's best": report.percent(theirs.get(row.clusters)),
                "ridge, random labels": report.percent(row.random),
                "ridge, active": report.with_spread(row.accuracy, row.accuracy_spread),
                "gain on random, paired": report.gain(row),
                "seeds": str(row.seeds),
            }
        )
        if row.clusters in both:
            ours = both[row.clusters]
            seeds = "" if ours.seeds == row.seeds else f" ({ours.seeds} seed{'s' * (ours.seeds > 1)})"
            rows[-1] |= {
                "with a student network": report.with_spread(ours.accuracy, ours.accuracy_spread) + seeds,
                "gain on ridge, paired": report.gain(ours),
            }
    return _markdown(pd.DataFrame(rows).fillna(""))


def study(compared: pd.DataFrame) -> str:
    """Lay out the study's figures and ours as the study did: a row a label set, both models side by side."""
    named = compared.assign(name=[charts.setting_name(row) for row in compared.itertuples()])
    rows = []
    for name, models in named.groupby("name", sort=False):
        row = {"label set, labels bought": name}
        for model in ("lr", "nn"):
            one = models[models["model"] == model]
            row[f"{model.upper()}, study"] = report.percent(one["published"].iloc[0]) if len(one) else ""
            row[f"{model.upper()}, ours"] = report.with_spread(*one[["ours", "spread"]].iloc[0]) if len(one) else ""
        rows.append(row)
    return _markdown(pd.DataFrame(rows))


def _markdown(table: pd.DataFrame) -> str:
    aligned = ["left"] + ["right"] * (len(table.columns) - 1)
    return str(table.to_markdown(index=False, colalign=aligned, disable_numparse=True))


if __name__ == "__main__":
    main()
