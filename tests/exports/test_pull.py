import csv
import datetime as dt
import http.client
import io
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import OrganisationKind
from apps.accounts.services import issue_token
from apps.core.models import AuditEntry
from apps.demands.models import Demand
from apps.exports import services, spool
from apps.exports.datasets import DATASETS, DEMANDS
from apps.fulfilment.models import Delivery, Order, Shipment
from tests.factories import (
    DemandFactory,
    ItemFactory,
    MatchFactory,
    OfferFactory,
    OrganisationFactory,
    region,
)

pytestmark = pytest.mark.django_db

LONG_NOTE = "x" * 2_000  # the longest


def rows(user: User, dataset: str = "demands", **filters: Any) -> list[dict[str, str]]:
    text = b"".join(services.pull(DATASETS[dataset], user, **filters)).decode()
    return list(csv.DictReader(io.StringIO(text)))


def lines(user: User, dataset: str = "demands", **filters: Any) -> list[dict[str, Any]]:
    text = b"".join(services.pull(DATASETS[dataset], user, form="jsonl", **filters)).decode()
    return [json.loads(line) for line in text.splitlines()]


def test_a_partner_pulls_the_needs_of_its_region_and_no_other(partner: User, far_partner: User) -> None:
    here = DemandFactory.create()
    DemandFactory.create(organisation=OrganisationFactory.create(region=region("110102")))

    assert [row["id"] for row in rows(partner)] == [str(here.pk)]
    assert rows(far_partner) == []


def test_values_are_written_for_programs(partner: User) -> None:
    need = DemandFactory.create(
        quantity=1500, needed_by=dt.datetime(2026, 12, 31, 15, 59, 59, tzinfo=dt.UTC), accepts_substitutes=True, note=""
    )

    (row,) = rows(partner)
    assert (row["quantity"], row["accepts_substitutes"], row["needed_by"], row["standard"], row["region"]) == (
        "1500",
        "true",
        "2026-12-31T15:59:59.000000Z",
        "",
        "420106",
    )
    (line,) = lines(partner)
    assert (line["id"], line["quantity"], line["accepts_substitutes"], line["standard"], line["item"]) == (
        str(need.pk),
        1500,
        True,
        None,
        "mask.surgical",
    )
    assert list(line) == list(row) == [*(column.name for column in DEMANDS.columns), "removed"]


def test_text_that_is_awkward_comes_through_whole(partner: User) -> None:
    awkward = 'two\nlines, "quotes", back\\slash, tab\tand 口罩 😷'
    DemandFactory.create(note=awkward)

    assert rows(partner)[0]["note"] == awkward
    assert lines(partner)[0]["note"] == awkward


def test_drafts_leave_the_house_of_nobody(partner: User, buyer: User, supplier: User) -> None:
    need = DemandFactory.create(organisation=buyer.grants[0].organisation, draft=True)
    offer = OfferFactory.create(organisation=supplier.grants[0].organisation, state="draft")

    assert [rows(partner), rows(partner, "offers")] == [[], []]
    assert [row["id"] for row in rows(buyer)] == [str(need.pk)]
    assert [row["id"] for row in rows(supplier, "offers")] == [str(offer.pk)]


def test_matches_and_orders_name_both_sides_by_id(partner: User) -> None:
    match = MatchFactory.create(state="accepted", responded_at=dt.datetime.now(dt.UTC))
    Order.objects.create(match=match, quantity=match.quantity)
    sides = (match.demand.organisation, match.offer.organisation)

    for dataset in ("matches", "orders"):
        (line,) = lines(partner, dataset)
        assert (line["requester_id"], line["supplier_id"]) == tuple(str(side.pk) for side in sides)
        assert (line["requester"], line["supplier"]) == tuple(side.name for side in sides)


def test_csv_for_excel_begins_with_a_byte_order_mark(client: Client, partner: User) -> None:
    DemandFactory.create(note="口罩")
    client.force_login(partner)

    plain = b"".join(client.get("/api/v1/exports/demands?format=csv"))
    marked = b"".join(client.get("/api/v1/exports/demands?format=csv&excel=1"))
    assert marked == "\ufeff".encode() + plain
    assert b"".join(client.get("/api/v1/exports/demands?format=jsonl&excel=1")).startswith(b"{")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n"])
def test_a_spreadsheet_is_not_given_formulas(partner: User, start: str) -> None:
    DemandFactory.create(note=f"{start}HYPERLINK(1)")

    assert rows(partner)[0]["note"] == f"'{start}HYPERLINK(1)"
    assert lines(partner)[0]["note"] == f"{start}HYPERLINK(1)"


def test_filters_narrow_what_comes(partner: User) -> None:
    mask = DemandFactory.create()
    gown = DemandFactory.create(item=ItemFactory.create(key="gown", name_en="Gown"), state="paused")
    elsewhere = DemandFactory.create(region=region("429004"))

    def ids(**filters: Any) -> set[str]:
        return {row["id"] for row in rows(partner, **filters)}

    assert ids(item=gown.item) == {str(gown.pk)}
    assert ids(region=region("420100")) == {str(mask.pk), str(gown.pk)}
    assert ids(states=("open",)) == {str(mask.pk), str(elsewhere.pk)}
    assert ids(updated_since=elsewhere.created_at + dt.timedelta(days=1)) == set()


def test_changes_are_pulled_to_the_microsecond_and_in_their_order(partner: User) -> None:
    """Whatever the index of changes knows: stamps beside the hours and beside each other."""
    hours = [dt.datetime(2026, 11, 25, hour, tzinfo=dt.UTC) for hour in (5, 4, 3)]
    beside = [dt.timedelta(microseconds=number) for number in (1, -1, 0)]
    needs = [DemandFactory.create(updated_at=hour + step) for hour in hours for step in beside]
    needs.sort(key=lambda need: need.updated_at)

    for index, need in enumerate(needs):
        found = [row["id"] for row in rows(partner, updated_since=need.updated_at)]
        assert found == [str(one.pk) for one in needs[index:]]


def test_a_pull_of_two_parts_has_each_row_once_and_in_order(partner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = [dt.datetime(2026, 11, 25, hour, tzinfo=dt.UTC) for hour in (5, 4, 3, 2)]
    needs = [DemandFactory.create(updated_at=hour) for hour in hours for _need in range(2)]
    expected = [str(need.pk) for need in sorted(needs, key=lambda need: (need.updated_at, need.pk))]

    for first in range(len(needs) + 2):
        monkeypatch.setattr(services, "FIRST_ROWS", first)
        assert [row["id"] for row in rows(partner)] == expected
        assert [row["id"] for row in lines(partner, updated_since=hours[2])] == expected[2:]


def test_no_dataset_holds_a_contact(partner: User) -> None:
    hospital = OrganisationFactory.create(contact_name="Dr Secret", contact_phone="555-0100", contact_email="s@e.org")
    need = DemandFactory.create(organisation=hospital, contact_name="Nurse Secret", contact_phone="555-0101")
    match = MatchFactory.create(demand=need, state="accepted", responded_at=need.created_at)
    order = Order.objects.create(match=match, quantity=match.quantity)
    Shipment.objects.create(order=order, quantity=1, shipped_at=need.created_at)
    Delivery.objects.create(order=order, quantity_accepted=1, received_at=need.created_at)
    OfferFactory.create(organisation=OrganisationFactory.create(kind=OrganisationKind.SUPPLIER))

    for dataset in DATASETS.values():
        text = b"".join(services.pull(dataset, partner)) + b"".join(services.pull(dataset, partner, form="jsonl"))
        assert text.count(b"\n") > 2, dataset.name
        for secret in (b"Secret", b"555-01", b"s@e.org"):
            assert secret not in text, dataset.name


def test_a_token_for_one_region_narrows_the_pull(client: Client, partner: User) -> None:
    DemandFactory.create(region=region("420106"))
    there = DemandFactory.create(region=region("429004"))
    _token, text = issue_token(partner, name="county", scopes=["exports"], region=region("429004"))

    answer = client.get("/api/v1/exports/demands?format=jsonl", headers={"Authorization": f"Bearer {text}"})

    assert [json.loads(line)["id"] for line in b"".join(answer).splitlines()] == [str(there.pk)]


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_pull_costs_the_same_queries_at_every_size(
    partner: User, dataset: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def fill(count: int) -> None:
        for _number in range(count):
            match = MatchFactory.create(state="accepted", responded_at=dt.datetime.now(dt.UTC))
            Order.objects.create(match=match, quantity=match.quantity)

    fill(1)
    rows(partner, dataset)  # reads the memberships once in the life of the user
    for more in (1, 5):
        with django_assert_num_queries(3):  # where to divide, the clock and the trail; the COPY itself is not counted
            rows(partner, dataset)
        fill(more)


def test_what_is_not_there_yet_says_so(client: Client, partner: User) -> None:
    client.force_login(partner)
    for form in ("parquet", "pdf"):
        answer = client.get(f"/api/v1/exports/demands?format={form}")
        assert (answer.status_code, answer.json()["code"]) == (400, "format_not_available")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("region=999999", "region"),
        ("item=nothing", "item"),
        ("item=%00", "item"),
        ("state=asleep", "state"),
        ("updated_since=yesterday", "updated_since"),
        ("updated_since=10000-01-01T00:00:00Z", "updated_since"),
        ("updated_since=2026-01-01T00:00:00", "updated_since"),
    ],
)
def test_a_wrong_filter_is_named(client: Client, partner: User, query: str, field: str) -> None:
    client.force_login(partner)
    answer = client.get(f"/api/v1/exports/demands?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


def test_a_plus_in_the_offset_may_have_become_a_space(client: Client, partner: User) -> None:
    client.force_login(partner)
    assert client.get("/api/v1/exports/demands?updated_since=2026-01-01T08:00:00+08:00").status_code == 200


def test_an_answer_that_nobody_reads_holds_nothing(client: Client, partner: User) -> None:
    """A connection that is copying would hang whoever needs it before the web server takes over, to save a session."""
    client.force_login(partner)
    client.get("/api/v1/exports/demands")
    assert Demand.objects.count() == 0


def test_an_unknown_dataset_is_not_found(client: Client, partner: User) -> None:
    client.force_login(partner)
    assert client.get("/api/v1/exports/secrets").status_code == 404


# What follows needs real transactions.


@pytest.fixture
def other() -> Any:
    """A second connection to the test database."""
    settings = connection.get_connection_params()
    settings.pop("cursor_factory", None)
    settings.pop("context", None)
    settings.pop("prepare_threshold", None)
    with psycopg.connect(**settings) as session:
        yield session


@pytest.mark.django_db(transaction=True)
def test_nothing_is_missed_by_pulling_while_somebody_writes(partner: User, other: Any) -> None:
    """A transaction that began before the pull and ends after it is in the next pull, however old its stamp."""
    need = DemandFactory.create(note="before")
    other.execute("UPDATE demands_demand SET note = 'after' WHERE id = %s", [need.pk])

    first = services.pull(DEMANDS, partner)
    assert b"before" in b"".join(first)
    late = DemandFactory.create(note="late")
    other.commit()

    second = rows(partner, updated_since=first.next_since)
    assert {(row["id"], row["note"]) for row in second} == {(str(need.pk), "after"), (str(late.pk), "late")}


@pytest.mark.django_db(transaction=True)
def test_when_nothing_happens_the_pulls_run_dry(partner: User) -> None:
    DemandFactory.create()
    since = rows_and_since(partner)
    connection.cursor().execute("SELECT pg_sleep(0.25)")

    assert rows(partner, updated_since=rows_and_since(partner, updated_since=since)) == []


def rows_and_since(user: User, **filters: Any) -> dt.datetime:
    begun = services.pull(DEMANDS, user, **filters)
    b"".join(begun)
    return begun.next_since


# Other processes of the tests are at work in databases of their own.
HERE = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
COPYING = f"{HERE} AND query LIKE 'COPY%%' AND state <> 'idle'"
OPEN = f"{HERE} AND xact_start IS NOT NULL"


def soon(session: Any, query: str) -> bool:
    """Whether the count becomes nought within the time that a busy machine may take."""
    deadline = time.monotonic() + 30
    while session.execute(query).fetchone() != (0,):
        if time.monotonic() > deadline:
            return False
        session.rollback()
        time.sleep(0.05)
    session.rollback()
    return True


@pytest.mark.django_db(transaction=True)
def test_a_reader_who_stops_holds_no_transaction_open(
    partner: User, other: Any, many_needs: Callable[..., None]
) -> None:
    many_needs(2_000, LONG_NOTE)
    begun = services.pull(DEMANDS, partner)

    blocks = iter(begun)
    first = next(blocks)
    assert soon(other, OPEN)
    (meanwhile,) = other.execute("SELECT clock_timestamp()").fetchone()
    other.rollback()
    time.sleep(services.MARGIN.total_seconds())
    assert services.next_since() > meanwhile
    assert (first + b"".join(blocks)).count(LONG_NOTE.encode()) == 2_000


@pytest.mark.django_db(transaction=True)
def test_a_reader_at_its_first_kilobyte_holds_no_transaction(
    live_server: LiveServer, partner: User, other: Any, many_needs: Callable[..., None]
) -> None:
    many_needs(6_000, LONG_NOTE)
    with asking(live_server, partner) as answer:
        kilobyte = answer.read(1_000)
        assert soon(other, OPEN)
        assert (kilobyte + answer.read()).count(LONG_NOTE.encode()) == 6_000


@pytest.mark.django_db(transaction=True)
def test_only_who_may_have_written_holds_back_the_next_pull(partner: User, other: Any) -> None:
    """Somebody who has only read has given no row a stamp, and the next statement gives a later one."""
    need = DemandFactory.create()
    other.execute("SELECT count(*) FROM demands_demand")
    (reading_since,) = other.execute("SELECT now()").fetchone()
    time.sleep(2 * services.MARGIN.total_seconds())
    assert services.next_since() > reading_since

    other.execute("UPDATE demands_demand SET note = 'written' WHERE id = %s", [need.pk])
    time.sleep(2 * services.MARGIN.total_seconds())
    assert services.next_since() < reading_since


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_has_not_written_yet_holds_back_the_next_pull(other: Any) -> None:
    """Its rows will bear the time at which it began."""
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(other.execute, "SELECT statement_timestamp(), pg_sleep(1)")
        time.sleep(0.6)
        since = services.next_since()
        (began, _slept) = busy.result().fetchone()
    assert since <= began


@pytest.mark.django_db(transaction=True)
def test_a_fault_midway_cuts_the_answer_and_leaves_nothing(partner: User, other: Any) -> None:
    DemandFactory.create()
    begun = services.pull(DEMANDS, partner)
    other.execute("ALTER TABLE demands_demand RENAME TO away")
    other.commit()
    try:
        with pytest.raises(psycopg.errors.UndefinedTable):
            b"".join(begun)
    finally:
        other.execute("ALTER TABLE away RENAME TO demands_demand")
        other.commit()
    assert soon(other, OPEN)
    assert len(rows(partner)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_client_that_goes_away_midway_leaves_a_clean_connection(
    partner: User, hospital: Organisation, other: Any, many_needs: Callable[..., None]
) -> None:
    many_needs(2_000, LONG_NOTE)

    begun = services.pull(DEMANDS, partner)
    assert len(next(iter(begun))) >= spool.BLOCK
    begun.close()

    assert soon(other, COPYING)
    assert soon(other, OPEN)
    assert not connection.in_atomic_block
    assert len(rows(partner)) == 2_000
    with transaction.atomic():  # the connection is not left read-only
        Demand.objects.update(note="still here")


@pytest.mark.django_db(transaction=True)
def test_a_client_that_hangs_up_stops_the_query(
    live_server: LiveServer, partner: User, other: Any, many_needs: Callable[..., None]
) -> None:
    many_needs(6_000, LONG_NOTE)
    with asking(live_server, partner) as answer:
        assert answer.read(100).startswith(b"id,reference,")
    assert soon(other, COPYING)


@contextmanager
def asking(live_server: LiveServer, partner: User) -> Iterator[http.client.HTTPResponse]:
    """The answer to a partner's program that asks for all needs over a socket. It hangs up at the end."""
    _token, text = issue_token(partner, name="program", scopes=["exports"])
    address = urlsplit(live_server.url)
    client = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    client.request("GET", "/api/v1/exports/demands", headers={"Authorization": f"Bearer {text}"})
    answer = client.getresponse()
    yield answer
    answer.close()
    client.close()


@pytest.fixture
def many_needs(hospital: Organisation) -> Callable[..., None]:
    """Needs of which each takes as much room as `note` is long: few long rows fill a socket as well as many short."""

    def make(count: int, note: str = "") -> None:
        need = DemandFactory.create(organisation=hospital, note=note)
        columns = ", ".join(
            str(field.column) for field in Demand._meta.concrete_fields if not (field.primary_key or field.generated)
        )
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO demands_demand ({columns}) "  # noqa: S608  # the columns are the model's
                f"SELECT {columns} FROM demands_demand, generate_series(2, %s) WHERE id = %s",
                [count, need.pk],
            )

    return make


@pytest.mark.parametrize("name", DATASETS)
def test_no_dataset_is_sorted_as_a_whole_before_its_first_row(partner: User, name: str) -> None:
    """Otherwise the first of a million rows takes half a minute (`make bench`, part export)."""
    dataset = DATASETS[name]
    statement, parameters = services.copy_statement(dataset.rows(partner), dataset.columns, "csv")
    select = statement.removeprefix("COPY (").partition(") TO STDOUT")[0]
    with transaction.atomic(), connection.cursor() as cursor:
        for setting, value in services.FIRST_ROWS_AT_ONCE.items():
            cursor.execute(f"SET LOCAL {setting} TO {value}")
        cursor.execute(f"EXPLAIN {select}", parameters)
        plan = [line for (line,) in cursor.fetchall()]

    assert [line for line in plan if "Sort " in line and "Incremental Sort" not in line and "Key" not in line] == []
    assert any("_by_change" in line for line in plan)


@pytest.mark.django_db(transaction=True)
def test_a_large_pull_comes_in_few_blocks(partner: User, many_needs: Callable[..., None]) -> None:
    many_needs(5_000)

    blocks = list(services.pull(DEMANDS, partner))

    assert sum(block.count(b"\n") for block in blocks) == 5_001
    assert all(len(block) >= spool.BLOCK for block in blocks[:-1])
    assert {len(block) < spool.BLOCK + 4096 for block in blocks} == {True}


def test_a_pull_is_in_the_audit_trail_with_dataset_rows_and_filters(partner: User) -> None:
    DemandFactory.create_batch(3)
    lines(partner, region=region("420000"), states=("open",))

    entry = AuditEntry.objects.get(event="export.pulled")
    assert (entry.actor, entry.target_id) == (partner, str(partner.pk))
    assert entry.data == {"dataset": "demands", "format": "jsonl", "region": "420000", "states": ["open"], "rows": 3}


def test_a_pull_that_is_broken_off_is_in_the_audit_trail_too(partner: User) -> None:
    DemandFactory.create(note=LONG_NOTE)
    begun = services.pull(DEMANDS, partner)
    next(iter(begun))
    begun.close()

    assert AuditEntry.objects.get(event="export.pulled").data["dataset"] == "demands"
