"""`manage.py anonymise`: a mark in every text of the database, and none is left where a person could be named."""

import io
import re
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import ApiToken, Membership, Organisation, User
from apps.accounts.services import issue_token
from apps.core import audit
from apps.core.models import AuditEntry
from apps.demands.models import Demand
from apps.matching.models import Match
from apps.matching.services import sweep
from apps.notifications.models import Message
from apps.notifications.services import queue
from apps.ops import roles
from apps.ops.data.anonymising import EMPTIED, KEPT, REPLACED
from tests.factories import DemandFactory, MatchFactory, OfferFactory

pytestmark = pytest.mark.django_db

MARK, NETWORK = "㊙", "203.0.113.203"  # one character, as some columns have room for two
TEXTS: dict[str, str | bytes] = {
    "_varchar": f"{{{MARK}}}",
    "bytea": MARK.encode(),
    "inet": NETWORK,
    "jsonb": f'{{"{MARK}": ["{MARK}"]}}',
    "text": MARK,
    "varchar": MARK,
}
OTHERS: dict[str, str | float] = {
    "_int8": "{1}",
    "bool": True,
    "date": "2020-02-01",
    "float8": 1,
    "int2": 900,
    "int4": 900,
    "int8": 900,
    "numeric": 1,
    "timestamptz": "2020-02-01 00:00+00",
    "uuid": "5f0c3f0e-0000-4000-8000-000000000000",
}
LOOKS_LIKE = [f"%{MARK}%", f"%{MARK.encode().hex()}%", f"%{NETWORK}%"]

Columns = dict[str, dict[str, str]]


@pytest.fixture(autouse=True)
def documents(settings: Settings, tmp_path: Path) -> Path:
    settings.VAR_DIR, settings.MEDIA_ROOT = tmp_path, tmp_path / "media"
    caught = tmp_path / "mail" / "to-a-person.eml"
    caught.parent.mkdir()
    caught.write_text(MARK)
    document = tmp_path / "media" / "evidence" / "licence.pdf"
    document.parent.mkdir(parents=True)
    document.write_text(MARK)
    return document


def columns() -> Columns:
    """The type of each column that can be written, by table: of all tables, also those without a model."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, udt_name FROM information_schema.columns JOIN information_schema.tables"
            " USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'"
        )
        found: Columns = {}
        for table, column, kind in cursor.fetchall():
            found.setdefault(table, {})[column] = kind
        return found


def texts() -> set[str]:
    return {
        f"{table}.{column}"
        for table, kinds in columns().items()
        for column, kind in kinds.items()
        if kind not in OTHERS  # a new type is taken for text
    }


def named(declared: dict[str, str]) -> set[str]:
    """`{"accounts.User": "name phone"}` as columns of the database."""
    found = set()
    for label, names in declared.items():
        meta = apps.get_model(label)._meta
        for name in names.split():
            field = meta.get_field(name)
            assert isinstance(field, models.Field)
            found.add(f"{meta.db_table}.{field.column}")
    return found


def kept_by_rule() -> set[str]:
    """Keys of other rows, choices out of a list, and the migrations, which are no model."""
    return {"django_migrations.app", "django_migrations.name"} | {
        f"{model._meta.db_table}.{field.column}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.local_concrete_fields
        if (field.is_relation or field.choices) and model._meta.label not in EMPTIED
    } & texts()


def fill_each_column() -> None:
    """A row in every table, with the mark in each text. No constraint and no trigger minds its nonsense."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace"
        )
        for table, constraint in cursor.fetchall():
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"')
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, kinds in columns().items():
            names = ", ".join(f'"{name}"' for name in kinds)
            values = [TEXTS[kind] if kind in TEXTS else OTHERS[kind] for kind in kinds.values()]
            cursor.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(["%s"] * len(values))})', values)  # noqa: S608  # names of the catalogue
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def marked() -> set[str]:
    found = set()
    with connection.cursor() as cursor:
        for column in texts():
            table, name = column.split(".")
            cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}" WHERE "{name}"::text LIKE ANY (%s))', [LOOKS_LIKE])  # noqa: S608  # names of the catalogue
            if cursor.fetchone() == (True,):
                found.add(column)
    return found


def anonymise() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table is emptied while a check of it waits
    said = io.StringIO()
    call_command("anonymise", "--yes", stdout=said)
    return said.getvalue()


def test_a_scan_finds_marks_only_where_they_may_stay(documents: Path) -> None:
    fill_each_column()
    assert marked() == texts()

    anonymise()

    assert marked() == kept_by_rule() | named(KEPT)
    assert not [path for path in documents.parents[2].rglob("*") if path.is_file()]


def test_somebody_decided_on_each_column() -> None:
    emptied = {apps.get_model(label)._meta.db_table for label in EMPTIED}
    open_to_decide = {column for column in texts() - kept_by_rule() if column.split(".")[0] not in emptied}

    assert named(KEPT) | named(REPLACED) == open_to_decide
    assert named(KEPT) & named(REPLACED) == set()


def test_the_result_can_be_logged_in_to_and_matched(
    client: Client, buyer: User, hospital: Organisation, supplier: User, maker: Organisation
) -> None:
    for user in (buyer, supplier):
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    EmailAddress.objects.create(user=buyer, email="second@example.org", primary=False, verified=True)
    for one in (hospital, maker):  # no two that are verified have one number
        Organisation.objects.filter(pk=one.pk).update(identifier_kind="other", identifier=f"1210000{one.pk}")
    issue_token(buyer, name="pull", scopes=["read"])
    queue("account.changed", buyer, {"change": "password"}, key="x")
    entry = audit.record(buyer, "thing.done", hospital, user=buyer.pk, to={"name": "Wuchang"}, note="call Li")
    declined = MatchFactory.create(
        state="declined", responded_at=hospital.created_at, decline_reason="other", decline_note="ask Li"
    )
    OfferFactory.create(organisation=maker, quantity=5000, queued=True)
    demand = DemandFactory.create(organisation=hospital, quantity=700, contact_phone="13900001111", queued=True)
    before = Demand.objects.values("id", "reference", "quantity", "state", "region", "updated_at").get(pk=demand.pk)
    noted = AuditEntry.objects.count()

    said = anonymise()

    assert Demand.objects.values(*before).get(pk=demand.pk) == before
    assert Demand.objects.values_list("contact_phone", "note").get(pk=demand.pk) == (f"demand {demand.pk}", "")
    assert Organisation.objects.get(pk=hospital.pk).identifier == f"organisation {hospital.pk}"
    assert Match.objects.get(pk=declined.pk).decline_note == f"match {declined.pk}"
    assert not ApiToken.objects.exists()
    assert not Message.objects.exists()
    assert AuditEntry.objects.get(pk=entry.pk).data == {"user": buyer.pk}
    assert Membership.objects.filter(user=buyer, organisation=hospital).exists()
    assert AuditEntry.objects.count() == noted

    password = re.findall(r"password of all is (\S+)", said)[0]
    address = f"person-{buyer.pk}@anonymous.invalid"
    assert set(EmailAddress.objects.filter(user=buyer, primary=True).values_list("email", "verified")) == {
        (address, True)
    }
    assert client.post("/login/", {"login": address, "password": password}).status_code == 302
    assert str(client.session["_auth_user_id"]) == str(buyer.pk)

    sweep()
    assert Match.objects.filter(demand=demand, state="held", quantity=700).exists()


def test_a_second_run_changes_nothing_but_the_password(buyer: User, hospital: Organisation) -> None:
    anonymise()
    first = list(Organisation.objects.values()), list(User.objects.values("pk", "email", "name", "phone"))

    anonymise()

    assert (list(Organisation.objects.values()), list(User.objects.values("pk", "email", "name", "phone"))) == first


def test_it_refuses_production_and_asks_for_a_yes(settings: Settings, buyer: User, documents: Path) -> None:
    with pytest.raises(CommandError, match="Call again with --yes"):
        call_command("anonymise")
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="This is production"):
        call_command("anonymise", "--yes")

    assert User.objects.filter(email=buyer.email, name="Buyer").exists()
    assert documents.exists()


def test_a_role_that_may_not_pass_over_triggers_is_told_so(buyer: User, documents: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {roles.PROGRAM}")
        with pytest.raises(CommandError, match="owner of the database"):
            call_command("anonymise", "--yes")
        cursor.execute("SET LOCAL ROLE NONE")

    assert User.objects.filter(email=buyer.email, name="Buyer").exists()
    assert documents.exists()
