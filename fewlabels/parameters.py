"""What the parameters of an estimator may be, checked as scikit-learn checks those of its own."""

from numbers import Integral

from sklearn.utils._param_validation import Interval


class WholeNumber(Interval):  # type: ignore[misc]
    """An integer from a least one on; True and False, which Python takes for 1 and 0, are none.

    Parameters
    ----------
    least : int

    Examples
    --------
    >>> [WholeNumber(1).is_satisfied_by(value) for value in (3, 0, True, 2.0, "3")]
    [True, False, False, False, False]
    >>> print(WholeNumber(1))
    an int in the range [1, inf)
    """

    def __init__(self, least: int) -> None:
        super().__init__(Integral, least, None, closed="left")

    def is_satisfied_by(self, val: object) -> bool:
        return not isinstance(val, bool) and bool(super().is_satisfied_by(val))
