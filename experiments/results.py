"""All runs as one tidy table, a row for each run, label set and model, and the comparisons made from it.

The columns are the parameters of params.yaml by their dotted names, apart from label_sets, and COLUMNS. A run on the
published Fashion-MNIST whose other parameters equal those of today's params.yaml, whatever its seed, clusters and
percentile, is a default run; parameters that a model does not depend on may have any value. What is compared here are
default runs, beside those of the strongest setting of the sweep `budgets`; never runs on other images.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from experiments import runs
from experiments.runs import FASHION
from stages import params
from stages.registry import BOUGHT, CLASSIFIERS, DECIDES, DESCRIBED, LABEL_SETS

COLUMNS = {
    "run": "the experiment's name, or HEAD for what was committed then",
    "images": "Fashion-MNIST, or a digest of other images and their labels",
    "label_set": "which labels the model was trained on",
    "model": "the classifier, by its name in stages/registry.py",
    "accuracy": "share of the test images that are right; with oracle people, of the audited pictures",
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
    "machine": "that trained it, as far as it was recorded",
    "kmeans_seconds": "that the k-means took when it ran",
    "inertia": "of the k-means",
    "cluster_purity": "share of images with the most frequent label of their cluster",
    "distinct_nearest": "images that are nearest, of all images, to some centroid",
}
"""The columns of metrics/results.csv besides the parameters."""

SWEPT = ["seed", "clusters", "percentile"]
"""Parameters that default runs differ in."""

COSTS = ["seconds", "peak_memory_gib", "machine", "kmeans_seconds"]
"""Columns that only the machine which ran it knows."""
TEXT = [
    "run",
    "data.classes",
    "embedding.model",
    "embedding.size",
    "embedding.scale",
    "images",
    "label_set",
    "model",
    "machine",
]
"""Columns of text, which no reader may take for numbers: a run may be called 1e3."""
UNRECORDED = ("data.folder", "data.directory", "data.verify", "engine.", "pool.")
"""How the names of parameters without a column begin: a folder is another one on each machine, where and from what
files a run computes changes no result; the second and third are of older runs."""

STUDENT = ("ensemble", "propagated_soft")
"""The model that a student is part of, and its label set."""
OURS = {
    ("ridge", "random"): "ours: ridge, random labels",
    ("ridge", "active"): "ours: ridge, active labels",
    STUDENT: "ours: ridge and its student, active labels",
}
"""The models and label sets of ours that `curves` has."""
STRONGEST = {
    "network.student.networks": 2,
    "network.student.generations": 4,
    "network.student.views": 2,
}
"""What the strongest setting of the sweep `budgets` changes in params.yaml."""
EVERYTHING = {"network.steps": 4000, "network.networks": 2, "network.shift": 1}
"""What the sweep `everything` changes there, for the network on all labels."""
IN_STRONGEST = "ours: ridge and two students, strongest setting"
"""The name of the ensemble in that setting, in `curves`."""
OURS_AMONG_PEERS = ("ridge, random", "ridge, active (ours)")
"""Contenders of `benchmarks.peers` that are ours."""

DEAD = (40, 60)
"""Seeds, of 1 to 150, with which the study's network starts with its single channel near zero for every image."""


def recorded_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """Give the parameters that results.csv has a column for, from the content of a params.yaml; lists as JSON.

    Those of `data` that only say where the images are have none. What may be no number is always text. In a
    list 1.0 is 1, because either may stand in params.yaml.
    """
    flat = {name: value for name, value in _flat(values) if not name.startswith(UNRECORDED)}
    kept = {name: value for name, value in flat.items() if not name.startswith("label_sets.")}
    return {
        name: _as_json(value) if isinstance(value, list) or (name in TEXT and not isinstance(value, str)) else value
        for name, value in kept.items()
    }


def _as_json(value: Any) -> str:
    if isinstance(value, list):
        value = [int(item) if isinstance(item, float) and item.is_integer() else item for item in value]
    return json.dumps(value)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def defaults() -> dict[str, Any]:
    """Give the recorded parameters of today's params.yaml."""
    return recorded_parameters(params.load().model_dump())


def key() -> list[str]:
    """Name the columns whose values identify a row."""
    return [*defaults(), "images", "label_set", "model"]


def collect() -> tuple[pd.DataFrame, list[str]]:
    """Read the committed run and all experiments of its history through DVC.

    Returns
    -------
    DataFrame
        With a column for each parameter, and COLUMNS. Of two runs with the same parameters, that of the newer commit
        counts. Runs with a parameter that is no longer known are left out: what it did, no column says.
    list of str
        A line for each run that was left out, which says why.

    Examples
    --------
    >>> from experiments.results import collect
    >>> results, left_out = collect()  # doctest: +SKIP
    """
    found, left_out = runs.read_all()
    kept, known = [], defaults().keys()
    for run in found:
        unknown = sorted(recorded_parameters(run.parameters).keys() - known)
        if unknown:
            left_out.append(f"{run.name}: left out: {', '.join(unknown)}: no longer known")
        else:
            kept.append(run)
    table = pd.DataFrame([row for run in kept for row in rows_of(run)]).reindex(columns=_columns())
    return _sorted(complete(table).drop_duplicates(key())), left_out


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
        With the columns of `new`, sorted as `collect` does. A run of another machine comes without its costs: they are
        taken from the row that it replaces, if that has the same accuracy.
    """
    # A column without any value has objects for its type, which would no longer be written as numbers.
    both = complete(pd.concat([new, recorded], ignore_index=True).infer_objects())
    known = [name for name in COSTS if name in both]
    same = [both[name] for name in key()] + [both["accuracy"].round(9)]
    both[known] = both.groupby(same, dropna=False)[known].transform("first")
    return _sorted(both.drop_duplicates(key()))[list(new.columns)]


def complete(results: pd.DataFrame) -> pd.DataFrame:
    """Fill in parameters that runs were recorded without, with today's defaults.

    A parameter is newer than such a run: its default is what the code did before. Runs that were recorded without
    their images are of Fashion-MNIST.
    """
    filled = results.copy()
    for name, value in defaults().items():
        filled[name] = filled[name].where(filled[name].notna(), value) if name in filled else value
    filled["images"] = filled["images"].where(filled["images"].notna(), FASHION) if "images" in filled else FASHION
    return (filled if "machine" in filled else filled.assign(machine=None)).infer_objects()


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table as it was written: only an empty cell is a missing value, so that `null` and `nan` stay names.

    Examples
    --------
    >>> from pathlib import Path
    >>> from experiments.results import read_csv
    >>> read_csv(Path("metrics/results.csv"))["label_set"].iloc[0]  # doctest: +SKIP
    'propagated_soft'
    """
    kinds = dict.fromkeys(TEXT, str) | dict.fromkeys(["clusters", "percentile"], "Float64")
    return pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=[""])


def _columns() -> list[str]:
    run, *others = COLUMNS
    return [run, *defaults(), *others]


def _sorted(results: pd.DataFrame) -> pd.DataFrame:
    others = [name for name in defaults() if name not in SWEPT]
    order = ["model", "label_set", *others, "clusters", "percentile", "seed"]
    return results.sort_values(order, kind="stable", ignore_index=True)


def rows_of(run: runs.Run) -> Iterator[dict[str, Any]]:
    """Make the rows of one run.

    Those of a label set or classifier that is no longer in the registry are left out, and models without an accuracy:
    of images without a test set there is none to compare.
    """
    kmeans = run.scores["kmeans"]
    shared = {
        "run": run.name,
        **recorded_parameters(run.parameters),
        "images": run.images,
        "kmeans_seconds": run.costs.get("kmeans", {}).get("seconds"),
        "inertia": kmeans["inertia"],
        "cluster_purity": kmeans["purity"],
        "distinct_nearest": kmeans["distinct_nearest"],
    }
    for model in run.scores.keys() & CLASSIFIERS.keys():
        for label_set in run.scores[model].keys() & LABEL_SETS.keys():
            scores, costs = run.scores[model][label_set], run.costs.get(f"{model}_{label_set}", {})
            if "accuracy" not in scores:
                continue
            facts = run.scores["label_sets"][label_set] | scores | costs
            yield shared | {"label_set": label_set, "model": model} | {k: v for k, v in facts.items() if k in COLUMNS}


@cache
def depends_on(model: str, label_set: str, name: str, features: str) -> bool:
    """Tell whether a model on a label set depends on a parameter; on what the registry does not speak of, all do.

    Where `features` is pixels, what sees pixels then does not depend on how other features are made; where it is auto,
    kernel ridge regression on the labels of the first round decides.
    """
    return _covers(_named(model, label_set, features), name) or not _covers(_any_named(), name)


def _named(model: str, label_set: str, features: str) -> set[str]:
    soft, classifier = LABEL_SETS[label_set].soft, CLASSIFIERS[model]
    own = classifier.on_soft if soft and classifier.on_soft is not None else classifier.parameters
    named = {*LABEL_SETS[label_set].parameters, *own}
    if "features" in named and features != "pixels":
        named |= {*DESCRIBED, *(DECIDES if features == "auto" else ())}
    return named


def _any_named() -> set[str]:
    named = [entry.parameters for entry in LABEL_SETS.values()]
    named += [(*entry.parameters, *(entry.on_soft or ())) for entry in CLASSIFIERS.values()]
    return {*chain(*named)}


def _covers(sections: set[str], name: str) -> bool:
    return any(f"{name}.".startswith(f"{section}.") for section in sections)


def arms(results: pd.DataFrame) -> pd.DataFrame:
    """Keep one row for each model that was trained: runs share the models that they do not differ in.

    Parameters are missing values where a model does not depend on them. Of several runs that of the parameters most
    like today's defaults counts.
    """
    others = sum((results[name] != value).astype(int) for name, value in defaults().items() if name not in SWEPT)
    nearest = results.iloc[np.argsort(others, kind="stable")]
    kept = nearest.astype({"clusters": "Float64", "percentile": "Float64"})
    models = list(zip(kept["model"], kept["label_set"], kept["features"], strict=True))
    for name in defaults():
        matters = pd.Series([depends_on(model, label_set, name, seen) for model, label_set, seen in models], kept.index)
        if not matters.all():
            kept[name] = kept[name].where(matters)
    return kept.drop_duplicates(key()).sort_index(ignore_index=True)


def with_parameters(
    results: pd.DataFrame, changes: Mapping[str, Any] | None = None, images: str = FASHION
) -> pd.DataFrame:
    """Keep the rows of `arms` whose parameters are today's defaults but for these changes, by their dotted names.

    Parameters that a model does not depend on may have had any value and are missing. Seed, clusters and percentile may
    have any value. What params.yaml says of the data does not count, as it may be of other images by now: `images`
    does.
    """
    wanted = {name: value for name, value in defaults().items() if name not in SWEPT and not name.startswith("data.")}
    wanted |= changes or {}
    trained = arms(results)
    same = trained["images"] == images
    for name, value in wanted.items():
        same &= (trained[name] == value) | trained[name].isna()
    return trained[same]


def by_setting(results: pd.DataFrame, changes: Mapping[str, Any] | None = None, images: str = FASHION) -> pd.DataFrame:
    """Average default runs, or those with these changes, over seeds.

    Returns
    -------
    DataFrame
        A row for each model, label set, clusters and percentile: `seeds`, then `accuracy`, `purity` and `coverage`,
        each with `…_sd`, the standard deviation over the seeds; `seconds`, the median; `machines`, how many ran it,
        those not recorded as one.
    """
    kept = with_parameters(results, changes, images)
    groups = kept.assign(machine=kept["machine"].fillna("")).groupby(
        ["model", "label_set", "clusters", "percentile"], dropna=False
    )
    named: dict[str, tuple[str, str]] = {}
    for column in ("accuracy", "purity", "coverage"):
        named |= {column: (column, "mean"), f"{column}_sd": (column, "std")}
    return groups.agg(
        seeds=("seed", "nunique"),
        bought=("bought", "first"),
        **named,
        seconds=("seconds", "median"),
        peak_memory_gib=("peak_memory_gib", "max"),
        machines=("machine", "nunique"),
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
    default = with_parameters(results)
    chosen = default[default["label_set"].isin([name for name in BOUGHT if name != "random"])]
    return _differences(chosen, default[default["label_set"] == "random"], ["seed", "clusters", "model"], "random")


def student_paired(results: pd.DataFrame) -> pd.DataFrame:
    """Compare the ensemble with the ridge that taught its student, seed by seed.

    Returns
    -------
    DataFrame
        As from `paired`, with the mean of `ridge` instead of `random`.
    """
    default = with_parameters(results)
    return _differences(_of(default, *STUDENT), _of(default, "ridge", "active"), ["seed", "clusters"], "ridge")


def strongest_paired(results: pd.DataFrame) -> pd.DataFrame:
    """Compare the ensemble in the strongest setting of the sweep `budgets` with that of default runs, seed by seed.

    Returns
    -------
    DataFrame
        As from `paired`, with the mean of the `default` setting instead of `random`.
    """
    students = _of(results, *STUDENT)
    strong, default = (with_parameters(students, changes) for changes in (STRONGEST, None))
    return _differences(strong, default, ["seed", "clusters"], "default")


def _of(rows: pd.DataFrame, model: str, label_set: str) -> pd.DataFrame:
    return rows[(rows["model"] == model) & (rows["label_set"] == label_set)]


def labels_for(settings: pd.DataFrame, accuracy: float) -> float | None:
    """Interpolate how many labels the ensemble needs for an accuracy, along the logarithm of the number of labels.

    Parameters
    ----------
    settings : DataFrame
        As from `by_setting`.
    accuracy : float

    Returns
    -------
    float or None
        None where it was not reached, or was already reached with the fewest labels.

    Examples
    --------
    >>> rows = pd.DataFrame({"clusters": [100.0, 10_000.0], "accuracy": [0.8, 0.9]})
    >>> round(labels_for(rows.assign(model="ensemble", label_set="propagated_soft"), 0.85))
    1000
    """
    curve = _of(settings, *STUDENT).sort_values("clusters")
    # A mean may be lower than that of fewer labels by chance; interpolation takes rising values.
    reached = np.maximum.accumulate(curve["accuracy"].to_numpy(float))
    if not len(curve) or not reached[0] < accuracy <= reached[-1]:
        return None
    return float(np.exp(np.interp(accuracy, reached, np.log(curve["clusters"].to_numpy(float)))))


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
    settings: pd.DataFrame,
    strong: pd.DataFrame,
    published: pd.DataFrame,
    elsewhere: pd.DataFrame,
    peers: pd.DataFrame,
) -> pd.DataFrame:
    """Collect accuracies against the number of labels: ours, the study's and others'.

    Parameters
    ----------
    settings, strong : DataFrame
        As from `by_setting`, of default runs and in the strongest setting.
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
    drawn = [(settings, *key, name) for key, name in OURS.items()] + [(strong, *STUDENT, IN_STRONGEST)]
    ours = [
        _of(rows, model, label_set)
        .rename(columns={"clusters": "labels", "accuracy_sd": "sd"})
        .assign(kind="ours", name=name)
        for rows, model, label_set, name in drawn
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
    """Count how often the study's network collapsed to a constant prediction on Fashion-MNIST, when it had one start.

    Returns
    -------
    DataFrame
        A row for each label set, clusters and percentile, and whether the start is one of DEAD: `dead`, `trainings`,
        `collapsed`, `rate` and `low` and `high`, its 95 % interval (Clopper and Pearson, 1934).
    """
    trained = arms(results)
    study = trained[
        (trained["network.architecture"] == "study")
        & (trained["network.restarts"] == 0)
        & (trained["network.networks"] == 1)
        & (trained["model"] == "nn")
        & (trained["images"] == FASHION)
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
