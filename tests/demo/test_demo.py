"""The demo: everything occurs in it, every rule holds for it, and it happens once."""

import io
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from pytest_django import DjangoDbBlocker, Settings

from apps.accounts.models import Organisation, OrganisationState, User
from apps.catalogue.models import Item
from apps.demands.models import Demand, DemandState
from apps.demo import cast
from apps.fulfilment.models import Order, OrderState
from apps.matching import services as matching
from apps.matching.models import Escalation, Match, MatchState, Replay, ReplayState
from apps.notifications.models import Message
from apps.ops.data.invariants import broken_invariants, untold
from apps.policy.models import DraftState, Policy
from apps.supply.models import Offer, OfferState
from tests.emergency import have


def run() -> str:
    output = io.StringIO()
    call_command("demo", stdout=output)
    return output.getvalue()


@pytest.fixture(scope="module")
def emergency(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Had once for this file, and rolled back after it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield have()
        transaction.set_rollback(True)


def everything() -> dict[str, tuple[int, object]]:
    """How many rows each table has, and when the last of them changed."""
    found: dict[str, tuple[int, object]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.table_name, bool_or(c.column_name = 'updated_at') FROM information_schema.tables t"
            " JOIN information_schema.columns c USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' GROUP BY 1"
        )
        for table, has_time in cursor.fetchall():
            cursor.execute(f'SELECT count(*), {"max(updated_at)" if has_time else "NULL"} FROM "{table}"')  # noqa: S608  names from the catalogue of the database
            found[table] = cursor.fetchone()
    return found


def test_every_state_occurs(emergency: str, db: None) -> None:
    assert set(Organisation.objects.values_list("state", flat=True)) == set(OrganisationState.values)
    assert set(Demand.objects.values_list("state", flat=True)) == set(DemandState.values)
    assert set(Offer.objects.values_list("state", flat=True)) == set(OfferState.values)
    assert set(Match.objects.values_list("state", flat=True)) == set(MatchState.values)
    assert set(Order.objects.values_list("state", flat=True)) == set(OrderState.values)
    assert Demand.objects.awaiting_review().count() == 1
    assert Escalation.objects.filter(demand__state=DemandState.OPEN).exists()
    assert Demand.objects.open().filter(quantity_matched__gt=0).exists()
    assert Demand.objects.open().filter(matches=None).exists()


def test_the_books_balance(emergency: str, db: None) -> None:
    assert broken_invariants() == {}
    assert untold() == []
    assert not Match.objects.filter(respond_by__lt=F("created_at")).exists()
    assert not Demand.objects.filter(opened_at__lt=F("created_at")).exists()


def test_the_worker_finds_nothing_left_to_do(emergency: str, db: None) -> None:
    assert not matching.sweep()


def test_only_what_happened_just_now_is_mailed(emergency: str, db: None) -> None:
    assert set(Message.objects.filter(state="queued").values_list("event", flat=True)) == {
        "match.proposed",
        "demand.suppliers_asked",
        "offer.freshness_asked",
    }
    assert Message.objects.failed().count() == 1


def test_a_second_run_changes_nothing_and_says_how_to_log_in(emergency: str, db: None) -> None:
    before = everything()
    again = run()
    assert everything() == before
    assert again == f"The demo is already there; nothing was changed.\n{emergency}"
    assert f"hospital@{cast.DOMAIN}" in again


def test_its_people_can_log_in(emergency: str, db: None, client: Client) -> None:
    for _what, email in cast.log_ins():
        assert client.login(email=email, password=cast.PASSWORD)


def test_shenzhen_has_the_thermometers_that_beijing_has_not_asked_for(emergency: str, db: None) -> None:
    assert not Demand.objects.filter(
        organisation__contact_email=f"hospital@{cast.DOMAIN}", item__key="thermo.ir"
    ).exists()
    offer = Offer.objects.published().get(organisation__contact_email=f"supplier@{cast.DOMAIN}", item__key="thermo.ir")
    assert offer.quantity_free >= 60_000


def test_a_phase_is_in_force_and_a_draft_was_replayed(emergency: str, db: None, client: Client) -> None:
    replay = Replay.objects.get()
    assert (Policy.objects.current().version, Policy.objects.current().values.phases["420000"].phase) == (
        2,
        "emergency",
    )
    assert (replay.state, replay.policy_version, replay.draft.state) == (ReplayState.DONE, 2, DraftState.OPEN)
    assert replay.needs > 10
    assert replay.differing > 0

    client.login(email=f"coordinator@{cast.DOMAIN}", password=cast.PASSWORD)
    page = client.get(f"/desk/policy/drafts/{replay.draft_id}/", headers={"accept-language": "en"}).text
    assert f"{replay.differing} of {replay.needs} needs in China would have been served differently." in page


def test_without_reference_data_it_says_so(db: None) -> None:
    User.objects.filter(email=cast.MEMBERS[0].email).update(email="somebody@example.org")
    Item.objects.filter(key="thermo.ir").update(key="gone")
    with pytest.raises(CommandError, match="load_reference"):
        run()


def test_in_production_it_refuses(db: None, settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="--force"):
        run()
