"""What is asked in a market with history costs what is to be done, and not what was done: rows read, never time."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
from django.db import connection
from django.db.models import Count
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from apps.accounts.admin import pages
from apps.accounts.models import Membership, Organisation, User
from apps.accounts.permissions import OrganisationKind
from apps.core.models import AuditEntry, first_keys
from apps.demands.models import Demand
from apps.fulfilment.models import Order
from apps.matching import services as matching
from apps.matching.exclusions import not_to_be_asked
from apps.matching.loading import need_of
from apps.matching.models import GENERAL_REASONS, Match
from apps.notifications import services as notifications
from apps.notifications.models import Message, Notification
from apps.notifications.services import KEEP_NOTIFICATIONS, KEEP_SENT
from apps.ops import metrics
from apps.policy.models import Policy
from apps.portal import navigation, paging
from apps.portal.views.desk.queues import QUEUES
from tests.benchmarks import aged_world
from tests.plans import rows_read

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("world")]


@pytest.fixture(scope="module")
def world(reference_data: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """2,000 needs with 4,000 matches and 1,300 orders, at rest."""
    with django_db_blocker.unblock():
        aged_world.build(needs=2_000, offers=2_000, seed=7)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        yield


def test_a_sweep_with_nothing_to_do_reads_next_to_nothing() -> None:
    # So few organisations are read as a whole. Their queue is a partial index.
    assert rows_read(matching.sweep) < Organisation.objects.count() + 10


def test_what_noes_say_is_read_without_all_that_their_suppliers_offer() -> None:
    noes = Match.objects.filter(state="declined", decline_reason__in=GENERAL_REASONS)
    wanted = noes.values("demand__item").annotate(number=Count("pk")).order_by("-number")[0]
    policy = Policy.objects.current().values
    demand = Demand.objects.open().filter(item=wanted["demand__item"]).shown()[0]
    need = need_of(demand, policy, remaining=demand.target)

    # Each no with its need, its offer and that one's supplier, and the places and goods of those about this item.
    assert rows_read(partial(not_to_be_asked, [need])) < 3 * noes.count() + 10 * wanted["number"]


def test_a_purge_reads_what_it_deletes_and_little_else() -> None:
    sent = Message.objects.filter(state="sent").order_by("sent_at")
    seen = Notification.objects.order_by("pk")
    assert min(sent.count(), seen.count()) > 3_000

    assert rows_read(notifications.purge) < Message.objects.failed().count() + 10
    for row, over in ((sent[99].sent_at, KEEP_SENT), (seen[99].created_at, KEEP_NOTIFICATIONS)):
        assert row
        assert rows_read(partial(notifications.purge, now=row + over)) < 1_000


def person(kind: str) -> User:
    """A manager of an organisation of this kind that is neither the largest nor the smallest."""
    of_kind = Organisation.objects.verified().filter(kind=kind).order_by("pk")
    return Membership.objects.get(organisation=of_kind[of_kind.count() // 3], role="manager").user


@pytest.mark.parametrize("kind", [OrganisationKind.HOSPITAL, OrganisationKind.SUPPLIER])
@pytest.mark.parametrize("model", [Order, Match])
def test_lists_of_ones_own_show_what_may_be_seen_and_read_little_else(
    kind: str, model: type[Order] | type[Match]
) -> None:
    user = person(kind)
    seen = set(model.objects.visible_to(user))
    assert 0 < len(seen) < model.objects.count() / 10

    listed = model.objects.listed_for(user).order_by("-pk")
    assert first_keys(listed, len(seen) + 1) == sorted((row.pk for row in seen), reverse=True)
    assert rows_read(lambda: first_keys(listed, 26)) < 10 * len(seen) + 100


@pytest.mark.parametrize("kind", [OrganisationKind.HOSPITAL, OrganisationKind.SUPPLIER])
def test_the_page_of_orders_reads_the_orders_of_one_organisation(client: Client, kind: str) -> None:
    user = person(kind)
    client.force_login(user)
    own = Order.objects.visible_to(user).count()

    assert rows_read(lambda: client.get("/orders/")) < 40 * own + 300


def test_what_waits_is_counted_on_every_page_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    suppliers = Match.objects.awaiting_answer(timezone.now()).values("offer__organisation")
    largest = suppliers.annotate(number=Count("pk")).order_by("-number")[0]
    user = Membership.objects.get(organisation=largest["offer__organisation"], role="manager").user
    assert navigation.waiting_matches(user) == largest["number"] > 4

    monkeypatch.setattr(navigation, "MOST_COUNTED", 3)
    waiting = navigation.waiting_matches(user)
    assert waiting == 4
    assert navigation.Link("To answer", "/inbox/", waiting).badge == "3+"


def everything_is_stuck() -> None:
    Demand.objects.open().update(escalation_level=1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE demands_demand")


@pytest.mark.parametrize(
    ("name", "place", "index"),
    [
        ("escalated", "CN", "demand_most_pressing"),
        ("offers", "CN", "offer_unanswered"),
    ],
)
def test_a_queue_of_the_desk_is_read_by_its_index(name: str, place: str, index: str) -> None:
    user = (
        Membership.objects.filter(organisation__kind="coordinator", organisation__region=place).order_by("pk")[0].user
    )
    rows = QUEUES[name].rows(user, timezone.now())
    everything_is_stuck()

    def read() -> int:
        return rows_read(lambda: list(rows.values_list("pk")[:26]))

    assert rows.count() > 0
    by_index = read()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {index}")
    assert by_index * 2 < read()


def test_the_last_page_of_stuck_needs_reads_as_little_as_the_first() -> None:
    user = Membership.objects.filter(organisation__kind="coordinator", organisation__region="CN").order_by("pk")[0].user
    rows = QUEUES["escalated"].rows(user, timezone.now())
    everything_is_stuck()
    keys = list(rows.values_list("pk", flat=True))
    assert len(keys) > 100

    def read(after: int | None) -> int:
        request = RequestFactory().get("/", {} if after is None else {"after": after})
        return rows_read(lambda: paging.in_order(request, rows))

    assert paging.in_order(RequestFactory().get("/", {"after": keys[-4]}), rows).rows == list(rows[len(keys) - 3 :])
    assert read(keys[-4]) <= read(None) + 1


def test_a_partners_page_reads_kept_sums_and_the_first_that_are_stuck(client: Client) -> None:
    user = Membership.objects.get(organisation__kind="government", organisation__region="420000", role="manager").user
    client.force_login(user)
    first = client.get("/partner/")  # counts
    assert first.context["stuck"].next_url

    # What is counted is every need with its matches and orders.
    assert rows_read(lambda: client.get("/partner/")) < Demand.objects.count()


def test_the_last_page_of_messages_reads_as_little_as_the_first(client: Client) -> None:
    told = Notification.objects.values("user").annotate(number=Count("pk")).order_by("-number")[0]
    assert told["number"] > 200
    user = User.objects.get(pk=told["user"])
    client.force_login(user)
    almost_last = Notification.objects.filter(user=user).order_by("pk")[3].pk

    first = rows_read(lambda: client.get("/notifications/"))
    assert rows_read(lambda: client.get(f"/notifications/?after={almost_last}")) <= first
    assert len(client.get(f"/notifications/?after={almost_last}").context["lines"]) == 3


def test_metrics_of_a_large_market_read_no_history(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def counts() -> list[str]:
        counted = r"^cosmomatch_(?:demands|offers|matches|orders|messages){.* [1-9].*$"
        return sorted(re.findall(counted, client.get("/metrics").text, re.MULTILINE))

    counted = counts()
    monkeypatch.setattr(metrics, "MOST_COUNTED", 1_000)
    # The statistics of so few rows are of all of them.
    assert counts() == counted
    assert rows_read(lambda: client.get("/metrics")) < Message.objects.count() / 2


def test_the_trail_of_a_need_reads_its_own_entries_and_not_the_whole_trail(client: Client) -> None:
    seen = AuditEntry.objects.filter(event="contact.seen").order_by("pk")[0]
    match = Match.objects.select_related("demand").get(pk=seen.target_id)
    client.force_login(Membership.objects.get(organisation=match.demand.organisation_id, role="manager").user)

    def look() -> int:
        return len(client.get(f"/needs/{match.demand_id}/trail/").context["lines"])

    assert look() > 0
    assert rows_read(look) < AuditEntry.objects.count() / 4


@pytest.mark.parametrize("path", ["matching/match", "core/auditentry", "notifications/message"])
def test_the_back_office_counts_and_reads_the_first_of_a_list(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(pages, "MOST_LISTED", 200)
    found = admin_client.get(f"/admin/{path}/").context["cl"]
    assert (found.result_count, len(found.result_list)) == (200, 100)

    assert rows_read(lambda: admin_client.get(f"/admin/{path}/")) < 2_000


def test_a_search_in_the_back_office_reads_one_field_after_the_other(admin_client: Client) -> None:
    one = Match.objects.select_related("demand__organisation").order_by("pk")[0]
    address = f"/admin/matching/match/?q={one.demand.organisation.name}"

    found = admin_client.get(address).context["cl"].queryset
    assert set(found) == set(Match.objects.filter(demand__organisation=one.demand.organisation))
    assert rows_read(lambda: admin_client.get(address)) < 3 * Match.objects.count()
