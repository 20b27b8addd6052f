"""Why needs got less than they want, written by sweeps and the micro-batch at once."""

import datetime as dt
import threading
from collections.abc import Sequence

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.demands.models import Demand
from apps.matching import services as matching
from apps.matching import shortfalls
from apps.matching.models import Match, Shortfall
from apps.matching.verdicts import Because, Verdict
from apps.matching.wording import explain
from apps.policy.models import Policy
from tests.factories import DemandFactory, OfferFactory, OrganisationFactory

pytestmark = pytest.mark.django_db(transaction=True)
TURNS = 20


def test_of_two_writers_who_forget_what_the_other_keeps_one_comes_after_the_other() -> None:
    demands = [DemandFactory.create(quantity=100) for _i in range(12)]
    policy = Policy.objects.current()
    faults: list[BaseException] = []
    together = threading.Barrier(2, timeout=30)

    def note(short: Sequence[Demand], given: int) -> None:
        told = [Verdict(demand.pk, given, 100, Because.EXHAUSTED) for demand in short]
        with transaction.atomic():
            shortfalls.note(told, demands, policy, timezone.now())

    def write(kept: Sequence[Demand], is_first: bool) -> None:
        try:
            for turn in range(TURNS):
                if is_first:
                    note(demands, 2 * turn)
                together.wait()
                note(kept, 2 * turn + 1)
                together.wait()
        except BaseException as fault:  # noqa: BLE001  a thread has nobody to raise to
            faults.append(fault)
            together.abort()
        finally:
            connection.close()

    halves = (demands[:6], demands[6:])
    writers = [threading.Thread(target=write, args=(half, place == 0)) for place, half in enumerate(halves)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    assert faults == []
    kept = set(Shortfall.objects.values_list("demand_id", flat=True))
    assert kept in [{demand.pk for demand in half} for half in halves]


def test_a_shortfall_counts_others_by_their_tier_after_ageing() -> None:
    DemandFactory.create(quantity=4000, queued=True)
    OfferFactory.create(quantity=4000, queued=True)
    matching.sweep()
    aged = DemandFactory.create(
        organisation=OrganisationFactory.create(kind="community"),
        opened_at=timezone.now() - dt.timedelta(days=3),
        queued=True,
    )
    OfferFactory.create(quantity=100, queued=True)
    matching.sweep()

    row = Shortfall.objects.get(demand=aged)
    assert (row.others, row.above) == (1, 0)


def test_a_request_says_why_its_need_was_given_no_more() -> None:
    first = DemandFactory.create(quantity=600, queued=True)
    DemandFactory.create(quantity=700, item=first.item, queued=True)
    OfferFactory.create(item=first.item, quantity=1000, queued=True)
    matching.sweep()

    match = Match.objects.get(demand=first)
    [share] = [reason for reason in explain(match.terms) if reason["term"] == "share"]

    assert share["value"] == {"given": 500, "wanting": 600, "because": "shared", "others": 1, "above": 0}
    assert share["text"] == "500 of 600 could be asked for: it is shared with 1 other need of the same priority."
