"""The one currency of the pipeline: every way of spending a budget ends in a label set, every trainer starts there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelSet:
    """Training images, by row, with a label each.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Rows of the training images, distinct and ascending.
    labels : ndarray of uint8, shape (m,)
        The label of each row, bought or inferred.
    bought : ndarray of bool, shape (m,)
        Whether the label was paid for (True) or inferred from labels that were (False).
    centroids : ndarray of float32, shape (k, d), or None
        If given, a classifier sees each image as its k distances to these points in place of its d pixels.
    probabilities : ndarray of float32, shape (m, classes), or None
        If given, how likely each class is for each row; the labels are the likeliest.

    Raises
    ------
    ValueError
        If the arrays differ in length or type, or the rows are not ascending.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.uint8]
    bought: NDArray[np.bool_]
    centroids: NDArray[np.float32] | None = None
    probabilities: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("rows", np.int64), ("labels", np.uint8), ("bought", np.bool_)):
            values = getattr(self, name)
            if values.dtype != dtype or values.shape != (len(self.rows),):
                raise ValueError(f"{name} is {values.dtype} {values.shape}, not {np.dtype(dtype)} ({len(self.rows)},)")
        if np.any(np.diff(self.rows) <= 0):
            raise ValueError("rows are not distinct and ascending")
        if self.probabilities is not None and len(self.probabilities) != len(self.rows):
            raise ValueError(f"{len(self.probabilities)} rows of probabilities for {len(self.rows)} labels")

    def __len__(self) -> int:
        return len(self.rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, such that `LabelSet(**label_set.arrays())` is the same label set."""
        return {name: values for name, values in vars(self).items() if values is not None}
