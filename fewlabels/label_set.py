"""Label sets: what every way of spending a budget ends in, and what every training starts from."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


class CannotTrainError(ValueError):
    """A label set has too few labels, or too few classes, for a classifier to be trained on it."""


@dataclass(frozen=True)
class LabelSet:
    """Rows of the training images, with a label each.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Rows of the training images, distinct and ascending.
    labels : ndarray of uint8, shape (m,)
        The label of each row, bought or inferred.
    bought : ndarray of bool, shape (m,)
        Whether the label was paid for (True) or inferred from labels that were (False).
    probabilities : ndarray of float32, shape (m, n_classes), or None
        Soft labels: the probability of each class for each row; `labels` are then the likeliest.

    Raises
    ------
    ValueError
        If the arrays differ in length or type, or the rows are not ascending.

    Examples
    --------
    >>> label_set = LabelSet.from_bought([7, 2], [1, 0])
    >>> label_set.rows, label_set.labels
    (array([2, 7]), array([0, 1], dtype=uint8))
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.uint8]
    bought: NDArray[np.bool_]
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

    @classmethod
    def from_bought(cls, rows: ArrayLike, labels: ArrayLike) -> Self:
        """Make a label set of bought labels, in whatever order they were bought.

        Parameters
        ----------
        rows : array-like of int, shape (m,)
            Distinct.
        labels : array-like of int, shape (m,)
            The label of each row, 0 to 255.

        Returns
        -------
        LabelSet
        """
        every = np.asarray(rows, np.int64)
        order = np.argsort(every)
        return cls(every[order], np.asarray(labels, np.uint8)[order], np.ones(len(every), bool))

    def __len__(self) -> int:
        return len(self.rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, such that `LabelSet(**label_set.arrays())` is the same label set."""
        return {name: values for name, values in vars(self).items() if values is not None}
