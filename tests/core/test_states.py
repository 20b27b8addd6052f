"""State moves, the audit trail and the times that the database keeps."""

import datetime as dt

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry, HourStamped
from apps.core.states import move
from apps.demands.models import Demand, DemandState
from apps.supply.models import Offer
from tests.factories import DemandFactory, OfferFactory

pytestmark = pytest.mark.django_db


def test_a_move_that_is_not_among_the_moves_is_refused() -> None:
    demand = DemandFactory.create(state=DemandState.CANCELLED)
    with pytest.raises(RuleViolation) as caught:
        move(demand, DemandState.OPEN)
    assert (caught.value.code, caught.value.status) == ("illegal_move", 409)


def test_of_two_who_read_the_same_state_only_the_first_moves_it() -> None:
    demand = DemandFactory.create()
    other = Demand.objects.get(pk=demand.pk)
    move(demand, DemandState.PAUSED, state_note="first")

    with pytest.raises(RuleViolation) as caught:
        move(other, DemandState.CANCELLED)

    assert caught.value.code == "state_changed"
    demand.refresh_from_db()
    assert (demand.state, demand.state_reason) == (DemandState.PAUSED, "first")


def test_every_way_of_changing_a_row_moves_updated_at() -> None:
    demand = DemandFactory.create()
    demand.refresh_from_db()
    before = demand.updated_at

    Demand.objects.filter(pk=demand.pk).update(note="by update")
    demand.refresh_from_db()
    assert demand.updated_at > before

    before = demand.updated_at
    demand.note = "by save"
    demand.save(update_fields=["note"])
    demand.refresh_from_db()
    assert demand.updated_at > before

    before = demand.updated_at
    for stale in (before, before - dt.timedelta(days=1)):  # what was read a while ago, saved whole
        demand.updated_at = stale
        demand.save()
        demand.refresh_from_db()
        assert demand.updated_at > before


@pytest.mark.parametrize("model", [Demand, Offer])
def test_what_a_hold_changes_stands_in_no_index(model: type[HourStamped]) -> None:
    """Else every hold would write a new entry into every index of the row."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT attname FROM pg_index
            JOIN pg_depend ON classid = 'pg_class'::regclass AND objid = indexrelid AND refobjid = indrelid
            JOIN pg_attribute ON attrelid = indrelid AND attnum = refobjsubid
            WHERE indrelid = %s::regclass""",
            [model._meta.db_table],
        )
        indexed = {name for (name,) in cursor.fetchall()}
    assert {"item_id", "state", "updated_hour"} <= indexed
    assert [name for name in indexed if name.startswith("quantity") or name == "updated_at"] == []


def test_the_audit_trail_can_be_neither_changed_nor_deleted(buyer: User) -> None:
    entry = audit.record(buyer, "thing.done", buyer, detail=1)
    for attempt in (
        lambda: AuditEntry.objects.filter(pk=entry.pk).update(event="nothing.done"),
        lambda: AuditEntry.objects.filter(pk=entry.pk).delete(),
    ):
        with pytest.raises(ProgrammingError, match="Cannot update or delete"), transaction.atomic():
            attempt()
    assert AuditEntry.objects.get(pk=entry.pk).data == {"detail": 1}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        (Demand, {"quantity": 0}),
        (Demand, {"quantity": 1, "quantity_kind": "unspecified"}),
        (Demand, {"quantity": None}),
        (Demand, {"quantity_matched": 1001}),
        (Demand, {"quantity_held": 600, "quantity_matched": 500}),
        (Demand, {"quantity_received": 1}),
        (Demand, {"quantity_held": -1}),
        (Demand, {"state": "unheard of"}),
        (Demand, {"urgency": "whenever"}),
        (Demand, {"opened_at": None}),
        (Offer, {"quantity_reserved": 5001}),
        (Offer, {"quantity_reserved": -1}),
        (Offer, {"quantity": -1}),
        (Offer, {"minimum_order": 0}),
        (Offer, {"daily_capacity": 0}),
        (Offer, {"state": "sold"}),
        (Offer, {"confirmed_at": None}),
        (Offer, {"unit_price": "-0.01"}),
    ],
)
def test_the_database_itself_refuses_what_must_never_be(table: type[Demand] | type[Offer], change: dict) -> None:  # type: ignore[type-arg]  # any value
    row = DemandFactory.create() if table is Demand else OfferFactory.create()
    with pytest.raises(IntegrityError), transaction.atomic():
        table._default_manager.filter(pk=row.pk).update(**change)


def test_clocks_follow_the_urgency_and_the_policy() -> None:
    from apps.demands import clocks
    from apps.policy.values import PolicyValues

    now = dt.datetime(2020, 1, 30, tzinfo=dt.UTC)
    policy = PolicyValues()
    assert clocks.escalates_at("emergency", now, policy) - now == dt.timedelta(hours=2)
    assert clocks.ask_at("emergency", now, policy) - now == dt.timedelta(hours=54)
    assert clocks.stale_at("urgent", now, policy) - now == dt.timedelta(days=7)
    quicker = PolicyValues(escalation_hours={"emergency": 1, "urgent": 5, "routine": 24})
    assert clocks.escalates_at("routine", now, quicker) - now == dt.timedelta(days=1)
