"""What people have answered about the training images: answers.csv, by rows."""

import numpy as np
from numpy.typing import NDArray

from labelling import answers, verdicts
from stages import inputs


def answered() -> tuple[dict[int, verdicts.Verdict], list[str]]:
    """Find out what the answers amount to.

    Returns
    -------
    dict of Verdict
        By row.
    list of str
        A sentence for each line that does not count.

    Raises
    ------
    SystemExit
        With one line, if the names of the classes are not known, or there is no answers.csv.
    """
    given, unread = answers.read()
    found, problems = verdicts.resolve(given, verdicts.rows_by_name(inputs.names()), inputs.class_names_for_people())
    return found, [*unread, *problems]


def check_size(audit: int, clusters: int, originals: NDArray[np.int64]) -> None:
    """Refuse to ask about more pictures than there are.

    Parameters
    ----------
    audit, clusters : int
        How many pictures params.yaml has people asked about.
    originals : ndarray of int64, shape (n,)
        For each picture the first one that equals it.

    Raises
    ------
    SystemExit
        With one line that names the parameters.
    """
    distinct = len(np.unique(originals))
    if audit + clusters > distinct:
        raise SystemExit(
            f"params.yaml: audit: {audit} pictures and the {clusters} labels of clusters are more "
            f"than the {distinct} different pictures"
        )
