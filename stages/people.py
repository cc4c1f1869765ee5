"""What people have answered about the training images: answers.csv, by rows."""

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
