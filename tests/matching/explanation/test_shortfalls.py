"""Why needs got less than they want: what is kept, read and forgotten, also by sweeps and the micro-batch at once."""

import datetime as dt
import threading
from collections.abc import Callable, Sequence

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.demands.models import Demand
from apps.demands.services import cancel_demand
from apps.matching import services as matching
from apps.matching.allocation.shortage import Shortage
from apps.matching.explanation import shortfalls
from apps.matching.explanation.wording import explain
from apps.matching.models import Match, Shortfall
from apps.matching.scoring.eligibility import Reason
from apps.policy.models import Policy
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, OrganisationFactory

pytestmark = pytest.mark.django_db(transaction=True)
TURNS = 20


@pytest.fixture
def mask(db: None) -> Item:
    return ItemFactory.create()


def told_of(demand: Demand) -> tuple[int, int, str, int, int] | None:
    row = Shortfall.objects.filter(demand=demand).first()
    return (row.given, row.wanting, row.because, row.others, row.above) if row else None


@pytest.mark.parametrize("decide", [matching.match_due, matching.reallocate])
def test_a_need_given_nothing_reads_who_went_first_until_it_is_met(mask: Item, decide: Callable[[], object]) -> None:
    offer = OfferFactory.create(item=mask, quantity=1000)
    hospital = DemandFactory.create(item=mask, quantity=1000)
    match = MatchFactory.create(demand=hospital, offer=offer, quantity=1000)
    spare = OfferFactory.create(item=mask, quantity=100)
    demand = DemandFactory.create(
        item=mask, organisation=OrganisationFactory.create(kind="enterprise"), quantity=800, queued=True
    )

    decide()
    given = demand.pk in Match.objects.held().values_list("demand_id", flat=True)
    assert told_of(demand) == ((100, 800, "higher", 0, 1) if given else (0, 800, "higher", 0, 1))
    assert told_of(hospital) is None

    matching.decline(match, by=None, reason="other")
    OfferFactory.create(item=mask, quantity=9000, queued=True)
    matching.sweep()
    demand.refresh_from_db()
    assert (demand.quantity_held, told_of(demand)) == (800, None)
    assert spare.pk


def test_a_need_that_ends_has_no_shortfall(mask: Item, buyer: User) -> None:
    OfferFactory.create(item=mask, quantity=100)
    demand = DemandFactory.create(item=mask, queued=True)
    matching.sweep()
    assert told_of(demand) == (100, 1000, "exhausted", 0, 0)

    demand.refresh_from_db()
    cancel_demand(demand, by=buyer)
    matching.sweep()

    assert told_of(demand) is None


def test_a_shortfall_is_read_on_the_page_of_the_need(
    client: Client, mask: Item, hospital: Organisation, buyer: User
) -> None:
    demand = DemandFactory.create(item=mask, organisation=hospital)
    Shortfall.objects.create(
        demand=demand, given=0, wanting=1000, because="higher", others=0, above=12, policy_version=1,
        decided_at=timezone.now(),
    )  # fmt: skip
    client.force_login(buyer)

    page = client.get(f"/needs/{demand.pk}/").content.decode()

    text = "None of the 1,000 that are needed could be asked for: 12 needs of higher priority were served first."
    assert text in page


def test_what_is_decided_again_with_the_same_result_is_not_written_again(mask: Item) -> None:
    offer = OfferFactory.create(item=mask, quantity=1000)
    MatchFactory.create(demand=DemandFactory.create(item=mask, quantity=1000), offer=offer, quantity=1000)
    demand = DemandFactory.create(item=mask, organisation=OrganisationFactory.create(kind="enterprise"), queued=True)
    matching.sweep()
    before = Shortfall.objects.get(demand=demand)

    for step in (matching.reallocate, matching.sweep):
        Demand.objects.filter(pk=demand.pk).update(match_requested_at=timezone.now())
        step()

    after = Shortfall.objects.get(demand=demand)
    assert (after.verdict, after.decided_at) == (before.verdict, before.decided_at)


def test_of_what_was_decided_and_not_carried_out_nothing_is_kept(mask: Item) -> None:
    demand = DemandFactory.create(item=mask, quantity=1000)
    MatchFactory.create(demand=demand, offer=OfferFactory.create(item=mask), quantity=300)
    policy, now = Policy.objects.current(), timezone.now()

    shortfalls.note([Shortage(demand.pk, 300, 1000, Reason.SHARED, 2)], [demand.pk], policy, now)
    shortfalls.note([Shortage(demand.pk, 0, 1000, Reason.HIGHER, 0, 5)], [demand.pk], policy, now)

    assert told_of(demand) == (300, 1000, "shared", 2, 0)


def test_of_two_writers_of_shortfalls_one_comes_after_the_other() -> None:
    demands = [DemandFactory.create(quantity=100) for _i in range(12)]
    policy = Policy.objects.current()
    faults: list[BaseException] = []
    together = threading.Barrier(2, timeout=30)

    def note(short: Sequence[Demand], given: int) -> None:
        told = [Shortage(demand.pk, given, 100 + given, Reason.EXHAUSTED) for demand in short]
        with transaction.atomic():
            shortfalls.note(told, [demand.pk for demand in demands], policy, timezone.now())

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
