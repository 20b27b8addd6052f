"""Exports against what the database itself can do: psql copying the very same rows into a file."""

import datetime as dt
import gc
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import psycopg
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.accounts.services import issue_token
from apps.catalogue.models import Item, Region
from apps.demands.models import Demand, DemandState
from apps.exports import services
from apps.exports.datasets import DEMANDS
from apps.ops import embedded
from tests.benchmarks.figures import row

ROUNDS = 5


def run(rows: int) -> None:
    partner = _partner()
    _fill(rows)
    print(f"\nExport of {Demand.objects.count():,} needs with {len(DEMANDS.columns)} columns, best of {ROUNDS} rounds")
    for form in (services.Format.CSV, services.Format.JSONL):
        floor, ours, served = _race(
            partial(_psql, _as_text(partner, form)), partial(_pull, partner, form), _over_http(partner, form)
        )
        row(f"{form}: psql", f"{floor:.2f} s", "the floor")
        row(f"{form}: apps.exports.services.pull", f"{ours / floor:.2f} ×", "at most 1.3 × is the goal")
        row(f"{form}: over HTTP through gunicorn", f"{served / floor:.2f} ×")


def _pull(user: User, form: str) -> int:
    return sum(len(block) for block in services.pull(DEMANDS, user, form=form))


def _partner() -> User:
    """Somebody who may see everything of a country."""
    nation = Organisation.objects.create(
        name="Ministry",
        kind=OrganisationKind.GOVERNMENT,
        region=Region.objects.get(pk="CN"),
        state=OrganisationState.VERIFIED,
        verified_at=timezone.now(),
        verified_until=timezone.now().date() + dt.timedelta(days=1),
    )
    user = User.objects.create_user("ministry@example.org", "not a password that matters")
    Membership.objects.create(user=user, organisation=nation, role=Role.MEMBER)
    return user


def _fill(rows: int) -> None:
    """As many needs as asked for: one of each of a hundred hospitals, then multiplied by the database."""
    now = timezone.now()
    hospitals = Organisation.objects.filter(kind=OrganisationKind.HOSPITAL).select_related("region")[:100]
    items = list(Item.objects.all())
    needs = Demand.objects.bulk_create(
        Demand(
            reference=f"N-{number:08}",
            organisation=hospital,
            item=items[number % len(items)],
            quantity=1 + number * 37 % 5000,
            region=hospital.region,
            address=f"湖北省武汉市武昌区某某路 {number} 号",
            note="Please call before you deliver, the gate is at the back",
            state=DemandState.OPEN,
            opened_at=now,
            confirmed_at=now,
        )
        for number, hospital in enumerate(hospitals)
    )
    columns = ", ".join(str(field.column) for field in Demand._meta.concrete_fields if not field.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO demands_demand ({columns}) "  # noqa: S608  # the columns are the model's
            f"SELECT {columns} FROM demands_demand, generate_series(2, %s) WHERE id = ANY(%s)",
            [rows // len(needs), [need.pk for need in needs]],
        )
        cursor.execute("ANALYZE demands_demand")


def _race(*runners: Callable[[], object]) -> list[float]:
    """The best time of each, in turns, so that a noisy minute hits all of them."""
    best = [float("inf")] * len(runners)
    for _round in range(ROUNDS):
        for number, runner in enumerate(runners):
            gc.collect()
            began = time.perf_counter()
            runner()
            best[number] = min(best[number], time.perf_counter() - began)
    return best


def _as_text(user: User, form: str) -> str:
    """The statement that is sent, with its parameters in it."""
    statement, parameters = services.copy_statement(DEMANDS, DEMANDS.rows(user), form)
    connection.ensure_connection()
    return psycopg.ClientCursor(connection.connection).mogrify(statement, parameters)


def _psql(statement: str) -> None:
    program = embedded._postgres_binaries(None).path / "psql"
    subprocess.run(
        [program, "--no-psqlrc", "--quiet", "--output", "/dev/null", "--command", statement, settings.DATABASE_URL],
        check=True,
        env={**os.environ, "PGCLIENTENCODING": "UTF8"},
    )


def _over_http(user: User, form: str) -> Callable[[], object]:
    """A pull by a client in this process from a web server in another."""
    _token, text = issue_token(user, name="benchmark", scopes=["exports"])

    def pull() -> int:
        client = http.client.HTTPConnection("127.0.0.1", _server(), timeout=600)
        client.request("GET", f"/api/v1/exports/demands?format={form}", headers={"Authorization": f"Bearer {text}"})
        answer = client.getresponse()
        if answer.status != 200:
            raise SystemExit(f"The web server answered {answer.status}.")
        size = 0
        while block := answer.read(services.BLOCK):
            size += len(block)
        client.close()
        return size

    return pull


_started: dict[str, int] = {}


def _server() -> int:
    """The port of a gunicorn that serves this database; it ends with this process."""
    if "port" in _started:
        return _started["port"]
    import atexit

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "cosmomatch.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4"),
            *("--log-level", "warning", "--no-control-socket"),
        ]
    )
    atexit.register(child.wait)
    atexit.register(child.terminate)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            _started["port"] = port
            return port
    raise SystemExit("The web server did not come up.")
