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
    print(f"  {name:<58} {value:>14}  {note}".rstrip(), flush=True)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.2f} ms"


@dataclass
class Queries:
    """What the database was asked while it was watched."""

    asked: list[tuple[str, float]] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)
    _kept: int = 0

    @property
    def seconds(self) -> float:
        return sum(took for _sql, took in self.asked)

    @property
    def number(self) -> int:
        return len(self.asked)

    @property
    def by_statement(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for sql, took in self.asked:
            found.setdefault(sql[:110], []).append(took)
        return found

    def keep(self) -> None:
        self._kept = len(self.asked)

    def forget(self) -> None:
        """What was asked since the last `keep` is not part of what is measured."""
        del self.asked[self._kept :], self.parameters[self._kept :]

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.asked.append((sql, time.perf_counter() - began))
            self.parameters.append(params)


@contextmanager
def watched() -> Iterator[Queries]:
    queries = Queries()
    with connection.execute_wrapper(queries):
        yield queries
