"""How long the promises of the platform took: a histogram of each, for `/metrics`.

Every process adds to the same counters in Redis. They begin anew when Redis is emptied, as Prometheus expects of
counters; without Redis nothing is counted, and nothing else suffers.
"""

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

# Upper limits of the classes, in seconds. The last class has none.
LIMITS: Final = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)


class Promise(StrEnum):
    """From which moment to which."""

    POST_TO_ASKED = "post_to_asked"
    ASKED_TO_TOLD = "asked_to_told"
    ANSWER_TO_TOLD = "answer_to_told"


@dataclass(frozen=True)
class Histogram:
    """Numbers by class, in the order of `LIMITS` and then those beyond; and the sum of all, in seconds."""

    counts: tuple[int, ...]
    sum: float


def observe(promise: Promise, seconds: Iterable[float]) -> None:
    """Count how long a promise took, each time that it was kept. Never raises."""
    taken = [max(0.0, each) for each in seconds]
    added = Counter(f"{bisect.bisect_left(LIMITS, each)}" for each in taken)
    added["milliseconds"] = round(sum(taken) * 1000)
    try:
        for name, number in added.items():
            _add(_key(promise, name), number)
    except (RedisError, ValueError) as error:
        log.warning("promise_not_counted", promise=promise, error=str(error))


def _add(key: str, number: int) -> None:
    """Add to a counter. Raises `RedisError`, and `ValueError` if Redis is emptied this moment."""
    try:
        cache.incr(key, number)
    except ValueError:  # there is none yet; of all processes, the first `add` sets it
        cache.add(key, 0, timeout=None)
        cache.incr(key, number)


def histograms() -> dict[Promise, Histogram]:
    """What was counted so far. Raises `RedisError`."""
    names = [*map(str, range(len(LIMITS) + 1)), "milliseconds"]
    found = cache.get_many([_key(promise, name) for promise in Promise for name in names])
    told = {}
    for promise in Promise:
        *counts, milliseconds = (found.get(_key(promise, name), 0) for name in names)
        told[promise] = Histogram(tuple(counts), milliseconds / 1000)
    return told


def _key(promise: Promise, name: str) -> str:
    return f"promise:{promise}:{name}"
