"""Fills a database with an aged market (`aged.sql`), and does what the tasks would have done since."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.apps import apps
from django.db import connection, models, transaction
from django.utils import timezone
from psycopg import sql

from apps.accounts.models import Organisation
from apps.duplicates import search
from apps.matching.models.reasons import packed
from apps.matching.scoring import terms
from apps.matching.search import offer_index
from tests.benchmarks.world import market

_MADE: Final = Path(__file__).with_suffix(".sql").with_stem("aged")
# What the apps are called whose tables it fills.
_FILLED: Final = ("accounts", "core", "demands", "fulfilment", "matching", "notifications", "supply")
# As matching stores the reasons of a match, by term.
_VALUES: Final = {"coverage": 400, "distance": 312, "lead_time": 3, "standard": "equal", "freshness": 2.4, "record": 17}


def build(*, needs: int, offers: int, seed: int) -> None:
    """Fill a database that has only reference data. Organisations are in proportion to the offers.

    Without needs it is a young market: offers, and nothing has happened.
    """
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(f"SELECT setseed({seed % 1000 / 1000})")
        cursor.execute("CREATE TEMP TABLE size (requesters int, suppliers int, needs int, offers int)")
        bodies = max(100, offers * 8 // 300)
        cursor.execute("INSERT INTO size VALUES (%s, %s, %s, %s)", [bodies, bodies, needs, offers])
        _list_wares(seed)
        with _defaults():
            # Triggers and foreign keys row by row would take hours. The file writes what they would have written.
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(_MADE.read_text(encoding="utf-8"))
            cursor.execute("SET LOCAL session_replication_role = origin")
    _go_on()


def _list_wares(seed: int) -> None:
    """The items in the order in which this seed's market wants them, and how matching explains itself."""
    wanted = market(seed)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE wares (n int, id bigint, standard_id bigint)")
        rows = [
            (n, item.pk, next((one.pk for one in wanted.standards.get(item.pk, ())), None))
            for n, item in enumerate(wanted.items, start=1)
        ]
        cursor.executemany("INSERT INTO wares VALUES (%s, %s, %s)", rows)
        known = [
            {"name": term.name, "value": _VALUES.get(term.name), "score": 0.6, "weight": term.default_weight}
            for term in terms.registered()
        ]
        cursor.execute("CREATE TEMP TABLE reasons AS SELECT %s::text AS terms", [packed(known)])


@contextmanager
def _defaults() -> Iterator[None]:
    """The defaults of models as defaults of their tables, so that the file names only what is to be seen."""
    named = []
    for app in _FILLED:
        for model in apps.get_app_config(app).get_models():
            for field in model._meta.concrete_fields:
                if model._meta.proxy or field.primary_key or field.null or field.has_db_default() or field.generated:
                    continue
                value = field.get_db_prep_save(field.get_default(), connection)
                if value is not None:
                    named.append((model, field, value))
    _alter("ALTER COLUMN {column} SET DEFAULT {value}", named)
    yield
    _alter("ALTER COLUMN {column} DROP DEFAULT", named)


def _alter(change: str, named: list[tuple[type[models.Model], models.Field[object, object], object]]) -> None:
    with connection.cursor() as cursor:
        for model, field, value in named:
            table, column = sql.Identifier(model._meta.db_table), sql.Identifier(str(field.column))
            made = sql.SQL("ALTER TABLE {table} " + change)
            cursor.execute(made.format(table=table, column=column, value=sql.Literal(value)))


def _go_on() -> None:
    """Set the sequences behind the rows, and let the tasks of every hour and minute do what they have to do."""
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if isinstance(model._meta.pk, models.AutoField) and not model._meta.proxy:
                table = model._meta.db_table
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")  # noqa: S608  our own name
        cursor.execute("ANALYZE")
    offer_index.refresh_supplier_statistics(now=timezone.now())
    offer_index.index_offers(batch=50_000)
    places = search.load_places()
    bodies = list(Organisation.objects.exclude(kind__in=search.KEPT_APART).order_by("pk"))
    for start in range(0, len(bodies), 1000):
        some = bodies[start : start + 1000]
        search.write_keys([search.key_of(body, search.facts_of(body, places), places) for body in some])
