"""Label the whole pile: data/pile.csv has a row for each picture, those that could not be read included.

A label was bought, or given to judge the models by; or it is that of a bought copy, or what the best model predicts:
the ensemble, or else kernel ridge regression. data/suspects.csv lists the bought labels that look wrong,
data/contact_sheet.png shows the pictures of which the model is most and least sure. No true label is read here but
those that were bought.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewlabels import pictures
from fewlabels.arrays import Floats
from fewlabels.label_set import LabelSet
from fewlabels.pool import Rows, as_pool
from fewlabels.run import current
from fewlabels.spreading.copies import label_copies
from fewlabels.suspects import suspects
from stages import command, engine, files, inputs, label_sets, params, predictions
from stages.registry import LABEL_SETS

PILE, SUSPECTS, SHEET = Path("data/pile.csv"), Path("data/suspects.csv"), Path("data/contact_sheet.png")
HEADING = ("file", "label", "confidence", "source", "reason")
SUSPECTS_HEADING = ("file", "label", "predicted", "confidence", "label_confidence")
SOURCES = ("bought", "audit", "copy", "model", "unsure", "left out")
BOUGHT, AUDIT, COPY, MODEL, UNSURE, LEFT_OUT = range(len(SOURCES))
Row = dict[str, Any]


class Labels(NamedTuple):
    """What is said of each picture, in a few bytes: the pile may have millions."""

    labels: NDArray[np.uint8]
    confidence: Floats
    sources: NDArray[np.uint8]

    def of(self, rows: NDArray[np.int64]) -> "Labels":
        return Labels(self.labels[rows], self.confidence[rows], self.sources[rows])

    def followed_by(self, others: "Labels") -> "Labels":
        return Labels(
            np.append(self.labels, others.labels),
            np.append(self.confidence, others.confidence),
            np.append(self.sources, others.sources),
        )


def main() -> None:
    settings = params.load()
    with engine.running(settings, "auto-label"):
        _label(settings)


def _label(settings: params.Params) -> None:
    classes = inputs.class_names()
    model = _best(settings)
    if model is None:
        print(f"{PILE}: empty, because label_sets trains neither ridge nor ensemble, or too few labels were bought")
        files.save_table(PILE, [], HEADING)
        files.save_table(SUSPECTS, [], SUSPECTS_HEADING)
        nothing = model_labels(np.empty((0, len(classes)), np.float32), settings.confidence)
        _save_sheet(np.empty(0, np.int64), nothing, settings, classes)
        return
    classifier, name = model
    bought = label_sets.load(LABEL_SETS[name].spread_from or name)
    predicted = predictions.load(classifier, name)
    everywhere = files.load_rows(predictions.everywhere_of(classifier, name))
    originals = files.load_array(inputs.FEATURES / "originals.npy")
    names = inputs.names()
    by_model = model_labels(everywhere, settings.confidence)
    train = known_labels(by_model, bought, label_sets.load("audit"), originals)
    test = model_labels(predicted["probabilities"], settings.confidence)
    test_names = files.load_json(inputs.FLAT / "test_names.json")
    counts = _save_pile([*names, *test_names], train.followed_by(test), classes)
    suspected = suspect_rows(names, _left_out(settings), classes)
    files.save_table(SUSPECTS, suspected, SUSPECTS_HEADING)
    distinct = np.unique(originals)
    _save_sheet(distinct, by_model.of(distinct), settings, classes)
    shown = ", ".join(f"{count:,} {source}" for source, count in zip(SOURCES, counts, strict=True) if count)
    print(f"{PILE}: {sum(counts):,} pictures: {shown}")
    print(f"{SUSPECTS}: {len(suspected):,} of {int(bought.bought.sum()):,} bought labels look wrong")


def model_labels(probabilities: Rows, least: float) -> Labels:
    """Label pictures by a model: `unsure` where its likeliest class is less likely than the least confidence."""
    labels, confidence = (
        as_pool(rows).array() for rows in current().map(predictions.likeliest, probabilities, outputs=2)
    )
    return Labels(labels, confidence, np.where(confidence >= least, MODEL, UNSURE).astype(np.uint8))


def known_labels(by_model: Labels, bought: LabelSet, audit: LabelSet, originals: NDArray[np.int64]) -> Labels:
    """Label the training pictures: bought and audited ones, copies, which have the label of their original, others."""
    labels, confidence, sources = by_model.of(originals)
    sources[(originals != np.arange(len(originals))) & (sources == MODEL)] = COPY
    for source, known in ((BOUGHT, bought), (AUDIT, label_copies(audit, originals))):
        labels[known.rows], confidence[known.rows] = known.labels, 1
        sources[known.rows] = np.where(known.bought, source, COPY)
    return Labels(labels, confidence, sources)


def _save_pile(names: list[str], every: Labels, classes: list[str]) -> list[int]:
    """Write a row for each picture, and for each that could not be read, by name; count the sources."""
    rejected = _rejected()
    files_of = [*names, *(row["file"] for row in rejected)]

    def rows() -> Iterator[Row]:
        for place in sorted(range(len(files_of)), key=files_of.__getitem__):
            if place >= len(names):
                yield rejected[place - len(names)]
                continue
            label, confidence, source = (values[place] for values in every)
            yield {
                "file": names[place],
                "label": classes[label],
                "confidence": f"{confidence:.4f}",
                "source": SOURCES[source],
                "reason": "",
            }

    files.save_table(PILE, rows(), HEADING)
    counts = np.bincount(every.sources, minlength=len(SOURCES))
    counts[LEFT_OUT] += len(rejected)
    return [int(count) for count in counts]


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


def _best(settings: params.Params) -> tuple[str, str] | None:
    """Find the best model that could be trained and has predicted the whole pile."""
    for classifier, names in (("ensemble", settings.label_sets.ensemble), ("ridge", settings.label_sets.ridge)):
        for name in names:
            if len(files.load_rows(predictions.everywhere_of(classifier, name))):
                return classifier, name
    return None


def _left_out(settings: params.Params) -> LabelSet:
    """Read what kernel ridge regression predicts for each label that was bought for the pile, when it is left out."""
    for name in settings.label_sets.ridge:
        predicted = predictions.load("ridge", name)
        if len(files.load_rows(predictions.everywhere_of("ridge", name))):
            rows, labels = predicted["left_out_rows"], predicted["left_out_labels"]
            return LabelSet(rows, labels, np.ones(len(rows), bool), predicted["left_out"])
    return LabelSet.from_bought([], [])


def _rejected() -> list[Row]:
    """List the pictures that could not be read, each with its reason."""
    with (inputs.FLAT / "rejected.csv").open(newline="", encoding="utf-8") as file:
        return [dict.fromkeys(HEADING, "") | row | {"source": "left out"} for row in csv.DictReader(file)]


def _save_sheet(rows: NDArray[np.int64], by_model: Labels, settings: params.Params, classes: list[str]) -> None:
    figure = pictures.contact_sheet(
        inputs.images("train"),
        settings.data.image_shape,
        by_model.labels,
        by_model.confidence,
        classes,
        rows=rows,
    )
    with files.atomic_write(SHEET) as partial:
        figure.savefig(partial, format="png", dpi=110)


if __name__ == "__main__":
    command.run(main)
