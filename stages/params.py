"""The schema of params.yaml, so that a bad value ends a stage in one line and before any compute.

There are no defaults here: every value that shapes a result stands in params.yaml, where DVC tracks it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

BOUGHT_SETS = ("random", "representatives", "active")
"""The label sets of the budget and nothing else."""
SOFT_SETS = ("propagated_soft",)
"""Those with probabilities."""
LABEL_SETS = ("all", *BOUGHT_SETS, "propagated", "propagated_near", *SOFT_SETS, "distances")


def load(path: str | Path = "params.yaml") -> "Params":
    """Read and check the parameters.

    Raises
    ------
    SystemExit
        With one line that names the file, the parameter and what is wrong with it.
    """
    try:
        values = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise SystemExit(f"{path}: {' '.join(str(error).split())}") from None
    return checked(values, path)


def checked(values: Any, path: str | Path) -> "Params":
    """Check values that were read from a file.

    Raises
    ------
    SystemExit
        With one line that names the file, the parameter and what is wrong with it.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise SystemExit(f"{path}: {_sentence(error.errors()[0])}") from None


def _between(low: float, high: float) -> AfterValidator:
    def check(value: Any) -> Any:
        if not low <= value <= high:
            raise ValueError(f"{value:.12g} is not between {low} and {high}")
        return value

    return AfterValidator(check)


def _at_least(low: int) -> AfterValidator:
    def check(value: int) -> int:
        if value < low:
            raise ValueError(f"{value} is not {low} or more")
        return value

    return AfterValidator(check)


def _above_zero(below: float = float("inf")) -> AfterValidator:
    def check(value: float) -> float:
        if not 0 < value < below:
            raise ValueError(f"{value:.12g} is not above 0" + (f" and below {below:g}" if below < float("inf") else ""))
        return value

    return AfterValidator(check)


def _label_sets(*allowed: str) -> tuple[BeforeValidator, AfterValidator]:
    """A list of distinct names out of `allowed`."""

    def known(names: Any) -> Any:
        for name in names if isinstance(names, list) else []:
            if name not in allowed:
                raise ValueError(f"{name!r} is not one of {', '.join(allowed)}")
        return names

    return BeforeValidator(known), _distinct()


def _distinct() -> AfterValidator:
    def check(names: list[str]) -> list[str]:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is listed twice")
        return names

    return AfterValidator(check)


def _length(least: int, most: int) -> AfterValidator:
    def check(values: list[Any]) -> list[Any]:
        if not least <= len(values) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise ValueError(f"{len(values)} entries where {wanted} are needed")
        return values

    return AfterValidator(check)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class LabelSets(_Strict):
    lr: Annotated[list[str], *_label_sets(*LABEL_SETS)]
    nn: Annotated[list[str], *_label_sets(*LABEL_SETS[:-1])]
    ridge: Annotated[list[str], *_label_sets(*BOUGHT_SETS)]
    ensemble: Annotated[list[str], *_label_sets(*SOFT_SETS)]

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if not self.lr + self.nn + self.ridge:
            raise ValueError("lr, nn and ridge are all empty")
        for name in self.ensemble:
            if name not in self.nn or "active" not in self.ridge:
                raise ValueError(f"the ensemble on {name} needs nn on {name} and ridge on active")
        return self

    def wants(self, name: str) -> bool:
        """Tell whether any classifier is trained on a label set."""
        return name in self.lr + self.nn + self.ridge


class Data(_Strict):
    directory: str | None
    verify: bool
    image_shape: Annotated[list[Annotated[int, _between(8, 1024)]], _length(2, 2)]
    classes: Annotated[list[str], _length(2, 256), _distinct()]


class LogisticRegression(_Strict):
    C: Annotated[float, _above_zero()]
    distances_C: Annotated[float, _above_zero()]
    pixel_power: Annotated[float, _above_zero()]
    max_iterations: Annotated[int, _at_least(1)]


class KernelRidge(_Strict):
    gamma: Annotated[float, _above_zero()]
    alpha: Annotated[float, _above_zero()]


class Few(_Strict):
    below: Annotated[int, _at_least(0)]
    steps: Annotated[int, _at_least(1)]


class Student(_Strict):
    generations: Annotated[int, _at_least(1)]
    epochs: Annotated[int, _at_least(1)]
    dropout: Annotated[float, _between(0, 0.95)]
    repeats: Annotated[int, _at_least(1)]


class Network(_Strict):
    architecture: Literal["compact", "edges", "study"]
    steps: Annotated[int, _at_least(1)]
    batch_size: Annotated[int, _at_least(1)]
    few: Few
    learning_rate: Annotated[float, _above_zero()]
    validation_share: Annotated[float, _above_zero(below=1)]
    patience: Annotated[int, _at_least(1)]
    restarts: Annotated[int, _between(0, 100)]
    student: Student


class Params(_Strict):
    seed: Annotated[int, _between(0, 2**32 - 1)]
    clusters: Annotated[int, _at_least(1)]
    percentile: Annotated[float, _between(0, 100)]
    confidence: Annotated[float, _between(0, 1)]
    features: Literal["pixels", "gradients"]
    label_sets: LabelSets
    data: Data
    logistic_regression: LogisticRegression
    kernel_ridge: KernelRidge
    network: Network


_SENTENCES: dict[str, Callable[[ErrorDetails], str]] = {
    "value_error": lambda error: str(error["ctx"]["error"]),
    "missing": lambda error: "is missing",
    "extra_forbidden": lambda error: "is not a known parameter",
    "literal_error": lambda error: f"{error['input']!r} is not {error['ctx']['expected']}",
}


def _sentence(error: ErrorDetails) -> str:
    def plain(error: ErrorDetails) -> str:
        return f"{error['input']!r}: {error['msg'].replace('Input should', 'should', 1)}"

    where = ".".join(str(part) for part in error["loc"])
    return ": ".join(filter(None, [where, _SENTENCES.get(error["type"], plain)(error)]))
