"""Every address × every role × whose object × every method: nobody sees or changes what is not theirs.

The addresses come from the URL configuration, so a new page is walked by itself. One with an argument fails
`test_every_address_is_filled` until `places.py` says which object it is about, who sees that, and who changes it. Each
request meets the same rows: what it changed is taken back. Of the steps that can act, `make test` takes one in 50, and
all on pages as a rival; `make long` takes one in ten, and all on pages of those who must get nowhere.
"""

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any, Final

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection, transaction
from django.urls import URLPattern, get_resolver
from django.utils.regex_helper import normalize
from pytest_django import DjangoDbBlocker

from tests.api.conftest import rows_for_a_module
from tests.places import ANYBODYS, ONES_OWN, PARTIES, PERSON, PLACES, READS, WHOSE, Place, places
from tests.walking import MARK, World

pytestmark = pytest.mark.django_db

# --- The combinations -------------------------------------------------------------------------------------------------


def templates(patterns: list[Any], before: str = "") -> Iterator[str]:
    """Every address as it stands in the URL configuration, with `{name}` for each argument."""
    for pattern in patterns:
        # Django's own way to turn a pattern into an address; of several ways to write one it takes the first.
        [(text, names), *_others] = normalize(pattern.pattern.regex.pattern)
        path = before + text % {name: f"{{{name}}}" for name in names}
        if isinstance(pattern, URLPattern):
            yield path
        else:
            yield from templates(pattern.url_patterns, path)


ADDRESSES: Final = sorted(set(templates(get_resolver().url_patterns)))


@dataclass(frozen=True)
class Step:
    """One request, whoever sends it: an address about somebody's objects, a method, with or without a body."""

    template: str
    whose: str
    method: str
    is_filled_in: bool

    def __str__(self) -> str:
        return f"{self.method} {self.template} {self.whose}{' filled in' if self.is_filled_in else ''}"

    @property
    def is_page(self) -> bool:
        return not self.template.startswith(("admin/", "api/"))

    @property
    def may_act(self) -> bool:
        """Whether it may find something and do something with it. Most other steps are a 404 or 405 to everybody."""
        if self.method in {"GET", "POST"}:
            return self.method == "GET" or self.is_filled_in
        return self.is_filled_in and self.template.startswith("api/")

    @property
    def place(self) -> Place | None:
        begins = [place for place in PLACES if self.template.startswith(place.begins)]
        if self.template.startswith("admin/") and "{" in self.template:
            begins += [place for place in places(self.template) if place]
        return max(begins, key=lambda place: len(place.begins), default=None)

    def path(self, world: World) -> str:
        """The address; `crossed` goes from an object of one's own to one of the rival's."""
        path, whose = self.template, "own" if self.whose == "crossed" else self.whose
        for argument, place in zip(re.findall(r"{\w+}", path), places(path), strict=True):
            assert place is not None
            if place.thing == "row":
                value = newest_row(path)
            elif place.thing.startswith("="):
                value = place.thing[1:]
            else:
                value = world.things[whose][place.thing]
                whose = "rival" if self.whose == "crossed" else whose
            path = path.replace(argument, str(value), 1)
        return f"/{path}"

    def body(self, world: World) -> dict[str, Any]:
        """What a form or a program could send, with the keys of the objects that the address is about."""
        if not self.is_filled_in:
            return {}
        of = world.things["rival" if self.whose == "crossed" else self.whose]
        return {**PLAUSIBLE, **{name: of[name] for name in ("organisation", "demand", "offer", "match", "order")}}


PLAUSIBLE: Final[dict[str, Any]] = {
    "name": "Another name", "email": "new@example.org", "role": "manager", "quantity": 5, "quantity_kind": "exact",
    "quantity_accepted": 1, "item": "mask.surgical", "region": "420106", "origin_region": "420106", "urgency": "urgent",
    "reason": "price", "decline_reason": "price", "note": "A note.", "decision": "As it is.", "measure": "post",
    "kind": "supplier", "address": "2 Road", "contact_name": "Me", "contact_phone": "13800000000", "state": "verified",
    "url": "https://example.org/mine", "scopes": ["read"], "language": "en", "confirm": True, "publish": True,
    "called_back": "Register of hospitals 027-5550 0101, Dr Li", "appeal": "No.", "side": "requester",
    "lines-TOTAL_FORMS": 1, "lines-INITIAL_FORMS": 0, "lines-0-item": "mask.surgical", "lines-0-quantity": 5,
    "lines-0-quantity_kind": "exact",
}  # fmt: skip


def newest_row(template: str) -> Any:
    """The key of a row behind a page of the back office, or one that is not there."""
    _admin, app, model, *_rest = template.split("/")
    row = apps.get_model(app, model)._default_manager.order_by("-pk").first()
    return 1 if row is None else row.pk


def steps() -> Iterator[Step]:
    for template in ADDRESSES:
        objects = [place for place in places(template) if place and not place.thing.startswith("=")]
        owners: tuple[str, ...]
        if template.startswith("admin/"):
            owners = WHOSE[:1]
        elif not objects:
            owners = ("own", "rival")  # in the body
        else:
            owners = WHOSE if len(objects) > 1 else WHOSE[:-1]
        for whose in owners:
            yield Step(template, whose, "GET", is_filled_in=False)
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                for is_filled_in in (False, True):
                    yield Step(template, whose, method, is_filled_in)


STEPS: Final = list(steps())

# --- The walk ---------------------------------------------------------------------------------------------------------

TURNED_AWAY: Final = {401, 403, 404, 405, 410, 415, 429}


class Walk:
    """One person's requests. Each meets the rows that the first one met."""

    def __init__(self, world: World, role: str) -> None:
        self.world, self.role = world, role
        self.client, self.headers = world.enter(role)
        self.cookies = self.client.cookies.output(header="", sep=";")
        self.rows = {table: content(table) for table in connection.introspection.table_names()}
        self.written = writes()
        self.savepoint = transaction.savepoint()
        self.opened: set[Place] = set()

    def take(self, step: Step) -> list[str]:
        """Send the request, take back what it did, and say what is wrong with it."""
        self.client.cookies = SimpleCookie(self.cookies)
        path, body = step.path(self.world), step.body(self.world)
        is_program = path.startswith("/api/")
        if step.method == "GET":
            response = self.client.get(path, headers=self.headers if is_program else None)
        elif step.method == "POST" and not is_program:
            response = self.client.post(path, body)
        else:
            send = getattr(self.client, step.method.lower())
            headers = self.headers if is_program else None
            response = send(path, body, content_type="application/json", headers=headers)
        text = b"".join(response) if response.streaming else response.content
        changed = self.take_back()
        if step.method == "GET" and response.status_code == 200 and step.place:
            self.opened.add(step.place)
        return [f"{step}: {fault}" for fault in self.faults(step, response, text.decode(errors="replace"), changed)]

    def take_back(self) -> set[str]:
        """Give the tables that differ, and have them as they were."""
        if connection.needs_rollback:
            connection.set_rollback(False)
            transaction.savepoint_rollback(self.savepoint)
        written = writes()
        touched = {table for table, number in written.items() if number != self.written.get(table)}
        changed = {table for table in touched - ANYBODYS if content(table) != self.rows[table]}
        if touched:
            transaction.savepoint_rollback(self.savepoint)
            self.written = written
        return changed

    def is_among(self, parties: str, step: Step, place: Place) -> bool:
        own = {"everybody", PARTIES[self.role].get(step.whose, "nobody")}
        if PERSON.get(self.role) == step.whose:
            own.add("self")
        if all(one is None or one.thing.startswith("=") or one.thing == "draft" for one in places(step.template)):
            own.update(PARTIES[self.role].values())  # it is nobody's: what the person is to anybody counts
        return bool(own & set(parties.split()))

    def faults(self, step: Step, response: Any, text: str, changed: set[str]) -> Iterator[str]:
        status, place = response.status_code, step.place
        if status >= 500 and step.template != "readyz":  # where no worker runs, it says so by 503
            yield f"fails with {status}"

        may_read = READS[self.role] if self.role != "superuser" or step.template.startswith("admin/") else ""
        shown = {"-".join(found) for found in MARK.findall(text)}
        hidden = sorted(one for one in shown if not re.fullmatch(may_read, one))
        if hidden:
            yield f"shows {', '.join(hidden)}"

        if place:
            # To the log-in, which may keep what was typed; in the back office from an old address to the new one, and
            # from a row that is not there.
            leads_away = any(template.name == "account/login.html" for template in response.templates) or (
                status == 302
                and (step.template.startswith("admin/") or re.search("/login/|/reauthenticate/", response["Location"]))
            )
            if status not in TURNED_AWAY and not leads_away and not self.is_among(place.sees, step, place):
                yield f"is not turned away but {status}"
            if changed and not self.is_among(place.changes, step, place):
                yield f"changes {', '.join(sorted(changed))}"
        elif step.whose not in PARTIES[self.role] and changed - ONES_OWN:
            yield f"changes {', '.join(sorted(changed))}"


def writes() -> dict[str, int]:
    """How often this transaction wrote to each table, as PostgreSQL counts it: cheaper than looking at the rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables"
            " WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
        )
        return dict(cursor.fetchall())


def content(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM \"{table}\" t")  # noqa: S608  # ours
        return str(cursor.fetchone()[0])


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    with rows_for_a_module(django_db_blocker):
        yield World()


@pytest.fixture(autouse=True)
def _nothing_counted(settings: Any) -> None:
    """No limit ends the walk."""
    settings.API_REQUESTS_PER_MINUTE = settings.API_ANONYMOUS_REQUESTS_PER_MINUTE = 0
    settings.ACCOUNT_RATE_LIMITS = False
    cache.clear()


def test_every_address_is_filled(record_testsuite_property: Any) -> None:
    """A new address with an argument needs a line in `PLACES`, and a line without an address is a leftover."""
    unfilled = [template for template in ADDRESSES if None in places(template)]
    assert unfilled == []
    used = {place for step in STEPS for place in (step.place, *places(step.template))}
    assert [place for place in PLACES if place not in used] == []
    record_testsuite_property("combinations walked", len(STEPS) * len(PARTIES))
    assert len(STEPS) * len(PARTIES) > 90_000


def share(role: str, one_in: int) -> list[Step]:
    """The same steps each time; a new address adds steps, and changes none of the others.

    Of the steps that can act it is one in so many, of the others one in ten times as many.
    """
    return [
        step for step in STEPS if zlib.crc32(f"{role} {step}".encode()) % (one_in if step.may_act else 10 * one_in) == 0
    ]


@pytest.mark.parametrize("role", PARTIES)
def test_nobody_sees_or_changes_what_is_not_theirs(world: World, role: str) -> None:
    walk = Walk(world, role)

    assert [fault for step in share(role, 50) for fault in walk.take(step)] == []


@pytest.mark.long
@pytest.mark.parametrize("role", PARTIES)
def test_nobody_does_in_five_times_as_many_steps(world: World, role: str) -> None:
    walk = Walk(world, role)

    # WALK=1 takes every step.
    steps = STEPS if os.environ.get("WALK") else share(role, 10)
    assert [fault for step in steps for fault in walk.take(step)] == []


@pytest.mark.parametrize(
    "role", ["rival", *(pytest.param(role, marks=pytest.mark.long) for role in ("nobody", "stranger", "far_partner"))]
)
def test_no_page_gives_anything_of_others_away(world: World, role: str) -> None:
    """Every page, none left out."""
    walk = Walk(world, role)
    steps = [step for step in STEPS if step.is_page and step.may_act and step.whose == "own"]

    assert [fault for step in steps for fault in walk.take(step)] == []
    assert len(steps) > 200


@pytest.mark.parametrize(
    ("role", "thing"),
    [
        ("manager", "demand"),
        ("supplier", "offer"),
        ("supplier", "match"),
        ("coordinator", "organisation"),
        ("member", "order"),
    ],
)
def test_who_may_see_it_does(world: World, role: str, thing: str) -> None:
    """Otherwise the walk would prove nothing."""
    walk = Walk(world, role)
    steps = [
        step
        for step in STEPS
        if step.method == "GET" and step.whose == "own" and step.template.rstrip("/") in OPENS[thing]
    ]

    assert [fault for step in steps for fault in walk.take(step)] == []
    assert {place.begins for place in walk.opened} == OPENS[thing]


OPENS: Final = {
    "demand": {"needs/{pk}", "api/v1/demands/{pk}"},
    "offer": {"supply/{pk}", "api/v1/offers/{pk}"},
    "match": {"inbox/{pk}", "api/v1/matches/{pk}"},
    "organisation": {"desk/organisations/{pk}", "organisation/{pk}", "api/v1/organisations/{pk}"},
    "order": {"orders/{pk}", "api/v1/orders/{pk}"},
}
