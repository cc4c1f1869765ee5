"""Whoever knows the labels and sells them: the one place where a budget is spent, and where each purchase is noted."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Oracle:
    """Sells the labels of one label set.

    Attributes
    ----------
    true_labels : ndarray of uint8, shape (n,)
        What it knows.
    purchases : list of ndarray of int64
        The rows sold, one array for each time it was asked.
    """

    true_labels: NDArray[np.uint8]
    purchases: list[NDArray[np.int64]] = field(default_factory=list)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Sell the labels of some rows.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)

        Returns
        -------
        ndarray of uint8, shape (m,)

        Raises
        ------
        ValueError
            If one of them is among them twice, or was sold before.
        """
        every, counts = np.unique(np.concatenate([*self.purchases, rows]), return_counts=True)
        if len(every) and counts.max() > 1:
            raise ValueError(f"the label of row {every[counts.argmax()]} would be paid for twice")
        self.purchases.append(np.array(rows, np.int64))
        return np.array(self.true_labels[rows])
