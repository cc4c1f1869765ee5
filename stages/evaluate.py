"""Score every label set and every model by the true labels; write the metrics and what the plots show.

Apart from first-round and select-representatives, which buy them, the only stage that reads training labels: to count
those that are right. With oracle people it reads no true label: what they said of the audited pictures judges the
models. No model is loaded, only what each of them predicted. No timings go into the metrics: the same parameters give
the same files.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewlabels import pictures
from fewlabels.arrays import Floats, evenly_spaced
from fewlabels.label_set import UNKNOWN
from fewlabels.scores import accuracy_interval, classifier_scores, cluster_purity, confidence_scores, label_set_scores
from stages import command, engine, files, inputs, label_sets, params, predictions
from stages.registry import BOUGHT, CLASSIFIERS, LABEL_SETS

PLOTS, PICTURES = Path("data/plots"), Path("data/pictures")
SHOWN = 60
"""Images in a picture of examples."""
ENOUGH = 10
"""Audited pictures of a class from which on its recall says something."""


def main() -> None:
    settings = params.load()
    with engine.running(settings, "evaluate"):
        _evaluate(settings)


def _evaluate(settings: params.Params) -> None:
    classes = inputs.class_names()
    asked = settings.oracle == "people"
    true_labels, judged_labels = _asked_labels(settings) if asked else _true_labels()
    assignments = files.load_rows(inputs.CLUSTERS / "assignments.npy")
    models = [(classifier, name) for classifier, names in settings.label_sets for name in names]
    predictions.remove_others(models)
    details: dict[str, Any] = {
        "run": {
            "seed": settings.seed,
            "clusters": settings.clusters,
            "percentile": settings.percentile,
            "fashion_mnist": settings.data.source == "fashion-mnist",
            "classes": classes,
            "train_images": len(true_labels),
            "test_images": 0 if asked else len(judged_labels),
            "oracle": settings.oracle,
            "audit_images": len(judged_labels) if asked else 0,
            "features": files.load_json(inputs.FEATURES / "chosen.json"),
        },
        "kmeans": files.load_json(inputs.CLUSTERS / "scores.json")
        | {"purity": None if asked else cluster_purity(assignments, true_labels)},
        "label_sets": {
            name: label_set_scores(label_sets.load(name), true_labels)
            for name in LABEL_SETS
            if any(name == label_set for _, label_set in models)
        },
        **{classifier: {} for classifier in CLASSIFIERS},
        "untrained": {},
        "recall": [],
    }
    PLOTS.joinpath("confusion").mkdir(parents=True, exist_ok=True)
    for classifier, name in models:
        predicted = predictions.load(classifier, name)
        if "untrained" in predicted:
            details["untrained"][f"{classifier} on {name}"] = str(predicted["untrained"])
            continue
        if not len(judged_labels):
            details[classifier][name] = scores_without_test(predicted)
            details["recall"] += recall_left_out(f"{classifier} on {name}", predicted, classes)
            continue
        probabilities = np.zeros((len(judged_labels), len(classes)), np.float32)  # 0 for a class that it has not seen
        probabilities[:, predicted["classes"]] = predicted["audit" if asked else "probabilities"]
        scores: dict[str, Any] = classifier_scores(judged_labels, probabilities, classes) | collapses(predicted)
        recall = [{"class": one, "recall": share} for one, share in scores.pop("recall").items()]
        if asked:
            scores |= audit_scores(judged_labels, probabilities)
            recall = audit_recall(judged_labels, probabilities, classes)
        else:
            scores |= transductive_scores(predicted, true_labels)
        details["recall"] += [{"model": f"{classifier} on {name}"} | one for one in recall]
        details[classifier][name] = scores
        counts = confusion(judged_labels, probabilities.argmax(axis=1), classes)
        files.save_table(PLOTS / f"confusion/{classifier}_{name}.csv", counts)
    files.save_json("metrics/details.json", details)
    files.save_json("metrics/metrics.json", compared(details))
    _save_curves(models)
    _save_pictures(true_labels, details, settings)
    print(f"{len(models) - len(details['untrained'])} models: `python -m experiments.table` prints their scores")


def _true_labels() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the true labels of the training images, UNKNOWN where nobody knows them, and of the test images."""
    train, test = (files.load_array(inputs.FLAT / f"{part}_labels.npy") for part in ("train", "test"))
    return train, test


def _asked_labels(settings: params.Params) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read what people said of the audited pictures: among all training images, UNKNOWN elsewhere; and these alone."""
    audit = label_sets.load("audit")
    print(f"audit: {len(audit):,} of {settings.audit:,} pictures have a label")
    labels = np.full(len(inputs.images("train")), UNKNOWN, np.uint8)
    labels[audit.rows] = audit.labels
    return labels, audit.labels


def audit_scores(labels: NDArray[np.uint8], probabilities: Floats) -> dict[str, Any]:
    """Compute the 95 % interval of the accuracy: the audited pictures were drawn at random."""
    right = int((probabilities.argmax(axis=1) == labels).sum())
    low, high = accuracy_interval(right, len(labels))
    return {"low": low, "high": high}


def audit_recall(labels: NDArray[np.uint8], probabilities: Floats, classes: list[str]) -> list[dict[str, Any]]:
    """Compute the recall of each class that has enough audited pictures, with its 95 % interval."""
    right = probabilities.argmax(axis=1) == labels
    found: list[dict[str, Any]] = []
    for label, count in enumerate(np.bincount(labels, minlength=len(classes))):
        if count >= ENOUGH:
            low, high = accuracy_interval(int(right[labels == label].sum()), int(count))
            recall = float(right[labels == label].mean())
            found.append({"class": classes[label], "recall": recall, "low": low, "high": high, "images": int(count)})
    return found


def transductive_scores(predicted: dict[str, NDArray[Any]], true_labels: NDArray[np.uint8]) -> dict[str, Any]:
    """Score a model on the training images whose label was not bought and is known."""
    truth = true_labels[predicted["rows"]]
    known = truth != UNKNOWN
    right = predicted["labels"][known] == truth[known]
    return {"transductive_accuracy": float(np.mean(right))} if known.any() else {}


def scores_without_test(predicted: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Score a model by what is known without test labels: how sure it is, and bought labels that it had not seen."""
    scores = collapses(predicted) | confidence_scores(predicted["confidence"])
    if "left_out" in predicted:
        likeliest = predicted["left_out"].argmax(axis=1)
        scores["leave_one_out_accuracy"] = float(np.mean(likeliest == predicted["left_out_labels"]))
    return scores


def recall_left_out(model: str, predicted: dict[str, NDArray[Any]], classes: list[str]) -> list[dict[str, Any]]:
    """Count, for each class, the bought labels that were predicted when they were left out."""
    if "left_out" not in predicted:
        return []
    right = predicted["left_out"].argmax(axis=1) == predicted["left_out_labels"]
    return [
        {
            "model": f"{model}, labels left out",
            "class": classes[label],
            "recall": float(right[predicted["left_out_labels"] == label].mean()),
        }
        for label in np.unique(predicted["left_out_labels"])
    ]


def collapses(predicted: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Take from the predictions of a network whether it collapsed."""
    return {name: predicted[name].item() for name in ("collapsed_starts", "collapsed") if name in predicted}


def confusion(actual: NDArray[np.uint8], predicted: NDArray[np.int64], classes: list[str]) -> list[dict[str, Any]]:
    """Count the images of each class that are predicted as each class: a row for each pair, zeros too."""
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (actual, predicted), 1)
    return [
        {"actual": classes[one], "predicted": classes[other], "count": int(count)}
        for (one, other), count in np.ndenumerate(counts)
    ]


def compared(details: dict[str, Any]) -> dict[str, Any]:
    """Take what people compare: the accuracy of each model, the purity of the clusters and of spread labels.

    Without images that judge, in place of the accuracy: that of bought labels left out, and the mean confidence. With
    oracle people, the accuracy is that of the audit and has its 95 % interval, and it says how many labels were bought.
    """
    purity = {"clusters": details["kmeans"]["purity"]}
    for name, scores in details["label_sets"].items():
        if LABEL_SETS[name].spread_from:
            purity[name] = scores["purity"]
    run = details["run"]
    figures: dict[str, Any] = {}
    wanted: tuple[str, ...] = ("leave_one_out_accuracy", "mean_confidence")
    if run["audit_images"]:
        wanted = ("accuracy", "low", "high")
    elif run["test_images"]:
        wanted = ("accuracy",)
    for figure in wanted:
        by_classifier = {
            classifier: {
                name: scores[figure] for name, scores in details[classifier].items() if scores.get(figure) is not None
            }
            for classifier in CLASSIFIERS
        }
        figures[figure] = {classifier: scores for classifier, scores in by_classifier.items() if scores}
    if run["oracle"] == "people":
        if run["audit_images"]:
            figures = {"audit": figures | {"images": run["audit_images"]}}
        bought = {name: scores["bought"] for name, scores in details["label_sets"].items() if name in BOUGHT}
        figures["bought"] = bought
    return figures | {"purity": {name: share for name, share in purity.items() if share is not None}}


def _save_curves(models: list[tuple[str, str]]) -> None:
    """Put the training curves of all networks into one table, and so into one plot."""
    curves = [
        {"label_set": name} | point
        for classifier, name in models
        if classifier == "nn"
        for point in files.load_json(predictions.curves_of(name))
    ]
    files.save_json(PLOTS / "curves.json", curves)


def _save_pictures(true_labels: NDArray[np.uint8], details: dict[str, Any], settings: params.Params) -> None:
    classes = inputs.class_names()
    bought, spread = label_sets.load("representatives"), label_sets.load("propagated")
    picked = evenly_spaced(len(bought), SHOWN)
    truth = true_labels[spread.rows]
    wrong = np.flatnonzero((spread.labels != truth) & (truth != UNKNOWN))
    shown = wrong[evenly_spaced(len(wrong), SHOWN)]
    accuracies = {
        entry.title: {LABEL_SETS[name].title: scores["accuracy"] for name, scores in details[classifier].items()}
        for classifier, entry in CLASSIFIERS.items()
        if details[classifier] and (details["run"]["test_images"] or details["run"]["audit_images"])
    }
    for name, figure in {
        "representatives": pictures.image_grid(
            inputs.pixels("train", bought.rows[picked]).reshape(-1, *settings.data.image_shape),
            [classes[label] for label in bought.labels[picked]],
            title_of_representatives(len(picked), len(bought)),
        ),
        "mislabelled": pictures.image_grid(
            inputs.pixels("train", spread.rows[shown]).reshape(-1, *settings.data.image_shape),
            [f"given: {classes[spread.labels[row]]}\ntrue: {classes[true_labels[spread.rows[row]]]}" for row in shown],
            title_of_mislabelled(len(shown), len(wrong), len(spread)),
        ),
        "accuracy": pictures.accuracy_bars(
            accuracies,
            {entry.title: entry.colour.light for entry in CLASSIFIERS.values()},
            f"{settings.clusters:,} clusters, percentile {settings.percentile:g}",
        ),
    }.items():
        _save_figure(PICTURES / f"{name}.png", figure)


def title_of_representatives(shown: int, bought: int) -> str:
    """Say how many are shown; people may have been asked about other images."""
    if not bought:
        return "No representatives were bought"
    return f"{shown} of the {bought:,} representatives and the labels bought for them"


def title_of_mislabelled(shown: int, wrong: int, spread: int) -> str:
    """Say how many are shown; where nobody trains on propagated labels none is made, and few true ones may be known."""
    if not spread:
        return "No labels were propagated"
    if not wrong:
        return "No propagated label is known to be wrong"
    return f"{shown} of the {wrong:,} images that propagation gave a wrong label"


def _save_figure(path: Path, figure: Figure) -> None:
    with files.atomic_write(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


if __name__ == "__main__":
    command.run(main)
