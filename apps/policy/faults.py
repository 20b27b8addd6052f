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
    """The range of a number: `least` and `most` are included, `above` is not. None sets no limit."""

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
    """What is wrong with one setting. `name` is that of the setting or of an entry of its table: `weights.price`.

    `facts` are what a sentence about it needs (`wording.say`).
    """

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

    A callable is asked for the default each time, because the keys of some tables are known only once all apps are
    loaded. Where a stored table lacks an entry, the entry is `if_missing`, or its default if that is None.
    """
    make = default if callable(default) else lambda: default
    metadata = {"default": make, "if_missing": if_missing, "limits": Limits(least=least, most=most)}
    return field(default_factory=lambda: dict(make()), metadata=metadata)


def keys_of(one: "Field[Any]") -> tuple[str, ...] | None:
    """The keys of a table, in the order of the page. None if the setting is not a table (`by_key`)."""
    return tuple(one.metadata["default"]()) if "default" in one.metadata else None


def completed(one: "Field[Any]", given: Mapping[str, Any]) -> dict[str, Any]:
    """A stored table, completed by the entries that did not exist when it was stored."""
    if_missing = one.metadata["if_missing"]
    default = {key: value if if_missing is None else if_missing for key, value in one.metadata["default"]().items()}
    return {**default, **given}


def faults_of(one: "Field[Any]", value: Any) -> Iterator[Fault]:
    """Every fault of the value, by the type and the metadata of its field. None is fine only where the type says so."""
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
        # `Mapping[str, int]`: the second argument is the type of the entries.
        kind = get_args(one.type)[1]
        yield from (Fault(f"{one.name}.{key}", Wrong.MISSING) for key in keys if key not in value)
        yield from (Fault(f"{one.name}.{key}", Wrong.UNKNOWN) for key in value if key not in keys)
        for key in keys:
            if key in value:
                yield from faults_of_number(f"{one.name}.{key}", value[key], kind, limits)


def faults_of_number(name: str, value: Any, kind: Any, limits: Limits) -> Iterator[Fault]:
    """The fault of a number, if it has one. `true`, "0.2" and NaN are no numbers, and 1.0 is no whole number."""
    # `bool` is a subclass of `int` in Python, so `true` has to be ruled out by name.
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
    """Whether the number is finite. `math.isfinite` alone raises for an integer that no float can hold."""
    return isinstance(value, int) or math.isfinite(value)
