"""Times, and how they are shown."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median_time(work: Callable[[], object], times: int) -> float:
    """Seconds, the median of so many runs."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return quantile(took, 0.5)


def row(name: str, value: str, note: str = "") -> None:
    print(f"  {name:<58} {value:>14}  {note}".rstrip())


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.2f} ms"


@dataclass
class Queries:
    """What the database was asked while it was watched."""

    seconds: float = 0
    number: int = 0
    by_statement: dict[str, list[float]] = field(default_factory=dict)

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took = time.perf_counter() - began
            self.seconds += took
            self.number += 1
            self.by_statement.setdefault(sql[:110], []).append(took)


@contextmanager
def watched() -> Iterator[Queries]:
    queries = Queries()
    with connection.execute_wrapper(queries):
        yield queries
