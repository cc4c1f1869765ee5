"""Every label set and every classifier of the pipeline, once: names, colour, what it depends on, what writes it.

The schema of params.yaml, the table, the charts and the report all read this. To add one, add its entry here and the
stage that makes it: docs/add-your-own.md.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Colour(NamedTuple):
    """A colour that means one thing in every chart, on a light and on a dark page."""

    light: str
    dark: str


@dataclass(frozen=True)
class LabelSetEntry:
    """A way of spending the label budget, or of spreading the labels that it bought.

    Attributes
    ----------
    title : str
        For tables and charts.
    stage : str
        The stage of dvc.yaml that writes `data/labels/NAME.npz`.
    parameters : tuple of str
        What it depends on of params.yaml, besides the seed and the images; empty for all labels, which no budget buys.
        A section, such as `kernel_ridge`, stands for all that is in it.
    spread_from : str or None
        The label set whose labels it spreads; None for a bought one.
    soft : bool
        Whether it has probabilities.
    colour : Colour
    marker : str
        Of matplotlib.
    """

    title: str
    stage: str
    parameters: tuple[str, ...]
    colour: Colour
    marker: str
    spread_from: str | None = None
    soft: bool = False


@dataclass(frozen=True)
class ClassifierEntry:
    """A classifier that is trained on label sets.

    Attributes
    ----------
    title : str
        For charts and sentences.
    heading : str
        For narrow tables.
    stage : str
        The stage of dvc.yaml that writes `data/models/NAME/LABEL_SET.joblib`.
    label_sets : tuple of str
        Those it can be trained on.
    colour : Colour
    parameters : tuple of str
        What it depends on of params.yaml, besides what its label set does.
    on_soft : tuple of str or None
        The same on a label set with probabilities, where that is something else.
    needs : tuple of (str, str)
        Other classifiers that it is made of, each with a label set; "" stands for its own.
    """

    title: str
    heading: str
    stage: str
    label_sets: tuple[str, ...]
    colour: Colour
    parameters: tuple[str, ...] = ()
    on_soft: tuple[str, ...] | None = None
    needs: tuple[tuple[str, str], ...] = ()


BUYS, SPREADS = "select-representatives", "propagate"
DESCRIBED = ("features", "embedding")
"""What is seen of an image, where that is not pixels for some value of `features`."""
DECIDES = ("kernel_ridge", "cluster_margin.first_round")
"""What decides which features are seen where `features` is auto."""
RIDGE = (*DESCRIBED, "kernel_ridge")
ACTIVE = ("clusters", *RIDGE, "cluster_margin")
TRAINING = ("network.batch_size", "network.learning_rate")
STUDENT = (*TRAINING, "network.student", "kernel_ridge")

LABEL_SETS = {
    "all": LabelSetEntry("all", BUYS, (), Colour("#57606a", "#a9b1ba"), "D"),
    "random": LabelSetEntry("random", BUYS, ("clusters",), Colour("#a35200", "#e8a15c"), "o"),
    "representatives": LabelSetEntry(
        "representatives", BUYS, ("clusters", "features"), Colour("#7b3fb5", "#c49bf5"), "s"
    ),
    "active": LabelSetEntry("active", BUYS, ACTIVE, Colour("#b42318", "#ff8f80"), "*"),
    "propagated": LabelSetEntry(
        "propagated",
        SPREADS,
        ("clusters", "features"),
        Colour("#0b7a5c", "#4fc9a4"),
        "^",
        spread_from="representatives",
    ),
    "partially_propagated": LabelSetEntry(
        "partially propagated",
        SPREADS,
        ("clusters", "percentile", "features"),
        Colour("#2160c4", "#7fb0ff"),
        "v",
        spread_from="representatives",
    ),
    "propagated_soft": LabelSetEntry(
        "propagated soft",
        SPREADS,
        (*ACTIVE, "confidence", "label_spreading", "network.student.images"),
        Colour("#7a6400", "#e0c040"),
        "X",
        spread_from="active",
        soft=True,
    ),
}

BOUGHT = tuple(name for name, entry in LABEL_SETS.items() if entry.parameters and not entry.spread_from)
"""The label sets that hold bought labels only, as many as the budget."""
SPREAD = tuple(name for name, entry in LABEL_SETS.items() if entry.spread_from)
"""Those whose labels were spread to other images."""
SOFT = tuple(name for name, entry in LABEL_SETS.items() if entry.soft)
"""Those with probabilities."""

CLASSIFIERS = {
    "lr": ClassifierEntry(
        "logistic regression",
        "LR",
        "train-lr",
        tuple(LABEL_SETS),
        Colour("#12527d", "#6cc0f0"),
        parameters=("features", "logistic_regression"),
    ),
    "lr_distances": ClassifierEntry(
        "logistic regression on distances",
        "LR on distances",
        "train-lr-distances",
        tuple(LABEL_SETS),
        Colour("#00808a", "#5fd3dc"),
        parameters=("clusters", "features", "logistic_regression"),
    ),
    "nn": ClassifierEntry(
        "network",
        "NN",
        "train-nn",
        tuple(LABEL_SETS),
        Colour("#c2185b", "#ff80ab"),
        parameters=(
            *TRAINING,
            "network.architecture",
            "network.steps",
            "network.few",
            "network.validation_share",
            "network.patience",
            "network.restarts",
            "network.networks",
            "network.shift",
        ),
        on_soft=STUDENT,
    ),
    "ridge": ClassifierEntry(
        "kernel ridge regression", "ridge", "train-ridge", BOUGHT, Colour("#4b7a00", "#a5d65a"), parameters=RIDGE
    ),
    "ensemble": ClassifierEntry(
        "ensemble",
        "ensemble",
        "ensemble",
        SOFT,
        Colour("#5d4037", "#c7a79b"),
        parameters=(*RIDGE, *STUDENT),
        needs=(("ridge", "active"), ("nn", "")),
    ),
}
