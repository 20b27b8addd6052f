"""A crowd falls due at once: how soon two processes have dealt with it, and what matching still does meanwhile.

In an aged market three times as large, so that about as many needs are open.
"""

import logging
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.demands import freshness as demand_freshness
from apps.demands.models import Demand
from apps.matching import escalation
from apps.matching import services as matching
from apps.matching.models import Match
from tests.benchmarks import aged
from tests.benchmarks.figures import row

PROCESSES: Final = 2
GOAL: Final = (100_000, 20)  # rows, minutes
MOST_SLOWED: Final = 0.5


def _ask() -> int:
    return Demand.objects.open().update(ask_at=timezone.now(), asked_at=None)


def _escalate() -> int:
    return Demand.objects.open().update(escalates_at=timezone.now(), escalating_since=F("opened_at"))


def _expire() -> int:
    return Match.objects.held().update(respond_by=timezone.now())


def _go_stale() -> int:
    now = timezone.now()
    return Demand.objects.open().update(ask_at=now, stale_at=now, asked_at=now)


# How all are made due at once, and the batch that deals with some.
KINDS: Final[dict[str, tuple[Callable[[], int], Callable[[], object]]]] = {
    "owners asked whether they still need it": (_ask, demand_freshness.ask_whether_still_needed),
    "needs escalated": (_escalate, lambda: escalation.escalate_due().escalated),
    "requests expired": (_expire, matching.expire_holds),
    "needs suspended": (_go_stale, demand_freshness.suspend_stale),
}


def run(*, due: int, posts: int, seed: int) -> None:
    with aged.world("due", needs=due * 3, offers=due * 3, seed=seed):
        alone = aged.needs_a_second(seed, posts)
        row("matching alone, needs a second", f"{alone:,.1f}")
        for kind, (make_due, _batch) in KINDS.items():
            number = make_due()
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE demands_demand, matching_match")
            connection.close()  # a fork must not share it
            connection.close_pool()  # type: ignore[attr-defined]  # of PostgreSQL alone
            began = time.monotonic()
            with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("fork")) as others:
                ends = [others.submit(_drain, kind) for _ in range(PROCESSES)]
                beside = []
                while not all(end.done() for end in ends):
                    beside.append(aged.needs_a_second(seed, posts))
                took = max(end.result()[0] for end in ends) - began
                computed = sum(end.result()[1] for end in ends)
            rows, minutes = GOAL
            share = sum(beside) / len(beside) / alone
            all_in = took / number * rows / 60
            missed = " MISSED" if all_in > minutes or share < MOST_SLOWED else ""
            row(
                f"{number:,} {kind}, by {PROCESSES} processes",
                f"{number / took:,.0f} a second",
                f"{computed / number * 1000:.1f} ms of Python each; {rows:,} in {all_in:.1f} min;"
                f" matching at {share:.2f} of its speed{missed}",
            )


def _drain(kind: str) -> tuple[float, float]:
    """Batch by batch until none is due: the time of the last one, and the processor time of all."""
    logging.disable(logging.WARNING)  # there are no coordinators but in a few regions
    _make_due, batch = KINDS[kind]
    began = time.process_time()
    while batch():
        pass
    return time.monotonic(), time.process_time() - began
