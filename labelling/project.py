"""What labelling starts from: the pile as the pipeline has read it, and what params.yaml says of the questions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import Floats
from fewlabels.choosing.questions import draw_order
from fewlabels.choosing.representatives import nearest_of
from fewlabels.choosing.rounds import QueryStrategy
from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import Local
from labelling import verdicts
from labelling.answers import Answer
from labelling.verdicts import Verdict
from stages import budget, engine, files, inputs, params, questions, ridge, sources

NEEDED = ("flat/names.txt", "flat/classes.json", "features/train.npy", "features/chosen.json", "clusters/distances.npy")


@dataclass(frozen=True)
class Project:
    """The pile, and how pictures are chosen from it.

    Attributes
    ----------
    settings : Params
    names, classes : list of str
    features : ndarray or Pool of float32, shape (n, d)
    originals : ndarray of int64, shape (n,)
        For each picture the first one that equals it: only these are asked about.
    undecided : bool
        Whether the features wait for the first round (`features: auto`).
    """

    settings: params.Params
    names: list[str]
    classes: list[str]
    features: Rows
    originals: NDArray[np.int64]
    undecided: bool

    @contextmanager
    def run(self) -> Iterator[None]:
        """Compute with a pile on disk as its stages do, in a folder that is removed, for as long as the block lasts."""
        if not isinstance(self.features, Pool):
            yield
            return
        engine.SCRATCH.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=engine.SCRATCH, prefix="label-") as folder, Local(Path(folder)):
            yield

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of each name."""
        return verdicts.rows_by_name(self.names)

    @cached_property
    def audit_order(self) -> list[int]:
        """The rows of distinct pictures, in the order in which the audit draws them."""
        order = draw_order(self.names, self.settings.seed)
        return [int(row) for row in order if self.originals[row] == row]

    def sizes(self) -> list[int]:
        """Compute how many labels each round asks for."""
        return questions.sizes(self.settings)

    def row(self, file: str) -> int | None:
        """Find the row of a picture, None if it is not there (any more)."""
        return verdicts.found(file, self.row_of)

    def query(self, number: int) -> QueryStrategy:
        """Give the query strategy of a round: where the first decides about the features, it is drawn at random."""
        if self.settings.features == "auto" and number == 1:
            return partial(in_order, order=draw_order(self.names, self.settings.seed + 1))
        return questions.active(self.settings, len(self.classes))

    @property
    def one_of_each_cluster(self) -> bool:
        """Whether a single round spends the whole budget: it asks for a picture of each cluster."""
        return self.settings.features != "auto" and self.settings.cluster_margin.first_round >= self.settings.clusters

    def nearest(self, labelled: NDArray[np.int64], exclude: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find, for each cluster without a labelled picture, the one nearest its centroid that may be asked about."""
        assignments, distances = (as_pool(rows).array() for rows in inputs.clusters())
        free = np.setdiff1d(np.flatnonzero(~np.isin(assignments, assignments[labelled])), exclude)
        return np.sort(nearest_of(free, assignments, distances))

    def classifier(self) -> Any:
        """Build the classifier that chooses, not trained yet."""
        return ridge.untrained(self.settings, len(self.classes))

    def verdicts(self, given: list[Answer]) -> tuple[dict[int, Verdict], list[str]]:
        """Find out what answers amount to, and which of them do not count."""
        return verdicts.resolve(given, self.row_of, self.classes)

    def picture(self, row: int) -> Path | NDArray[np.uint8]:
        """Find the file of a picture; or take its pixels, height by width, where it has none."""
        if self.settings.data.source == "images":
            return sources.folder(str(self.settings.data.folder)) / self.names[row]
        return inputs.pixels("train", np.array([row])).reshape(self.settings.data.image_shape)


def load(settings: params.Params | None = None) -> Project:
    """Read it from the files of the pipeline.

    Parameters
    ----------
    settings : Params, optional
        Those of params.yaml if not given.

    Raises
    ------
    SystemExit
        With one line, if params.yaml does not ask for people, or the pipeline has not got so far.
    """
    settings = settings or params.load()
    if settings.oracle != "people":
        raise SystemExit("params.yaml: oracle: set it to people, whose answers are wanted")
    for name in NEEDED:
        if not (Path("data") / name).exists():
            raise SystemExit(f"data/{name} is not there yet: `dvc repro kmeans` makes it, and `make label` does both")
    chosen = files.load_json(inputs.FEATURES / "chosen.json")
    originals = np.array(files.load_array(inputs.FEATURES / "originals.npy"))
    budget.check_pictures(settings.audit, settings.clusters, originals)
    return Project(
        settings,
        inputs.names(),
        inputs.class_names_for_people(),
        inputs.features("train"),
        originals,
        settings.features == "auto" and not chosen["left_out_log_loss"],
    )


def in_order(
    features: Floats,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    n: int,
    *,
    exclude: NDArray[np.int64],
    order: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Choose the next pictures of a random order: a query strategy."""
    free: NDArray[np.int64] = order[~np.isin(order, np.concatenate([rows, exclude]))]
    return free[:n]
