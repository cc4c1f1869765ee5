"""The schema of params.yaml: a bad value ends a stage in one line, before anything is computed.

There are no defaults here: what a person may change stands in params.yaml, where DVC tracks it. The constants of a
method that nobody needs to change stand at the top of its module, on which its stage depends.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.registry import BOUGHT, CLASSIFIERS, LABEL_SETS, SPREAD

__all__ = ["BOUGHT", "SPREAD", "Network", "Params", "checked", "load", "trainable"]


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
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a mistyped name is missing, too
        raise SystemExit(f"{path}: {_sentence(first)}") from None


def trainable(classifier: str) -> tuple[str, ...]:
    """The label sets that a classifier can be trained on."""
    return CLASSIFIERS[classifier].label_sets


def _known(allowed: tuple[str, ...]) -> BeforeValidator:
    def check(names: Any) -> Any:
        for name in names if isinstance(names, list) else []:
            if name not in allowed:
                raise ValueError(f"{name!r} is not one of {', '.join(allowed)}")
        return names

    return BeforeValidator(check)


def _distinct(names: list[str]) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is listed twice")
    return names


def _class_names(names: list[str]) -> list[str]:
    for name in names:
        if not name or name != name.strip():
            raise ValueError(f"{name!r} is {'empty' if not name.strip() else 'a name with blanks at an end'}")
    return _distinct(names)


def _rising(numbers: list[float]) -> list[float]:
    if numbers != sorted(set(numbers)):
        raise ValueError(f"{numbers!r}: each number must be larger than the one before")
    return numbers


def _colours(shape: Any, sides: ValidatorFunctionWrapHandler) -> Any:
    """Check height and width; a third number is that of the colours."""
    if not isinstance(shape, list) or len(shape) != 3:
        return sides(shape)
    if shape[2] != 3 or isinstance(shape[2], float):
        raise ValueError(f"{shape!r}: the third number can only be 3, for red, green and blue")
    return [*sides(shape[:2]), 3]


def _scheduler(address: str) -> str:
    if address != "local" and not re.fullmatch(r"(tcp|tls|ws|wss)://\S+:\d+", address):
        raise ValueError(f"{address!r} is not null, local or an address such as tcp://host:8786")
    return address


Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Networks = Annotated[int, Field(ge=1, le=100)]
Shift = Annotated[int, Field(ge=0, le=4)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _LabelSets(_Strict):
    if TYPE_CHECKING:

        def __getattr__(self, classifier: str) -> list[str]: ...

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        chosen = self.model_dump()
        if not any(chosen[name] for name, entry in CLASSIFIERS.items() if not entry.needs):
            raise ValueError("no classifier has a label set to be trained on")
        for classifier, entry in CLASSIFIERS.items():
            for name in chosen[classifier]:
                for other, label_set in entry.needs:
                    if (label_set or name) not in chosen[other]:
                        raise ValueError(f"{classifier} on {name} needs {other} on {label_set or name}")
        return self

    def wants(self, name: str) -> bool:
        """Tell whether any classifier is trained on a label set, or on one that it is spread to."""
        spread = [other for other, entry in LABEL_SETS.items() if entry.spread_from == name]
        trained = {one for names in self.model_dump().values() for one in names}
        return not trained.isdisjoint([name, *spread])


if TYPE_CHECKING:
    LabelSets = _LabelSets
else:
    LabelSets = create_model(
        "LabelSets",
        __base__=_LabelSets,
        **{
            name: (Annotated[list[str], _known(entry.label_sets), AfterValidator(_distinct)], ...)
            for name, entry in CLASSIFIERS.items()
        },
    )


class Data(_Strict):
    source: Literal["fashion-mnist", "idx", "images"]
    folder: Annotated[str, Field(min_length=1)] | None
    image_shape: Annotated[
        list[Annotated[int, Field(ge=8, le=1024)]], Field(min_length=2, max_length=2), WrapValidator(_colours)
    ]
    fit: Literal["pad", "crop", "stretch"]
    test_share: Annotated[float, Field(ge=0, lt=1)]
    classes: Annotated[list[str], Field(min_length=2, max_length=255), AfterValidator(_class_names)] | None

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        if self.source != "fashion-mnist" and self.folder is None:
            raise ValueError(f"source {self.source} needs a folder, which is null")
        if self.source != "images" and self.classes is None:
            raise ValueError(f"source {self.source} needs classes, which is null")
        if self.source != "images" and len(self.image_shape) != 2:
            raise ValueError(f"source {self.source} has grey images: image_shape is height and width")
        return self


class PileOnDisk(_Strict):
    in_memory: Annotated[int, Field(ge=0)]


class Engine(_Strict):
    scheduler: Annotated[str, AfterValidator(_scheduler)] | None
    workers: Annotated[int, Field(ge=1, le=1024)]
    memory: Annotated[float, Field(ge=0.5, le=100_000)]
    chunk: Annotated[int, Field(ge=1, le=10**9)]


class Embedding(_Strict):
    model: Annotated[str, Field(min_length=1)]
    size: Annotated[int, Field(ge=8, le=1024)] | None
    scale: Literal["0..255", "0..1", "-1..1", "imagenet", "clip"] | None


class ClusterMargin(_Strict):
    first_round: Count
    growth: Annotated[float, Field(ge=1)]
    candidates: Count


class LabelSpreading(_Strict):
    neighbours: Count
    neighbour_weights: Annotated[
        list[Annotated[float, Field(ge=0, le=0.99)]], Field(min_length=1), AfterValidator(_rising)
    ]


class LogisticRegression(_Strict):
    C: Positive
    features_C: Positive
    distances_C: Positive
    pixel_power: Positive
    max_iterations: Count


class KernelRidge(_Strict):
    gamma: Positive
    alpha: Positive


class Few(_Strict):
    below: Annotated[int, Field(ge=0)]
    steps: Count
    spread: Count


class Student(_Strict):
    networks: Networks
    generations: Count
    epochs: Count
    dropout: Annotated[float, Field(ge=0, le=0.95)]
    repeats: Count
    shift: Shift
    views: Annotated[int, Field(ge=1, le=5)]
    images: Count


class Network(_Strict):
    architecture: Literal["compact", "edges", "study"]
    steps: Count
    batch_size: Count
    few: Few
    learning_rate: Positive
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    patience: Count
    restarts: Annotated[int, Field(ge=0, le=100)]
    networks: Networks
    shift: Shift
    student: Student


class Params(_Strict):
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    clusters: Count
    percentile: Annotated[float, Field(ge=0, le=100)]
    confidence: Share
    oracle: Literal["labels", "people"]
    audit: Annotated[int, Field(ge=0)]
    features: Literal["pixels", "hog", "embedding", "auto"]
    label_sets: LabelSets
    data: Data
    pool: PileOnDisk
    engine: Engine
    embedding: Embedding
    cluster_margin: ClusterMargin
    label_spreading: LabelSpreading
    logistic_regression: LogisticRegression
    kernel_ridge: KernelRidge
    network: Network

    @model_validator(mode="after")
    def _the_first_round_is_in_the_budget(self) -> Self:
        first = self.cluster_margin.first_round
        if self.features == "auto" and first > self.clusters:
            raise ValueError(f"clusters: {self.clusters} is less than the {first} labels that features auto decides by")
        return self

    @model_validator(mode="after")
    def _people_can_give_these_labels(self) -> Self:
        for classifier, names in self.label_sets if self.oracle == "people" else ():
            for name in names:
                if why := self._nobody_gives(name):
                    raise ValueError(f"label_sets.{classifier}: {name!r} {why}: not with oracle people")
        return self

    def _nobody_gives(self, name: str) -> str:
        """Say why people who are asked for the labels of `active` do not give those of another label set, too."""
        if name == "all":
            return "needs the label of every image"
        if name == "random":
            return "needs a budget of its own"
        source = LABEL_SETS[name].spread_from or name
        if source == "representatives" and self.cluster_margin.first_round < self.clusters:
            first = self.cluster_margin.first_round
            return f"needs a first round of {self.clusters} labels, and cluster_margin.first_round is {first}"
        return ""


_SENTENCES: dict[str, Callable[[ErrorDetails], str]] = {
    "value_error": lambda error: str(error["ctx"]["error"]),
    "missing": lambda error: "is missing",
    "extra_forbidden": lambda error: "is not a known parameter",
    # YAML reads an unquoted null, true, 1e3 or 2024-01-01 as something else than text.
    "string_type": lambda error: f"{error['input']!r} is not text: put it in quotes",
    "literal_error": lambda error: f"{error['input']!r} is not {error['ctx']['expected']}",
}


def _sentence(error: ErrorDetails) -> str:
    def plain(error: ErrorDetails) -> str:
        return f"{error['input']!r}: {error['msg'].replace('Input should', 'should', 1)}"

    where = ".".join(str(part) for part in error["loc"])
    return ": ".join(filter(None, [where, _SENTENCES.get(error["type"], plain)(error)]))
