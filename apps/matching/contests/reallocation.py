"""The micro-batch: allocate contested items as a whole, and change unanswered holds where that is worth it."""

import datetime as dt
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import structlog
from django.db import transaction
from django.utils import timezone

from apps.matching import notices
from apps.matching.contests.claims import Claim, ClaimLost, claim_next, note_contested
from apps.matching.explanation import shortfalls
from apps.matching.holds.differences import changes, write_change
from apps.matching.holds.plans import Done
from apps.matching.loading import Contest, load_contest, load_rules
from apps.matching.scoring.facts import Rules
from apps.policy.models import Policy

if TYPE_CHECKING:  # numpy stays out of processes that allocate nothing
    from apps.matching.allocation.outcome import Solution

log = structlog.get_logger(__name__)

SECONDS: Final = 20.0
# The share of the budget after which the plan is not improved any more. Rounding and writing need the rest.
_SOLVE_UNTIL: Final = 0.4
_JUDGED_AT_ONCE: Final = 500  # needs whose shortfalls are noted in one transaction


class _Budget:
    """The seconds that one group may take, from its claim to its last write."""

    def __init__(self, seconds: float) -> None:
        self._began, self._seconds = time.monotonic(), seconds

    def is_spent(self, share: float = 1) -> bool:
        return self.used > self._seconds * share

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


def _allocate(claim: Claim, now: dt.datetime, budget: _Budget) -> Done:
    # The solver is slow to import, and only the workers of the micro-batch need it.
    from apps.matching.allocation.contested import Effort, market_of, solve_market
    from apps.matching.allocation.outcome import report_of

    rules, policy = load_rules(), Policy.objects.current()
    contest = load_contest(claim.items, now, policy.values)
    claim.renew()
    market = market_of(contest.needs, contest.sources, rules, policy=policy.values, now=now, held=contest.asked)
    solution = solve_market(market, Effort(lambda: budget.is_spent(_SOLVE_UNTIL)), contest.asked)
    claim.renew()
    report, solved = report_of(solution), budget.used
    done, left = _write(solution, contest, claim, rules, policy, now, budget)
    log.info(
        "reallocated",
        items=sorted(claim.items),
        changed=done.held,
        left=left,
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
    """Write the plan, the first needs first, until the budget is spent. Also returns how many changes were left."""
    from apps.matching.allocation.outcome import plan_of, shortages_of

    shortages = shortages_of(solution)
    todo = list(changes(solution.planned(), contest))
    done = Done()
    for number, change in enumerate(todo):
        if budget.is_spent():
            return done, len(todo) - number
        plan = plan_of(solution, rules, shortages, change.needs)
        with transaction.atomic():
            # The claim is renewed and the plan is written together, so only the owner of the group writes.
            claim.renew()
            done += write_change(change, plan, contest, policy, now)
    open_needs = sorted(contest.accepted)
    for start in range(0, len(open_needs), _JUDGED_AT_ONCE):
        if budget.is_spent():
            break
        some = open_needs[start : start + _JUDGED_AT_ONCE]
        shortfalls.note((shortages[pk] for pk in some if pk in shortages), some, policy, now)
    return done, 0
