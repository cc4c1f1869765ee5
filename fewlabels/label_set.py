"""Label sets: what every way of spending a budget ends in, and what every training starts from."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNKNOWN = 255
"""In place of the label of an image that has none; so there are 255 classes at most."""


class CannotTrainError(ValueError):
    """A label set that a classifier cannot be trained on: it is empty, too small, or of one class only.

    Not a mistake of the caller: few labels may all be of one class.

    Examples
    --------
    >>> LabelSet.from_bought([7, 2], [1, 1]).require_classes(2)
    Traceback (most recent call last):
    fewlabels.label_set.CannotTrainError: one class only: 2 images of class 1
    """


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
        If the arrays differ in length or type, the rows are not ascending, or rows of probabilities do not sum to 1.

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
        if len(self.rows) and self.rows[0] < 0:
            raise ValueError(f"rows: {self.rows[0]} is not 0 or more")
        if self.probabilities is not None:
            self._check_probabilities(self.probabilities)

    def _check_probabilities(self, probabilities: NDArray[np.float32]) -> None:
        dtype, shape = probabilities.dtype, probabilities.shape
        if dtype != np.float32 or len(shape) != 2 or shape[0] != len(self.rows):
            raise ValueError(f"probabilities is {dtype} {shape}, not float32 ({len(self.rows)}, n_classes)")
        if not np.all(probabilities >= 0) or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
            raise ValueError("probabilities: a row is not 0 or more with a sum of 1")
        if np.any(self.labels >= shape[1]):
            raise ValueError(f"probabilities: {shape[1]} classes, and a label {self.labels.max()}")

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

        Raises
        ------
        ValueError
            If rows or labels are no whole numbers in their range, differ in number, or a row comes twice.
        """
        every, given = _whole_numbers("rows", rows), _whole_numbers("labels", labels)
        if len(every) != len(given):
            raise ValueError(f"{len(every)} rows with {len(given)} labels")
        outside = given[(given < 0) | (given > np.iinfo(np.uint8).max)]
        if len(outside):
            raise ValueError(f"labels: {outside[0]} is not between 0 and 255")
        order = np.argsort(every)
        return cls(every[order], given[order].astype(np.uint8), np.ones(len(every), bool))

    def require_classes(self, least: int) -> None:
        """Refuse to train a classifier on fewer classes than it needs.

        Parameters
        ----------
        least : {1, 2}
            1 where any label will do.

        Raises
        ------
        CannotTrainError
            If the label set is empty or, for two classes, all its labels are the same.
        """
        if not len(self):
            raise CannotTrainError("no labels")
        if least > 1 and np.all(self.labels == self.labels[0]):
            images = "1 image" if len(self) == 1 else f"{len(self):,} images"
            raise CannotTrainError(f"one class only: {images} of class {self.labels[0]}")

    def require_bought(self) -> None:
        """Refuse to go on without a label that was paid for.

        Raises
        ------
        ValueError
            If there is none.
        """
        if not self.bought.any():
            raise ValueError("the label set has no bought labels")

    def __len__(self) -> int:
        return len(self.rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, such that `LabelSet(**label_set.arrays())` is the same label set."""
        return {name: values for name, values in vars(self).items() if values is not None}


def _whole_numbers(name: str, values: ArrayLike) -> NDArray[np.int64]:
    """Check that values are a list of whole numbers; an empty list has no type."""
    given = np.asarray(values)
    if given.size == 0:
        return np.empty(0, np.int64)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"{name}: {given.dtype} of shape {given.shape} is no list of whole numbers")
    if given.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: {given.max()} is too large")
    return given.astype(np.int64)
