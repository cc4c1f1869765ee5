"""Choose images within the label budget, and get their labels: from an annotator who knows them all, or from people.

A label set for each way of choosing: `all`, the baseline; `random`; `representatives`, each cluster's nearest member;
`active`, in rounds of cluster-margin sampling. purchases.csv lists each label bought and its round. Images whose label
nobody knows are not asked about. Labels that were bought to choose the features by (`features: auto`) are the first
round of `random` and `active`.

With people, `active` is all that they labelled in answers.csv for training, and no true label is read. The pictures of
the audit judge the models, and are in no label set but their own. Of a first round that spends the whole budget, which
asks about a picture of each cluster, there are `representatives`, too.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.representatives import nearest_of
from fewlabels.choosing.rounds import simulate
from fewlabels.label_set import UNKNOWN, LabelSet
from fewlabels.spreading.copies import label_copies
from labelling import verdicts
from stages import budget, command, engine, files, inputs, label_sets, params, people, questions

PURCHASES, PURCHASE = "data/labels/purchases.csv", ("label_set", "round", "row", "label")
Bought = tuple[NDArray[np.int64], NDArray[np.uint8]]
NOTHING: Bought = np.empty(0, np.int64), np.empty(0, np.uint8)


def main() -> None:
    settings = params.load()
    originals = files.load_array(inputs.FEATURES / "originals.npy")
    with engine.running(settings, "select-representatives"):
        if settings.oracle == "people":
            _from_people(settings, originals)
        else:
            _from_labels(settings, originals)


# ---- an annotator who knows all labels


def _from_labels(settings: params.Params, originals: NDArray[np.int64]) -> None:
    features, true_labels = inputs.features("train"), files.load_array(inputs.FLAT / "train_labels.npy")
    budget.check("clusters", settings.clusters, true_labels)
    unknown = np.flatnonzero(true_labels == UNKNOWN)
    annotators = {name: SimulatedAnnotator(true_labels) for name in params.BOUGHT}
    first = label_sets.load("first_round").rows

    at_random = partial(random, exclude=unknown, random_state=settings.seed)
    rounds = [len(first), settings.clusters - len(first)] if 0 < len(first) < settings.clusters else [settings.clusters]
    query = questions.begin_with(first, at_random)
    bought = {"random": simulate(query, features, annotators["random"], settings.clusters, rounds=rounds)}
    known = np.flatnonzero(true_labels != UNKNOWN)
    nearest = nearest_of(known, *inputs.clusters())
    if len(nearest) < settings.clusters:
        print(f"representatives: {settings.clusters - len(nearest):,} clusters have no image with a label")
    bought["representatives"] = nearest, annotators["representatives"](nearest)
    bought["active"] = NOTHING
    if settings.label_sets.wants("active"):
        margin = partial(questions.active(settings, len(inputs.class_names())), exclude=unknown)
        query = questions.begin_with(first, margin)
        rounds = questions.sizes(settings)
        bought["active"] = simulate(query, features, annotators["active"], settings.clusters, rounds=rounds)

    bought["all"] = (known, true_labels[known]) if settings.label_sets.wants("all") else NOTHING
    _save(bought, originals)
    for name, annotator in annotators.items():
        if annotator.log:
            print(f"{name}: {len(bought[name][0]):,} labels bought in {len(annotator.log)} rounds")
    label_sets.save("audit", LabelSet.from_bought([], []))
    files.save_array(label_sets.AUDIT_ROWS, NOTHING[0])
    files.save_table(
        PURCHASES,
        [
            {"label_set": name, "round": number, "row": row, "label": label}
            for name, annotator in annotators.items()
            for number, (rows, labels) in enumerate(annotator.log)
            for row, label in zip(rows, labels, strict=True)
        ],
        PURCHASE,
    )


# ---- people


def _from_people(settings: params.Params, originals: NDArray[np.int64]) -> None:
    budget.check_pictures(settings.audit, settings.clusters, originals)
    answered, problems = people.answered()
    for problem in verdicts.report(problems):
        print(problem)
    labelled, audit = verdicts.for_training(answered, originals), verdicts.for_audit(answered)
    bought = dict.fromkeys(params.BOUGHT, NOTHING) | {"all": NOTHING, "active": (labelled.rows, labelled.labels)}
    if settings.label_sets.wants("representatives"):
        rows = nearest_of(labelled.rows, *inputs.clusters())
        bought["representatives"] = rows, labelled.labels[np.searchsorted(labelled.rows, rows)]
    _save(bought, originals)
    label_sets.save("audit", LabelSet.from_bought(audit.rows, audit.labels))
    files.save_array(label_sets.AUDIT_ROWS, audit.rows)
    files.save_table(
        PURCHASES,
        [
            {"label_set": "active", "round": number, "row": row, "label": label}
            for row, label, number in zip(*labelled, strict=True)
        ],
        PURCHASE,
    )
    paid = int((labelled.rounds > 0).sum())
    spent = "the budget is spent" if paid >= settings.clusters else "`make label` goes on"
    free = len(labelled.rows) - paid
    print(f"active: {paid:,} of {settings.clusters:,} labels from people, {spent}" + (f"; {free:,} free" * (free > 0)))
    undecided = sum(one.tie for one in answered.values()), sum(one.skipped for one in answered.values())
    print("{:,} pictures are tied, {:,} skipped".format(*undecided))


# ---- both


def _save(bought: dict[str, Bought], originals: NDArray[np.int64]) -> None:
    """Write the label sets; copies of bought images have their labels, in all but the one that has every label."""
    for name, labelled in bought.items():
        label_set = LabelSet.from_bought(*labelled)
        label_sets.save(name, label_set if name == "all" else label_copies(label_set, originals))


if __name__ == "__main__":
    command.run(main)
