"""The verbs of simulation: request a replay of the last days, run what is due, delete old ones.

Only this module writes `Replay` and `ReplayedNeed`.
"""

import datetime as dt
import time
from collections.abc import Sequence
from typing import Final

import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.core import audit
from apps.core.retention import delete_in_batches
from apps.core.states import move
from apps.matching.loading import load_rules
from apps.matching.models import Replay, ReplayedNeed, ReplayState
from apps.matching.scoring.facts import Rules
from apps.matching.simulation.history import items_posted, load_history, posted_between
from apps.matching.simulation.replay import MOST_TOGETHER, Allotment, add_up, differences, replay, totals
from apps.policy import services as policies
from apps.policy.models import BUILT_IN, Policy, PolicyDraft
from apps.policy.values import PolicyValues

log = structlog.get_logger(__name__)

DAYS: Final = 7
# Only the newest needs are replayed. These limits keep a group of items under two minutes, where a task may run for
# three and a half.
MOST_NEEDS: Final = 2_000
MOST_PAIRS: Final = 2_500_000
# A worker that dies or is stopped loses its claim after this long, which is more than a task may run. Its group is
# tried again with a quarter of the pairs, and then a quarter of those.
LEASE: Final = dt.timedelta(minutes=5)
ATTEMPTS: Final = 3
LESS: Final = 4
# How long replays and discarded drafts are kept.
KEEP: Final = dt.timedelta(days=90)


@transaction.atomic
def request_replay(draft: PolicyDraft, *, by: User, days: int = DAYS, now: dt.datetime | None = None) -> Replay:
    """Queue a replay of the last days under the policy in force and under this draft. Asked twice, it is queued once.

    Raises `RuleViolation` as `policy.services.lock_draft` does, where the draft is not open any more.
    """
    now = now or timezone.now()
    draft = policies.lock_draft(draft)
    current = Policy.objects.current()
    same = Replay.objects.filter(draft=draft, settings=draft.settings, policy_version=current.version)
    # The draft is locked, so two clicks cannot both find nothing.
    present = same.filter(state__in=[ReplayState.WAITING, ReplayState.RUNNING]).first()
    if present is not None:
        return present
    asked = Replay.objects.create(
        draft=draft,
        settings=draft.settings,
        policy_version=current.version,
        requested_by=by,
        since=now - dt.timedelta(days=days),
        until=now,
    )
    audit.record(by, "policy.replay_asked", draft, replay=asked.pk)
    return asked


def replay_due(*, seconds: float = 20, now: dt.datetime | None = None) -> bool:
    """Claim a replay and work on it for about `seconds`, group by group. Returns whether there is more to do.

    Safe to run twice and side by side: a group is kept by the worker that still holds the claim.
    """
    claimed = _claim(now or timezone.now())
    if claimed is None:
        return False
    rules, end = load_rules(), time.monotonic() + seconds
    if claimed.groups is None:
        _plan(claimed, rules)
    compared = values_of(claimed.policy_version), PolicyValues.from_json(claimed.settings)
    while claimed.groups_done < claimed.groups_in_all:
        if time.monotonic() > end:
            # Only while the claim is still ours. Time that ran out is no failed attempt.
            mine = Replay.objects.filter(pk=claimed.pk, claimed_until=claimed.claimed_until)
            mine.update(claimed_until=None, attempts=0)
            return True
        if not _replay_group(claimed, rules, *compared):
            return True  # somebody else has it by now
    move(claimed, ReplayState.DONE, claimed_until=None)
    return Replay.objects.due(timezone.now()).exists()


@transaction.atomic
def _claim(now: dt.datetime) -> Replay | None:
    due = Replay.objects.due(now).select_for_update(skip_locked=True, no_key=True).order_by("pk")
    while (found := due.first()) is not None:
        # Each claim counts as an attempt beforehand: a worker that is killed cannot count its own failure.
        if found.attempts < ATTEMPTS:
            facts = {"claimed_until": now + LEASE, "attempts": found.attempts + 1}
            Replay.objects.filter(pk=found.pk).update(state=ReplayState.RUNNING, **facts)
            return Replay.objects.get(pk=found.pk)
        log.error("replay_failed", replay=found.pk, attempts=found.attempts)
        move(found, ReplayState.FAILED, claimed_until=None)
    return None


def values_of(version: int) -> PolicyValues:
    """The values of a version of the policy, which is never deleted."""
    policy = Policy.objects.filter(version=version).first()
    assert policy is not None or version == BUILT_IN, "a version is never deleted"
    return policy.values if policy else PolicyValues()


def _plan(claimed: Replay, rules: Rules) -> None:
    """Divide the items into groups, and move the beginning so that at most the newest `MOST_NEEDS` are replayed."""
    needs = posted_between(claimed.since, claimed.until)
    newest = needs.order_by("-opened_at").values_list("opened_at", flat=True)
    oldest = list(newest[MOST_NEEDS - 1 : MOST_NEEDS])
    if oldest and oldest[0] is not None and needs.filter(opened_at__lt=oldest[0]).exists():
        claimed.left_out = needs.filter(opened_at__lt=oldest[0]).count()
        claimed.since = oldest[0]
    claimed.groups = items_posted(posted_between(claimed.since, claimed.until), rules)
    claimed.save(update_fields=["since", "groups", "left_out"])


def _replay_group(claimed: Replay, rules: Rules, in_force: PolicyValues, draft: PolicyValues) -> bool:
    """Replay the next group under both policies and keep the result; False if another worker did meanwhile."""
    most_pairs = MOST_PAIRS // LESS ** (claimed.attempts - 1)
    history, left_out = load_history(
        claimed.groups[claimed.groups_done], claimed.since, claimed.until, in_force, most_pairs=most_pairs
    )
    before, after = (replay(history, rules, policy=policy, most_together=MOST_TOGETHER) for policy in (in_force, draft))
    otherwise = differences(before.served, after.served)
    kept = claimed.totals or {}
    sums = {
        name: add_up(kept.get(name, {}), totals(history.posted, replayed.served))
        for name, replayed in (("before", before), ("after", after))
    }
    facts = {
        "groups_done": claimed.groups_done + 1,
        "needs": claimed.needs + len(history.posted),
        "left_out": claimed.left_out + left_out,
        "apart": claimed.apart + max(before.apart, after.apart),
        "differing": claimed.differing + len(otherwise),
        "totals": sums,
        "attempts": 1,
        "claimed_until": timezone.now() + LEASE,
    }
    with transaction.atomic():
        # An optimistic conditional UPDATE: the result counts only if nobody has taken the claim or replayed the group.
        as_claimed = {"groups_done": claimed.groups_done, "claimed_until": claimed.claimed_until}
        if not Replay.objects.filter(pk=claimed.pk, state=ReplayState.RUNNING, **as_claimed).update(**facts):
            return False
        ReplayedNeed.objects.bulk_create(
            ReplayedNeed(
                replay=claimed,
                demand_id=need_id,
                before=_kept(before.served[need_id]),
                after=_kept(after.served[need_id]),
            )
            for need_id in otherwise
        )
    for name, value in facts.items():
        setattr(claimed, name, value)
    return True


def purge(*, now: dt.datetime | None = None) -> dict[str, int]:
    """Delete replays and discarded drafts that are older than `KEEP`. Returns how many of each."""
    before = (now or timezone.now()) - KEEP
    replays = delete_in_batches(Replay.objects.over().filter(updated_at__lt=before).order_by("pk"), batch=100)
    return {"replays": replays, "drafts": policies.forget_discarded(before=before)}


def _kept(parts: Sequence[Allotment]) -> list[list[float]]:
    return [[part.source_id, part.quantity, part.hours] for part in parts]
