"""Which groups of items are contested, and which worker has which. Rows are the queue (decision 0005)."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import OrganisationState
from apps.demands.models import Demand
from apps.matching.loading import linked_items, load_rules
from apps.matching.models import ContestedItem, Match
from apps.matching.scoring.facts import Rules

# A worker that has not renewed its claim for so long is dead. It renews between any two steps.
LEASE: Final = dt.timedelta(seconds=60)


class ClaimLost(Exception):
    """The claim ran out before its worker was done: another one may have the group."""


@dataclass
class Claim:
    """A group of items that this worker may change until a time. The time names its owner, as nobody else has it."""

    items: frozenset[int]
    until: dt.datetime
    slice: int  # which needs a turn reads, where they are too many for one
    goes_on: bool  # the turn before had no time to write all that it had decided

    @transaction.atomic
    def renew(self) -> None:
        """Keep the group for another lease. The rows stay locked until the caller's transaction ends.

        So whoever writes in the same transaction writes as the only owner. Raises `ClaimLost`.
        """
        rows = ContestedItem.objects.filter(pk__in=self.items, claimed_until=self.until)
        ours = list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
        if len(ours) < len(self.items):
            raise ClaimLost(sorted(self.items))
        until = timezone.now() + LEASE
        ContestedItem.objects.filter(pk__in=ours).update(claimed_until=until)
        self.until = until

    def note_turn(self, *, gap: float | None, holds_left: int, is_settled: bool) -> None:
        """Keep what a turn came to, for the back office and for whoever goes on with what it left.

        The next slice comes once this one is settled. Else later needs would get what earlier ones still lack.
        """
        ours = ContestedItem.objects.filter(pk__in=self.items, claimed_until=self.until)
        following = self.slice + 1 if is_settled else self.slice
        ours.update(last_turn_at=timezone.now(), holds_left=holds_left, slice=following)
        if gap is not None:
            ours.update(gap=gap)

    def release(self) -> None:
        """Let others have the group, if it is still ours."""
        ContestedItem.objects.filter(pk__in=self.items, claimed_until=self.until).update(claimed_until=None)


def note_contested() -> int:
    """Write down which items are contested now. Returns how many groups wait for a worker."""
    now = timezone.now()
    group_of = {item: min(items) for items in _contested(load_rules()) for item in items}
    with transaction.atomic():
        # Whoever has a claim needs its rows until it is done. The next run puts them right.
        unclaimed = ContestedItem.objects.unclaimed(now).select_for_update(skip_locked=True, no_key=True)
        known = dict(unclaimed.order_by("pk").values_list("pk", "group"))
        ContestedItem.objects.filter(pk__in=known.keys() - group_of.keys()).delete()
        for item in known.keys() & group_of.keys():
            if known[item] != group_of[item]:
                ContestedItem.objects.filter(pk=item).update(group=group_of[item])
        new = sorted(group_of.keys() - known.keys())
        ContestedItem.objects.bulk_create(
            (ContestedItem(pk=item, group=group_of[item], waiting_since=now) for item in new), ignore_conflicts=True
        )
    return len(ContestedItem.objects.groups_to_allocate(now))


def claim_next() -> Claim | None:
    """Claim all items of the group that waits longest; None where no group waits."""
    now = timezone.now()
    for group in ContestedItem.objects.groups_to_allocate(now):
        if claim := _claim(group, now):
            return claim
    return None


@transaction.atomic
def _claim(group: int, now: dt.datetime) -> Claim | None:
    """All items of a group, or None where somebody else has or takes one of them."""
    rows = ContestedItem.objects.filter(group=group)
    free = rows.unclaimed(now).select_for_update(skip_locked=True, no_key=True)
    claimed = {item.pk: item for item in free.order_by("pk")}
    if not claimed or rows.exclude(pk__in=claimed).exists():
        return None
    until = timezone.now() + LEASE
    rows.filter(pk__in=claimed).update(claimed_until=until, waiting_since=now)
    # An item that has just joined the group begins with the first needs.
    first = min(item.slice for item in claimed.values())
    return Claim(frozenset(claimed), until, first, any(item.holds_left for item in claimed.values()))


def _contested(rules: Rules) -> Iterator[set[int]]:
    """Items linked by substitutes that somebody accepts, where somebody is short while others wait for an answer."""
    opened = Demand.objects.open().filter(organisation__state=OrganisationState.VERIFIED)
    short = set(opened.short().values_list("item_id", flat=True).order_by().distinct())
    waiting = set(Match.objects.held().values_list("demand__item_id", flat=True).order_by().distinct())
    for linked in linked_items(opened, rules):
        if linked & short and linked & waiting:
            yield linked
