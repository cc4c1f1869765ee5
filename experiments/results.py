"""All runs as one tidy table, a row for each run, label set and model, and the comparisons made from it.

The columns are the parameters of params.yaml by their dotted names, apart from label_sets, and COLUMNS. A run whose
other parameters equal those of today's params.yaml, whatever its seed, clusters and percentile, is a default run.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import dvc.api
import pandas as pd
from ruamel.yaml import YAML
from scipy.stats import binomtest
from tqdm import tqdm

from stages import params
from stages.registry import BOUGHT, CLASSIFIERS, LABEL_SETS

COLUMNS = {
    "run": "the experiment's name, or HEAD for what was committed then",
    "label_set": "which labels the model was trained on",
    "model": "the classifier, by its name in stages/registry.py",
    "accuracy": "share of the test images that are right",
    "macro_f1": "on the test images",
    "calibration_error": "of the probabilities, on the test images",
    "transductive_accuracy": "on training images without a bought label",
    "purity": "share of the label set's labels that are right",
    "coverage": "share of the training images that it labels",
    "bought": "labels paid for",
    "rows": "training images with a label",
    "collapsed": "whether the network predicts one class for every image",
    "collapsed_starts": "initialisations that ended so",
    "seconds": "that the training took when it ran",
    "peak_memory_gib": "of the training",
    "kmeans_seconds": "that the k-means took when it ran",
    "inertia": "of the k-means",
    "cluster_purity": "share of images with the most frequent label of their cluster",
    "distinct_nearest": "images that are nearest, of all images, to some centroid",
}
"""The columns of metrics/results.csv besides the parameters."""

SWEPT = ["seed", "clusters", "percentile"]
"""Parameters that default runs differ in."""

OURS = {
    ("ridge", "random"): "ours: ridge, random labels",
    ("ridge", "active"): "ours: ridge, active labels",
    ("ensemble", "propagated_soft"): "ours: ridge and its student, active labels",
}
"""The models and label sets of ours that `curves` has."""
OURS_AMONG_PEERS = ("ridge, random", "ridge, active (ours)")
"""Contenders of `benchmarks.peers` that are ours."""

DEAD = (40, 60)
"""Seeds, of 1 to 150, with which the study's network starts with its single channel near zero for every image."""


def recorded_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """Give the parameters that results.csv has a column for, from the content of a params.yaml; lists as JSON."""
    flat = pd.json_normalize(values).iloc[0].to_dict()
    kept = {k: v for k, v in flat.items() if not k.startswith("label_sets.") and k != "data.directory"}
    return {k: json.dumps(v) if isinstance(v, list) else v for k, v in kept.items()}


def defaults() -> dict[str, Any]:
    """Give the recorded parameters of today's params.yaml."""
    return recorded_parameters(params.load().model_dump())


def key() -> list[str]:
    """Name the columns whose values identify a row."""
    return [*defaults(), "label_set", "model"]


def collect() -> pd.DataFrame:
    """Read the committed run and all experiments of its history through DVC.

    Returns
    -------
    DataFrame
        With a column for each parameter, and COLUMNS. Of two runs with the same parameters, that of the newer commit
        counts.
    """
    rows: list[dict[str, Any]] = []
    for name, revision in tqdm(_runs(), desc="reading runs", disable=None):
        run = dvc.api.DVCFileSystem(rev=revision)
        parameters = recorded_parameters(YAML(typ="safe", pure=True).load(run.read_text("params.yaml")))
        rows += rows_of(name, parameters, json.loads(run.read_text("metrics/metrics.json")), _costs(run))
    return _sorted(complete(pd.DataFrame(rows).reindex(columns=_columns())).drop_duplicates(key()))


def merged(new: pd.DataFrame, recorded: pd.DataFrame) -> pd.DataFrame:
    """Replace recorded rows by new ones of the same parameters, label set and model; all other recorded rows stay.

    Parameters
    ----------
    new : DataFrame
        As from `collect`.
    recorded : DataFrame
        The same of an earlier time, perhaps of another machine.

    Returns
    -------
    DataFrame
        With the columns of `new`, sorted as `collect` does.
    """
    # A column without any value has objects for its type, which would no longer be written as numbers.
    both = complete(pd.concat([new, recorded]).infer_objects())
    return _sorted(both.drop_duplicates(key())[list(new.columns)])


def complete(results: pd.DataFrame) -> pd.DataFrame:
    """Fill in parameters that runs were recorded without, with today's defaults.

    A parameter is newer than such a run: its default is what the code did before.
    """
    filled = results.copy()
    for name, value in defaults().items():
        filled[name] = filled[name].where(filled[name].notna(), value) if name in filled else value
    return filled.infer_objects()


def _columns() -> list[str]:
    run, *others = COLUMNS
    return [run, *defaults(), *others]


def _sorted(results: pd.DataFrame) -> pd.DataFrame:
    others = [name for name in defaults() if name not in SWEPT]
    order = ["model", "label_set", *others, "clusters", "percentile", "seed"]
    return results.sort_values(order, kind="stable", ignore_index=True)


def _runs() -> list[tuple[str, str]]:
    """List name and revision of the committed run and of every finished experiment, newest commit first."""
    experiments = [
        (shown["Experiment"], shown["rev"])
        for shown in dvc.api.exp_show(num=-1)
        if shown["Experiment"] and shown["State"] in (None, "Success")
    ]
    return [("HEAD", "HEAD"), *experiments]


def _costs(run: dvc.api.DVCFileSystem) -> dict[str, dict[str, float]]:
    """Read what each training cost; for a run of another machine, or of long ago, it may not be in this cache."""
    costs = {}
    for path in run.find("data/costs"):
        with suppress(FileNotFoundError):
            costs[PurePosixPath(path).stem] = json.loads(run.read_text(path))
    return costs


def rows_of(
    name: str, parameters: dict[str, Any], metrics: dict[str, Any], costs: dict[str, dict[str, float]]
) -> Iterator[dict[str, Any]]:
    """Make the rows of one run; those of a label set or classifier that is no longer in the registry are left out."""
    kmeans = metrics["kmeans"]
    run = {
        "run": name,
        **parameters,
        "kmeans_seconds": costs.get("kmeans", {}).get("seconds"),
        "inertia": kmeans["inertia"],
        "cluster_purity": kmeans["purity"],
        "distinct_nearest": kmeans["distinct_nearest"],
    }
    for model in metrics.keys() & CLASSIFIERS.keys():
        for label_set in metrics[model].keys() & LABEL_SETS.keys():
            scores = metrics[model][label_set]
            facts = metrics["label_sets"][label_set] | scores | costs.get(f"{model}_{label_set}", {})
            yield run | {"label_set": label_set, "model": model} | {k: v for k, v in facts.items() if k in COLUMNS}


@cache
def depends_on(model: str, label_set: str) -> tuple[str, ...]:
    """Name those of clusters and percentile that a model on a label set depends on."""
    named = {*LABEL_SETS[label_set].parameters, *CLASSIFIERS[model].parameters}
    return tuple(name for name in SWEPT if name in named)


def arms(results: pd.DataFrame) -> pd.DataFrame:
    """Keep one row for each model that was trained: runs share the models that they do not differ in.

    Clusters and percentile are missing values where a model does not depend on them.
    """
    arms = results.astype({"clusters": "Float64", "percentile": "Float64"})
    for column in ("clusters", "percentile"):
        matters = [column in depends_on(row.model, row.label_set) for row in arms.itertuples()]
        arms[column] = arms[column].where(pd.Series(matters, index=arms.index))
    return arms.drop_duplicates(key(), ignore_index=True)


def with_parameters(results: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """Keep the rows whose parameters are today's defaults but for these changes, `network__steps` for network.steps.

    Seed, clusters and percentile may have any value.
    """
    wanted = defaults() | {name.replace("__", "."): value for name, value in changes.items()}
    same = pd.Series(True, index=results.index)
    for name, value in wanted.items():
        if name not in SWEPT or name in changes:
            same &= results[name] == value
    return results[same]


def by_setting(results: pd.DataFrame) -> pd.DataFrame:
    """Average default runs over seeds.

    Returns
    -------
    DataFrame
        A row for each model, label set, clusters and percentile: `seeds`, then `accuracy`, `purity` and `coverage`,
        each with `…_sd`, the standard deviation over the seeds; `seconds`, the median.
    """
    groups = with_parameters(arms(results)).groupby(["model", "label_set", "clusters", "percentile"], dropna=False)
    named: dict[str, tuple[str, str]] = {}
    for column in ("accuracy", "purity", "coverage"):
        named |= {column: (column, "mean"), f"{column}_sd": (column, "std")}
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
        The rows of `published`, its accuracy under that name, and `ours`, `sd`, `seeds`, `difference`; missing
        values where nothing was run.
    """
    keys = ["model", "label_set", "clusters", "percentile"]
    ours = by_setting(results).rename(columns={"accuracy": "ours", "accuracy_sd": "sd"})
    both = published.rename(columns={"accuracy": "published"}).astype({"clusters": "Float64", "percentile": "Float64"})
    both = both.merge(ours[[*keys, "ours", "sd", "seeds"]], on=keys, how="left")
    return both.assign(difference=both["ours"] - both["published"])


def paired(results: pd.DataFrame) -> pd.DataFrame:
    """Compare models on chosen labels with the same models on as many random ones, seed by seed.

    Returns
    -------
    DataFrame
        A row for each label set that is bought, clusters and model: mean `accuracy` with `accuracy_sd`, mean of
        `random`, `difference` and its `sd`, the standard deviation over `seeds`.
    """
    default = with_parameters(arms(results))
    chosen = default[default["label_set"].isin([name for name in BOUGHT if name != "random"])]
    return _differences(chosen, default[default["label_set"] == "random"], ["seed", "clusters", "model"], "random")


def student_paired(results: pd.DataFrame) -> pd.DataFrame:
    """Compare the ensemble with the ridge that taught its student, seed by seed.

    Returns
    -------
    DataFrame
        As from `paired`, with the mean of `ridge` instead of `random`.
    """
    default = with_parameters(arms(results))
    both = default[(default["model"] == "ensemble") & (default["label_set"] == "propagated_soft")]
    alone = default[(default["model"] == "ridge") & (default["label_set"] == "active")]
    return _differences(both, alone, ["seed", "clusters"], "ridge")


def _differences(chosen: pd.DataFrame, reference: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    pairs = chosen.merge(reference[[*keys, "accuracy"]].rename(columns={"accuracy": name}), on=keys)
    return (
        pairs.assign(difference=pairs["accuracy"] - pairs[name])
        .groupby(["clusters", "label_set", "model"])
        .agg(
            seeds=("seed", "nunique"),
            accuracy=("accuracy", "mean"),
            accuracy_sd=("accuracy", "std"),
            **{name: (name, "mean")},
            difference=("difference", "mean"),
            sd=("difference", "std"),
        )
        .reset_index()
    )


def study_best(published: pd.DataFrame) -> pd.Series:
    """Give the study's best accuracy with each number of labels; distances to centroids take all labels."""
    few = published[published["clusters"].notna() & (published["label_set"] != "all")]
    return few.groupby("clusters")["accuracy"].max()


def best_peers(measured: list[dict[str, Any]]) -> pd.DataFrame:
    """Keep the best contender on random labels and the best that chooses them, each on its better features.

    Parameters
    ----------
    measured : list of dict
        The rows of `benchmarks.peers`.

    Returns
    -------
    DataFrame
        A row for each of the two and number of labels: `name`, `labels`, `accuracy` and `sd`; none if none was
        measured.
    """
    peers = pd.DataFrame(
        [
            {
                "name": f"measured: {row['contender']}, {row['features'].replace('hog', 'HOG')}",
                "random": row["contender"].endswith(", random"),
                "labels": row["budget"],
                "accuracy": row["accuracy"]["mean"],
                "sd": row["accuracy"]["sd"],
            }
            for row in measured
            if row["contender"] not in OURS_AMONG_PEERS
        ],
        columns=["name", "random", "labels", "accuracy", "sd"],
    )
    means = peers.groupby(["random", "name"])["accuracy"].mean().sort_values()
    best = [name for _, name in means.groupby("random").tail(1).index]
    return peers[peers["name"].isin(best)].drop(columns="random").sort_values(["name", "labels"], ignore_index=True)


def curves(
    settings: pd.DataFrame, published: pd.DataFrame, elsewhere: pd.DataFrame, peers: pd.DataFrame
) -> pd.DataFrame:
    """Collect accuracies against the number of labels: ours, the study's and others'.

    Parameters
    ----------
    settings : DataFrame
        As from `by_setting`.
    published : DataFrame
        The study's figures.
    elsewhere : DataFrame
        Figures that others published, with `method`, `labels`, `accuracy` and `sd`.
    peers : DataFrame
        As from `best_peers`.

    Returns
    -------
    DataFrame
        A row for each point of a curve: `kind`, which is ours, peer, study, all (the study's with all labels) or
        elsewhere, `name`, `labels`, `accuracy` and `sd`.
    """
    ours = [
        settings[(settings["model"] == model) & (settings["label_set"] == label_set)]
        .rename(columns={"clusters": "labels", "accuracy_sd": "sd"})
        .assign(kind="ours", name=name)
        for (model, label_set), name in OURS.items()
    ]
    full = published[(published["label_set"] == "all") & published["clusters"].isna()]
    parts = [
        *ours,
        peers.assign(kind="peer"),
        study_best(published).rename_axis("labels").reset_index().assign(kind="study", name="the study's best"),
        full.assign(kind="all", name="the study's " + full["model"].str.upper(), labels=60_000),
        elsewhere.assign(kind="elsewhere", name="published: " + elsewhere["method"]),
    ]
    columns = {"kind": str, "name": str, "labels": int, "accuracy": float, "sd": float}
    return pd.concat([part.reindex(columns=list(columns)).astype(columns) for part in parts], ignore_index=True)


def collapses(results: pd.DataFrame) -> pd.DataFrame:
    """Count how often the study's network collapsed to a constant prediction, when it had one start.

    Returns
    -------
    DataFrame
        A row for each label set, clusters and percentile, and whether the start is one of DEAD: `dead`, `trainings`,
        `collapsed`, `rate` and `low` and `high`, its 95 % interval (Clopper and Pearson, 1934).
    """
    trained = arms(results)
    study = trained[
        (trained["network.architecture"] == "study") & (trained["network.restarts"] == 0) & (trained["model"] == "nn")
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
