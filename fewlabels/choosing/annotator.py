"""An annotator who knows all labels: what stands in for people where a method is judged on labelled data."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fewlabels.choosing.pool import row_numbers


@dataclass
class SimulatedAnnotator:
    """Answers with the true labels, and keeps a log of what was asked and answered.

    Attributes
    ----------
    true_labels : ndarray of uint8, shape (n,)
    log : list of (ndarray of int64, ndarray of uint8)
        The rows asked about and the labels answered, a pair for each round.

    Examples
    --------
    >>> annotator = SimulatedAnnotator(np.array([3, 1, 2], np.uint8))
    >>> annotator(np.array([2, 0]))
    array([2, 3], dtype=uint8)
    >>> len(annotator.log)
    1
    """

    true_labels: NDArray[np.uint8]
    log: list[tuple[NDArray[np.int64], NDArray[np.uint8]]] = field(default_factory=list)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Answer with the labels of some rows.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)

        Returns
        -------
        ndarray of uint8, shape (m,)

        Raises
        ------
        ValueError
            If rows are no valid row numbers, or one is asked about twice, now or after an earlier round: its label
            would be paid for twice.
        """
        rows = row_numbers("rows", rows, len(self.true_labels))
        asked, counts = np.unique(np.concatenate([*(rows for rows, _ in self.log), rows]), return_counts=True)
        if len(asked) and counts.max() > 1:
            raise ValueError(f"the label of row {asked[counts.argmax()]} would be paid for twice")
        answer = np.array(self.true_labels[rows])
        self.log.append((np.array(rows, np.int64), answer))
        return answer
