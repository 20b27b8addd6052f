"""What a setting may be, and what can be wrong with one: pure.

A field says in its metadata what it may be (`limited`, `by_key`, or `choices`), so that one check, one form and one
page serve them all.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field
from enum import StrEnum
from types import NoneType
from typing import Any, get_args


class Wrong(StrEnum):
    """What can be wrong with a setting."""

    UNKNOWN = "unknown"  # there is no such setting, or no such entry in it
    MISSING = "missing"  # an entry is not there
    TABLE = "table"  # not a table of entries
    NUMBER = "number"  # not a number
    WHOLE = "whole"  # not a whole number
    CHOICE = "choice"  # not one of `choices`
    RANGE = "range"  # not within `limits`
    SUM = "sum"  # do not add up to 1 but to `total`
    ORDER = "order"  # not before `later`


@dataclass(frozen=True, slots=True)
class Limits:
    """The least (included), or what it must be above, and the most (included) that a number may be; None: any."""

    least: float | None = None
    above: float | None = None
    most: float | None = None

    def hold(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one setting: its name, as `weights` or `weights.price`, and the facts to say it in words."""

    name: str
    wrong: Wrong
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}: {self.wrong}" + (f" {dict(self.facts)}" if self.facts else "")


class InvalidPolicyError(ValueError):
    """Values that make no sense, with every fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


def limited(
    default: float, *, least: float | None = None, above: float | None = None, most: float | None = None
) -> Any:
    """A number within limits."""
    return field(default=default, metadata={"limits": Limits(least, above, most)})


def by_key(
    default: Mapping[str, float] | Callable[[], Mapping[str, float]],
    *,
    if_missing: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A table with one number, within limits, for each key of the default: no more and no fewer.

    A callable gives the default each time anew, for a table whose keys are known only once all apps are loaded. A
    stored table without an entry is read with `if_missing` there, or with the default (None).
    """
    make = default if callable(default) else lambda: default
    metadata = {"default": make, "if_missing": if_missing, "limits": Limits(least=least, most=most)}
    return field(default_factory=lambda: dict(make()), metadata=metadata)


def keys_of(one: "Field[Any]") -> tuple[str, ...] | None:
    """The entries that a table has, in the order of the page; None for a setting that is no such table."""
    return tuple(one.metadata["default"]()) if "default" in one.metadata else None


def completed(one: "Field[Any]", given: Mapping[str, Any]) -> dict[str, Any]:
    """A stored table with the entries that did not exist when it was stored."""
    if_missing = one.metadata["if_missing"]
    default = {key: value if if_missing is None else if_missing for key, value in one.metadata["default"]().items()}
    return {**default, **given}


def faults_of(one: "Field[Any]", value: Any) -> Iterator[Fault]:
    """By the type that the field is annotated with (None only where that says so), and by its metadata."""
    limits: Limits = one.metadata.get("limits", Limits())
    if value is None and NoneType in get_args(one.type):
        return
    if "choices" in one.metadata:
        yield from must_be_among(one.name, value, one.metadata["choices"])
    elif (keys := keys_of(one)) is None:
        yield from faults_of_number(one.name, value, one.type, limits)
    elif not isinstance(value, Mapping):
        yield Fault(one.name, Wrong.TABLE)
    else:
        kind = get_args(one.type)[1]
        yield from (Fault(f"{one.name}.{key}", Wrong.MISSING) for key in keys if key not in value)
        yield from (Fault(f"{one.name}.{key}", Wrong.UNKNOWN) for key in value if key not in keys)
        for key in keys:
            if key in value:
                yield from faults_of_number(f"{one.name}.{key}", value[key], kind, limits)


def faults_of_number(name: str, value: Any, kind: Any, limits: Limits) -> Iterator[Fault]:
    """`true` is no number, and neither is "0.2" or NaN; a whole number is written without a point."""
    if kind is int and (isinstance(value, bool) or not isinstance(value, int)):
        yield Fault(name, Wrong.WHOLE)
    elif isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        yield Fault(name, Wrong.NUMBER)
    elif not limits.hold(value):
        yield Fault(name, Wrong.RANGE, {"limits": limits})


def must_be_among(name: str, value: Any, choices: tuple[Any, ...]) -> Iterator[Fault]:
    if not isinstance(value, str) or value not in choices:
        yield Fault(name, Wrong.CHOICE, {"choices": choices})


def _is_finite(value: float) -> bool:
    """Of any number: `math.isfinite` alone fails for a whole number that no float can hold."""
    return isinstance(value, int) or math.isfinite(value)
