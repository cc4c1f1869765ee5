"""The accuracy on the audit after each round of labelling, from the commits of this repository's history."""

import json
from contextlib import suppress
from typing import Any

import pandas as pd

from experiments.repository import git
from stages.registry import CLASSIFIERS, LABEL_SETS

METRICS = "metrics/metrics.json"
COLUMNS = ("commit", "model", "label_set", "labels", "accuracy", "low", "high", "images")


def read() -> pd.DataFrame:
    """Read what each commit that changed the metrics has of an audit.

    Returns
    -------
    DataFrame
        With COLUMNS, the oldest commit first. `labels` are those bought from people, `low` and `high` the ends of the
        95 % interval, `images` the pictures of the audit. Empty where people never were the oracle.

    Examples
    --------
    >>> from experiments.rounds import read
    >>> read().columns.tolist()[:4]  # doctest: +SKIP
    ['commit', 'model', 'label_set', 'labels']
    """
    rows = []
    with suppress(SystemExit):  # there is no git repository
        for commit in git("log", "--reverse", "--format=%h", "--diff-filter=AM", "--", METRICS).split():
            rows += rows_of(commit, json.loads(git("show", f"{commit}:{METRICS}")))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.drop_duplicates(["model", "label_set", "labels", "images"], keep="last", ignore_index=True)


def rows_of(commit: str, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Lay out the audit of one commit: a row for each model.

    Examples
    --------
    >>> scores = {name: {"ridge": {"active": 0.8}} for name in ("accuracy", "low", "high")}
    >>> rows_of("1a2b3c4", {"audit": scores | {"images": 100}, "bought": {"active": 50}})[0]["labels"]
    50
    """
    audit = metrics.get("audit")
    if not isinstance(audit, dict):
        return []
    rows = []
    for model in CLASSIFIERS:
        for name, accuracy in audit["accuracy"].get(model, {}).items():
            source = LABEL_SETS[name].spread_from or name
            interval = {end: audit[end][model][name] for end in ("low", "high")}
            facts = {"commit": commit, "model": model, "label_set": name, "labels": metrics["bought"].get(source)}
            rows.append(facts | {"accuracy": accuracy} | interval | {"images": audit["images"]})
    return rows
