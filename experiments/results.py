"""Every run there is as one tidy table, and what follows from it: a row for each run, label set and model."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import dvc.api
import pandas as pd
from ruamel.yaml import YAML
from scipy.stats import binomtest
from tqdm import tqdm

COLUMNS = {
    "run": "the experiment's name, or HEAD for what was committed then",
    "seed": "a parameter",
    "clusters": "a parameter: k-means clusters, and the label budget",
    "percentile": "a parameter",
    "other_parameters": "those that differ from params.yaml, apart from label_sets, or `default`",
    "label_set": "which labels the model was trained on",
    "model": "lr: logistic regression, ridge: kernel ridge regression, nn: network, ensemble: of the last two",
    "accuracy": "share of the test images that are right",
    "macro_f1": "on the test images",
    "calibration_error": "of the probabilities, on the test images",
    "transductive_accuracy": "on training images without a bought label",
    "purity": "share of the label set's labels that are right",
    "coverage": "share of the training images that it labels",
    "bought": "labels paid for",
    "rows": "training images with a label",
    "collapsed": "whether the network answers one class for every image",
    "collapsed_starts": "initialisations that ended so",
    "seconds": "that the training took when it ran",
    "peak_memory_gib": "of the training",
    "kmeans_seconds": "that the k-means took when it ran",
    "inertia": "of the k-means",
    "cluster_purity": "share of images with the most frequent label of their cluster",
    "distinct_nearest": "images that are nearest, of all images, to some centroid",
}
"""The columns of metrics/results.csv."""

SETTING = ["seed", "clusters", "percentile", "other_parameters"]
KEY = [*SETTING, "label_set", "model"]
"""Tells a row from every other."""

MATTERS = {
    "all": [],
    "random": ["clusters"],
    "representatives": ["clusters"],
    "active": ["clusters"],
    "propagated": ["clusters"],
    "propagated_near": ["clusters", "percentile"],
    "propagated_soft": ["clusters"],
    "distances": ["clusters"],
}
"""Which parameters a label set depends on, besides the seed."""

OURS = {
    ("ridge", "random"): "ours: ridge, random labels",
    ("ridge", "active"): "ours: ridge, active labels",
    ("ensemble", "propagated_soft"): "ours: ridge and its student, active labels",
}
"""What `curves` shows of ours, a model and its label set."""
OURS_AMONG_PEERS = ("ridge, random", "ridge, active (ours)")
"""Contenders of `benchmarks.peers` that are no others'."""

DEAD = (40, 60)
"""Seeds, of 1 to 150, from which the study's network starts with its single channel next to zero for every image."""


def collect() -> pd.DataFrame:
    """Read the committed run and all experiments of its history through DVC.

    Returns
    -------
    DataFrame
        With COLUMNS. Where two runs have the same parameters, the one of the newer commit counts.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    defaults: dict[str, Any] | None = None
    for name, revision in tqdm(_runs(), desc="reading runs", disable=None):
        run = dvc.api.DVCFileSystem(rev=revision)
        parameters = flat(YAML(typ="safe", pure=True).load(run.read_text("params.yaml")))
        defaults = defaults or parameters
        metrics = json.loads(run.read_text("metrics/metrics.json"))
        for row in rows_of(name, parameters, defaults, metrics, _costs(run)):
            rows.setdefault(tuple(row[key] for key in KEY), row)
    return _sorted(pd.DataFrame(rows.values(), columns=list(COLUMNS)))


def merged(found: pd.DataFrame, recorded: pd.DataFrame) -> pd.DataFrame:
    """Put the rows found here in the place of those recorded with the same KEY; all other recorded rows stay.

    Parameters
    ----------
    found : DataFrame
        As from `collect`.
    recorded : DataFrame
        The same of an earlier time, perhaps of another machine.

    Returns
    -------
    DataFrame
        With the columns of `found`, sorted as `collect` does.
    """
    # What is missing in all of a column makes it one of objects, which would no longer be written as numbers.
    both = pd.concat([found, recorded]).infer_objects()
    return _sorted(both.drop_duplicates(KEY)[list(found.columns)])


def _sorted(results: pd.DataFrame) -> pd.DataFrame:
    return results.sort_values(
        ["model", "label_set", "other_parameters", "clusters", "percentile", "seed"], kind="stable", ignore_index=True
    )


def _runs() -> list[tuple[str, str]]:
    """Name and revision of the committed run and of every finished experiment, newest commit first."""
    experiments = [
        (shown["Experiment"], shown["rev"])
        for shown in dvc.api.exp_show(num=-1)
        if shown["Experiment"] and shown["State"] in (None, "Success")
    ]
    return [("HEAD", "HEAD"), *experiments]


def _costs(run: dvc.api.DVCFileSystem) -> dict[str, dict[str, float]]:
    """Read what each training cost; a run of another machine, or of long ago, has left it out of this cache."""
    found = {}
    for path in run.find("data/costs"):
        with suppress(FileNotFoundError):
            found[PurePosixPath(path).stem] = json.loads(run.read_text(path))
    return found


def rows_of(
    name: str,
    parameters: dict[str, Any],
    defaults: dict[str, Any],
    metrics: dict[str, Any],
    costs: dict[str, dict[str, float]],
) -> Iterator[dict[str, Any]]:
    """Give the rows of one run."""
    others = [
        f"{key}={value}"
        for key, value in parameters.items()
        if key not in SETTING and not key.startswith("label_sets.") and key in defaults and value != defaults[key]
    ]
    kmeans = metrics["kmeans"]
    run = {
        "run": name,
        **{key: parameters[key] for key in ("seed", "clusters", "percentile")},
        "other_parameters": " ".join(others) or "default",
        "kmeans_seconds": costs.get("kmeans", {}).get("seconds"),
        "inertia": kmeans["inertia"],
        "cluster_purity": kmeans["purity"],
        "distinct_nearest": kmeans.get("distinct_nearest"),
    }
    for model in metrics.keys() - {"kmeans", "label_sets"}:
        for label_set, scores in metrics[model].items():
            facts = metrics["label_sets"][label_set] | scores | costs.get(f"{model}_{label_set}", {})
            yield run | {"label_set": label_set, "model": model} | {k: v for k, v in facts.items() if k in COLUMNS}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Put nested values under dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def arms(results: pd.DataFrame) -> pd.DataFrame:
    """Keep one row for each model that was trained: runs share those that their difference does not touch.

    Parameters that do not matter to a label set are missing values in its rows.
    """
    arms = results.astype({"clusters": "Float64", "percentile": "Float64"})
    for column in ("clusters", "percentile"):
        arms.loc[~arms["label_set"].map(lambda name, column=column: column in MATTERS[name]), column] = pd.NA
    return arms.drop_duplicates(KEY, ignore_index=True)


def default_arms(results: pd.DataFrame) -> pd.DataFrame:
    """Keep the `arms` of runs with the parameters of params.yaml."""
    found = arms(results)
    return found[found["other_parameters"] == "default"]


def by_setting(results: pd.DataFrame) -> pd.DataFrame:
    """Average default runs over seeds.

    Returns
    -------
    DataFrame
        A row for each model, label set, clusters and percentile: `seeds`, then `accuracy`, `purity` and `coverage`,
        each with `…_spread`, the standard deviation over the seeds; `seconds`, the median.
    """
    groups = default_arms(results).groupby(["model", "label_set", "clusters", "percentile"], dropna=False)
    named: dict[str, tuple[str, str]] = {}
    for column in ("accuracy", "purity", "coverage"):
        named |= {column: (column, "mean"), f"{column}_spread": (column, "std")}
    return groups.agg(
        seeds=("seed", "nunique"),
        bought=("bought", "first"),
        **named,
        seconds=("seconds", "median"),
        peak_memory_gib=("peak_memory_gib", "max"),
    ).reset_index()


def compared(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Put ours beside each published figure.

    Parameters
    ----------
    results : DataFrame
        As from `collect`.
    published : DataFrame
        With `label_set, clusters, percentile, model, accuracy`; a missing value where a parameter does not matter.

    Returns
    -------
    DataFrame
        The rows of `published`, its accuracy under that name, and `ours`, `spread`, `seeds`, `difference`; missing
        values where nothing was run.
    """
    keys = ["model", "label_set", "clusters", "percentile"]
    ours = by_setting(results).rename(columns={"accuracy": "ours", "accuracy_spread": "spread"})
    both = published.rename(columns={"accuracy": "published"}).astype({"clusters": "Float64", "percentile": "Float64"})
    both = both.merge(ours[[*keys, "ours", "spread", "seeds"]], on=keys, how="left")
    return both.assign(difference=both["ours"] - both["published"])


def paired(results: pd.DataFrame) -> pd.DataFrame:
    """Compare models on chosen labels with the same models on as many random ones, seed by seed.

    Returns
    -------
    DataFrame
        A row for each label set that is bought, clusters and model: mean `accuracy` with `accuracy_spread`, mean of
        `random`, `difference` and its `spread`, the standard deviation over `seeds`.
    """
    default = default_arms(results)
    chosen = default[default["label_set"].isin(["representatives", "active"])]
    return _differences(chosen, default[default["label_set"] == "random"], ["seed", "clusters", "model"], "random")


def student_paired(results: pd.DataFrame) -> pd.DataFrame:
    """Compare the ensemble with the ridge that taught its student, seed by seed.

    Returns
    -------
    DataFrame
        As from `paired`, with the mean of `ridge` instead of `random`.
    """
    default = default_arms(results)
    both = default[(default["model"] == "ensemble") & (default["label_set"] == "propagated_soft")]
    alone = default[(default["model"] == "ridge") & (default["label_set"] == "active")]
    return _differences(both, alone, ["seed", "clusters"], "ridge")


def _differences(chosen: pd.DataFrame, reference: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    pairs = chosen.join(reference.set_index(keys)["accuracy"].rename(name), on=keys, how="inner")
    return (
        pairs.assign(difference=pairs["accuracy"] - pairs[name])
        .groupby(["clusters", "label_set", "model"])
        .agg(
            seeds=("seed", "nunique"),
            accuracy=("accuracy", "mean"),
            accuracy_spread=("accuracy", "std"),
            **{name: (name, "mean")},
            difference=("difference", "mean"),
            spread=("difference", "std"),
        )
        .reset_index()
    )


def study_best(published: pd.DataFrame) -> pd.Series:
    """Give the study's best accuracy with each number of labels; distances to centroids take all labels."""
    few = published[published["clusters"].notna() & (published["label_set"] != "distances")]
    return few.groupby("clusters")["accuracy"].max()


def best_peers(measured: list[dict[str, Any]]) -> pd.DataFrame:
    """Keep the best that learns from random labels and the best that chooses them, each on its better features.

    Parameters
    ----------
    measured : list of dict
        The rows of `benchmarks.peers`.

    Returns
    -------
    DataFrame
        A row for each of the two and number of labels: `name`, `labels`, `accuracy` and `spread`; none if none was
        measured.
    """
    peers = pd.DataFrame(
        [
            {
                "name": f"measured: {row['contender']}, {row['features']}",
                "random": row["contender"].endswith(", random"),
                "labels": row["budget"],
                "accuracy": row["accuracy"]["mean"],
                "spread": row["accuracy"]["spread"],
            }
            for row in measured
            if row["contender"] not in OURS_AMONG_PEERS
        ],
        columns=["name", "random", "labels", "accuracy", "spread"],
    )
    means = peers.groupby(["random", "name"])["accuracy"].mean().sort_values()
    best = [name for _, name in means.groupby("random").tail(1).index]
    return peers[peers["name"].isin(best)].drop(columns="random").sort_values(["name", "labels"], ignore_index=True)


def curves(
    settings: pd.DataFrame, published: pd.DataFrame, elsewhere: pd.DataFrame, peers: pd.DataFrame
) -> pd.DataFrame:
    """Put together what so many labels buy, with us and with others.

    Parameters
    ----------
    settings : DataFrame
        As from `by_setting`.
    published : DataFrame
        The study's figures.
    elsewhere : DataFrame
        Figures that others published, with `method`, `labels`, `accuracy` and `spread`.
    peers : DataFrame
        As from `best_peers`.

    Returns
    -------
    DataFrame
        A row for each point of a curve: `kind`, which is ours, peer, study, all (the study's with all labels) or
        elsewhere, `name`, `labels`, `accuracy` and `spread`.
    """
    ours = [
        settings[(settings["model"] == model) & (settings["label_set"] == label_set)]
        .rename(columns={"clusters": "labels", "accuracy_spread": "spread"})
        .assign(kind="ours", name=name)
        for (model, label_set), name in OURS.items()
    ]
    full = published[published["label_set"] == "all"]
    parts = [
        *ours,
        peers.assign(kind="peer"),
        study_best(published).rename_axis("labels").reset_index().assign(kind="study", name="the study's best"),
        full.assign(kind="all", name="the study's " + full["model"].str.upper(), labels=60_000),
        elsewhere.assign(kind="elsewhere", name="published: " + elsewhere["method"]),
    ]
    columns = {"kind": str, "name": str, "labels": int, "accuracy": float, "spread": float}
    return pd.concat([part.reindex(columns=list(columns)).astype(columns) for part in parts], ignore_index=True)


def collapses(results: pd.DataFrame) -> pd.DataFrame:
    """Count how often the study's layers ended in one answer, when they had one try.

    Returns
    -------
    DataFrame
        A row for each label set, clusters and percentile, and whether the start is one of DEAD: `dead`, `trainings`,
        `collapsed`, `rate` and `low` and `high`, its 95 % interval (Clopper and Pearson, 1934).
    """
    trained = arms(results)
    study = trained[
        trained["other_parameters"].str.contains("network.architecture=study")
        & trained["other_parameters"].str.contains("network.restarts=0")
        & (trained["model"] == "nn")
    ]
    counted = (
        study.astype({"collapsed": bool})
        .assign(dead=study["seed"].isin(DEAD))
        .groupby(["dead", "label_set", "clusters", "percentile"], dropna=False)
        .agg(trainings=("seed", "size"), collapsed=("collapsed", "sum"))
        .reset_index()
    )
    intervals = [
        binomtest(int(row.collapsed), int(row.trainings)).proportion_ci() for row in counted.itertuples(index=False)
    ]
    return counted.assign(
        rate=counted["collapsed"] / counted["trainings"],
        low=[interval.low for interval in intervals],
        high=[interval.high for interval in intervals],
    )
