"""The micro-batch: allocate contested items as a whole, and change unanswered holds where that is worth it."""

import datetime as dt
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import structlog
from django.db import transaction
from django.utils import timezone

from apps.matching import notices
from apps.matching.contests.claims import Claim, ClaimLost, claim_next, note_contested
from apps.matching.explanation import shortfalls
from apps.matching.holds.differences import BatchSize, changes, differing, write_change
from apps.matching.holds.plans import Done
from apps.matching.loading import Contest, load_contest, load_rules
from apps.matching.scoring.facts import Rules
from apps.policy.models import Policy

if TYPE_CHECKING:  # numpy stays out of processes that allocate nothing
    from apps.matching.allocation.outcome import Solution

log = structlog.get_logger(__name__)

SECONDS: Final = 20.0
# The shares of the budget after which the plan is not improved, and not filled up any more. Writing needs the rest.
_SOLVE_UNTIL: Final = 0.4
_FILL_UNTIL: Final = 0.5
_WRITING: Final = 0.2  # the share of it that is always left for writing, so that a slow machine makes progress, too
_JUDGED_AT_ONCE: Final = 500  # needs whose shortfalls are noted in one transaction


class _Budget:
    """The seconds that one group may take, from its claim to its last write."""

    def __init__(self, seconds: float) -> None:
        self._began, self._seconds = time.monotonic(), seconds

    def is_spent(self, share: float = 1) -> bool:
        return self.used > self._seconds * share

    def leave(self, share: float) -> None:
        """Have at least this share of it left from now on."""
        self._seconds = max(self._seconds, self.used + self._seconds * share)

    @property
    def used(self) -> float:
        return time.monotonic() - self._began


def reallocate(*, now: dt.datetime | None = None, seconds: float = SECONDS) -> Done:
    """Allocate each contested group once, the one that waits longest first. Safe to run twice and side by side.

    `seconds` limits the time that is spent on each group.
    """
    done = Done()
    for _group in range(note_contested()):
        part = allocate_next(now=now, seconds=seconds)
        if part is None:
            break
        done += part
    return done


def allocate_next(*, now: dt.datetime | None = None, seconds: float = SECONDS) -> Done | None:
    """Claim the group that waits longest and allocate it; None if no group waits.

    Within `seconds` it is read, solved and written. What is not written by then is decided again at its next turn.
    """
    claim = claim_next()
    if claim is None:
        return None
    try:
        return _allocate(claim, now or timezone.now(), _Budget(seconds))
    except ClaimLost:
        log.warning("allocation_claim_lost", items=sorted(claim.items))
        return Done()
    finally:
        claim.release()


@contextmanager
def _without_collector() -> Iterator[None]:
    """Needs and sources are a million objects without cycles: the collector would look at them for a quarter of the
    time, and find nothing.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _allocate(claim: Claim, now: dt.datetime, budget: _Budget) -> Done:
    # The solver is slow to import, and only the workers of the micro-batch need it.
    from apps.matching.allocation.contested import Effort, market_of, solve_market
    from apps.matching.allocation.outcome import Method, report_of

    rules, policy = load_rules(), Policy.objects.current()
    effort = Effort(
        lambda: budget.is_spent(_SOLVE_UNTIL), lambda: budget.is_spent(_FILL_UNTIL), fill_first=claim.goes_on
    )
    with _without_collector():
        contest = load_contest(claim.items, now, policy.values, slice_=claim.slice)
        claim.renew()
        market = market_of(contest.needs, contest.sources, rules, policy=policy.values, now=now, held=contest.asked)
        solution = solve_market(market, effort, contest.asked)
    claim.renew()
    report, solved = report_of(solution), budget.used
    done, left = _write(solution, contest, claim, rules, policy, now, budget)
    is_settled = solution.is_filled and not (left or done)
    claim.note_turn(gap=None if solution.method is Method.FILL else report.gap, holds_left=left, is_settled=is_settled)
    log.info(
        "reallocated",
        items=sorted(claim.items),
        changed=done.held,
        left=left,
        filled=solution.is_filled,
        solved_seconds=round(solved, 1),
        seconds=round(budget.used, 1),
        **asdict(report),
    )
    notices.notify_withdrawn()
    return done


def _write(
    solution: "Solution",
    contest: Contest,
    claim: Claim,
    rules: Rules,
    policy: Policy,
    now: dt.datetime,
    budget: _Budget,
) -> tuple[Done, int]:
    """Write the plan, the first needs first, until the budget is spent. Also returns how many holds were left."""
    from apps.matching.allocation.outcome import plan_of, shortages_of

    shortages, planned = shortages_of(solution), solution.planned()
    left = len(differing(planned, contest))
    done, size = Done(), BatchSize()
    budget.leave(_WRITING)
    for change in changes(planned, contest, size):
        if budget.is_spent():
            return done, left
        plan = plan_of(solution, rules, shortages, change.needs)
        began = time.monotonic()
        with transaction.atomic():
            # The claim is renewed and the plan is written together, so only the owner of the group writes.
            claim.renew()
            done += write_change(change, plan, contest, policy, now)
        size.adapt(time.monotonic() - began)
        left -= len(change.new)
    # Why a need got no more is known only where all that was free was looked at.
    if not solution.is_filled:
        return done, left
    open_needs = sorted(contest.accepted)
    for start in range(0, len(open_needs), _JUDGED_AT_ONCE):
        if budget.is_spent():
            break
        some = open_needs[start : start + _JUDGED_AT_ONCE]
        shortfalls.note((shortages[pk] for pk in some if pk in shortages), some, policy, now)
    return done, 0
