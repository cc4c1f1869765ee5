"""Label the whole pile: data/pile.csv has a row for each picture, those that could not be read included.

A label was bought, or given to judge the models by; or it is that of a bought copy, or what the best model predicts:
the ensemble, or else kernel ridge regression. data/suspects.csv lists the bought labels that look wrong,
data/contact_sheet.png shows the pictures of which the model is most and least sure. No true label is read here but
those that were bought.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels import pictures
from fewlabels.label_set import LabelSet
from fewlabels.spreading.copies import label_copies
from fewlabels.suspects import suspects
from stages import command, files, inputs, label_sets, params, predictions
from stages.registry import LABEL_SETS

PILE, SUSPECTS, SHEET = Path("data/pile.csv"), Path("data/suspects.csv"), Path("data/contact_sheet.png")
HEADING = ("file", "label", "confidence", "source", "reason")
SUSPECTS_HEADING = ("file", "label", "predicted", "confidence", "label_confidence")
SOURCES = ("bought", "audit", "copy", "model", "unsure", "left out")
Row = dict[str, Any]


def main() -> None:
    settings, classes = params.load(), inputs.class_names()
    model = _best(settings)
    if model is None:
        print(f"{PILE}: empty, because label_sets trains neither ridge nor ensemble, or too few labels were bought")
        files.save_table(PILE, [], HEADING)
        files.save_table(SUSPECTS, [], SUSPECTS_HEADING)
        _save_sheet(np.empty(0, np.int64), np.empty((0, len(classes)), np.float32), settings, classes)
        return
    classifier, name = model
    bought = label_sets.load(LABEL_SETS[name].spread_from or name)
    predicted = predictions.load(classifier, name)
    train, test = (predicted[part] for part in ("everywhere", "probabilities"))
    originals = files.load_array(inputs.FEATURES / "originals.npy")
    names = inputs.names()
    rows = [
        *labelled_rows(names, train, bought, label_sets.load("audit"), originals, classes, settings.confidence),
        *model_rows(files.load_json(inputs.FLAT / "test_names.json"), test, classes, settings.confidence),
        *_rejected(),
    ]
    files.save_table(PILE, sorted(rows, key=lambda row: str(row["file"])), HEADING)
    suspected = suspect_rows(names, _left_out(settings), classes)
    files.save_table(SUSPECTS, suspected, SUSPECTS_HEADING)
    distinct = np.unique(originals)
    _save_sheet(distinct, train[distinct], settings, classes)
    sources = Counter(row["source"] for row in rows)
    print(f"{PILE}: {len(rows):,} pictures: " + ", ".join(f"{sources[one]:,} {one}" for one in SOURCES if sources[one]))
    print(f"{SUSPECTS}: {len(suspected):,} of {int(bought.bought.sum()):,} bought labels look wrong")


def model_rows(names: list[str], probabilities: NDArray[np.float32], classes: list[str], least: float) -> list[Row]:
    """Label pictures by a model: `unsure` where its likeliest class is less likely than the least confidence."""
    likeliest, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0)
    return [
        _row(file, classes[label], sure, "model" if sure >= least else "unsure")
        for file, label, sure in zip(names, likeliest, confidence, strict=True)
    ]


def labelled_rows(
    names: list[str],
    probabilities: NDArray[np.float32],
    bought: LabelSet,
    audit: LabelSet,
    originals: NDArray[np.int64],
    classes: list[str],
    least: float,
) -> list[Row]:
    """Label the training pictures: bought and audited ones, copies, which have the label of their original, others."""
    rows = model_rows(names, probabilities, classes, least)
    for row in np.flatnonzero(originals != np.arange(len(originals))):
        original = rows[originals[row]]
        rows[row] = original | {"file": names[row]} | ({"source": "copy"} if original["source"] == "model" else {})
    for source, known in (("bought", bought), ("audit", label_copies(audit, originals))):
        for row, label, given in zip(known.rows, known.labels, known.bought, strict=True):
            rows[row] = _row(names[row], classes[label], 1, source if given else "copy")
    return rows


def suspect_rows(names: list[str], left_out: LabelSet, classes: list[str]) -> list[Row]:
    """List the bought labels that are contradicted when they are left out, the most suspect first."""
    if left_out.probabilities is None:
        return []
    return [
        {
            "file": names[left_out.rows[place]],
            "label": classes[left_out.labels[place]],
            "predicted": classes[left_out.probabilities[place].argmax()],
            "confidence": f"{left_out.probabilities[place].max():.4f}",
            "label_confidence": f"{left_out.probabilities[place, left_out.labels[place]]:.4f}",
        }
        for place in suspects(left_out.labels, left_out.probabilities)
    ]


def _row(file: str, label: str, confidence: float, source: str) -> Row:
    return {"file": file, "label": label, "confidence": f"{confidence:.4f}", "source": source, "reason": ""}


def _best(settings: params.Params) -> tuple[str, str] | None:
    """Find the best model that could be trained and has predicted the whole pile."""
    for classifier, names in (("ensemble", settings.label_sets.ensemble), ("ridge", settings.label_sets.ridge)):
        for name in names:
            if "everywhere" in predictions.load(classifier, name):
                return classifier, name
    return None


def _left_out(settings: params.Params) -> LabelSet:
    """Read what kernel ridge regression predicts for each label that was bought for the pile, when it is left out."""
    for name in settings.label_sets.ridge:
        predicted = predictions.load("ridge", name)
        if "everywhere" in predicted:
            rows, labels = predicted["left_out_rows"], predicted["left_out_labels"]
            return LabelSet(rows, labels, np.ones(len(rows), bool), predicted["left_out"])
    return LabelSet.from_bought([], [])


def _rejected() -> list[Row]:
    """List the pictures that could not be read, each with its reason."""
    with (inputs.FLAT / "rejected.csv").open(newline="", encoding="utf-8") as file:
        return [dict.fromkeys(HEADING, "") | row | {"source": "left out"} for row in csv.DictReader(file)]


def _save_sheet(
    rows: NDArray[np.int64], probabilities: NDArray[np.float32], settings: params.Params, classes: list[str]
) -> None:
    images = inputs.images("train").reshape(-1, *settings.data.image_shape)
    figure = pictures.contact_sheet(images, probabilities, classes, rows=rows)
    with files.atomic_write(SHEET) as partial:
        figure.savefig(partial, format="png", dpi=110)


if __name__ == "__main__":
    command.run(main)
