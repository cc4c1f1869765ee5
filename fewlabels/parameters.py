"""What the parameters of an estimator, or settings, may be, checked as scikit-learn checks those of its own."""

from dataclasses import asdict
from numbers import Integral
from typing import Any

from sklearn.utils._param_validation import Interval, validate_parameter_constraints


class WholeNumber(Interval):  # type: ignore[misc]
    """An integer in a range; True and False, which Python takes for 1 and 0, are none.

    Parameters
    ----------
    least : int
    most : int, optional
        No limit if not given.

    Examples
    --------
    >>> [WholeNumber(1).is_satisfied_by(value) for value in (3, 0, True, 2.0, "3")]
    [True, False, False, False, False]
    >>> print(WholeNumber(1), "or", WholeNumber(1, 5))
    an int in the range [1, inf) or an int in the range [1, 5]
    """

    def __init__(self, least: int, most: int | None = None) -> None:
        super().__init__(Integral, least, most, closed="left" if most is None else "both")

    def is_satisfied_by(self, val: object) -> bool:
        return not isinstance(val, bool) and bool(super().is_satisfied_by(val))


def check_settings(settings: Any, **allowed: Any) -> None:
    """Check the fields of a dataclass.

    Parameters
    ----------
    settings : dataclass
    **allowed : scikit-learn constraint
        For each field by name, such as `WholeNumber(1)`.

    Raises
    ------
    InvalidParameterError
        A ValueError that names the field.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> Settings = make_dataclass("Settings", ["steps"])
    >>> check_settings(Settings(steps=0), steps=WholeNumber(1))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    sklearn.utils._param_validation.InvalidParameterError: The 'steps' parameter of Settings must be an int in ...
    """
    constraints = {name: [constraint] for name, constraint in allowed.items()}
    validate_parameter_constraints(constraints, asdict(settings), caller_name=type(settings).__name__)
