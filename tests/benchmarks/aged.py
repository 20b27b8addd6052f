"""Does the cost grow with the work, or with history? The same requests and tasks in a market and in a ten times larger.

Three worlds from one generator (`aged_world.py`): young (offers, and nothing has happened), A, and B with ten times the
rows of A. Requests are Django's own, in this process. Server time is compared as a ratio: quote that, not the times.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.contrib import admin
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.db.models import Count
from django.test import Client
from django.urls import get_resolver

from apps.accounts.models import Membership, Organisation, TokenScope, User
from apps.accounts.services import issue_token
from apps.demands.models import Demand
from apps.exports import publishing
from apps.exports.datasets import DATASETS, ExportDataset
from apps.exports.models import Publication
from apps.fulfilment.models import Order
from apps.matching import escalation, notices
from apps.matching import services as matching
from apps.matching.models import Match
from apps.notifications.models import Message, Notification
from apps.notifications.tasks import poll
from apps.portal.views.desk.queues import QUEUES
from apps.supply.models import Offer
from cosmomatch.celery import POLLS, app
from tests.benchmarks import aged_world, databases, sweep
from tests.benchmarks.figures import Queries, quantile, row, watched
from tests.benchmarks.world import market
from tests.places import places
from tests.test_walk import templates

TIMES: Final = 3  # of each request and task, fewer of what takes long
PATIENCE: Final = 3.0  # seconds, after which the same is not asked again
MOST_GROWTH: Final = 2.0
MOST_MILLISECONDS: Final = 300
LEAST_OF_YOUNG: Final = 0.8
EXPORTED: Final = 300  # rows of a narrow export

# Never idle in a market that lacks goods: the allocation has a part of its own.
NEVER_IDLE: Final = {"apps.matching.tasks.reallocate"}
# What has no page, changes something, or shows the same to everybody. Whole exports have a part of their own.
_LEFT_OUT: Final = re.compile(
    r"^(admin|account|a|invitation|dev|login|logout|register|static|media|api/v1/(docs|schema|exports/{))/?"
)
# Lists as people narrow them, and exports that take little: after the roles that ask for them.
_NARROWED: Final = {
    "hospital": ("orders/?state=shipped", "orders/?q=mask", "needs/?q=mask", "api/v1/orders?page_size=500",
                 "api/v1/demands?state=open", "api/v1/matches?page_size=500"),
    "supplier": ("orders/?state=shipped", "orders/?q=mask", "inbox/?after={match}", "api/v1/matches?state=held",
                 "api/v1/orders?state=shipped"),
    "coordinator": ("desk/search/?q={reference}", "desk/search/?q=人民医院", "desk/search/?q=13900000012",
                    *(f"desk/waiting/{name}/" for name in QUEUES), "desk/waiting/escalated/?after={almost_last}"),
    "partner": ("api/v1/demands?state=open&page_size=500", "api/v1/exports/orders?updated_since={since_orders}",
                "api/v1/exports/matches?updated_since={since_matches}",
                "api/v1/exports/demands?region=420106&updated_since={since_demands}",
                "api/v1/exports/orders?region=420106&updated_since={since_orders}", "partner/?after={almost_last}"),
    "official": ("api/v1/exports/demands?region=420106&updated_since={since_demands}",),
    "stranger": ("", "api/v1/stats"),
}  # fmt: skip


@dataclass
class Measured:
    """How long something took, in seconds, how many queries it made, and its slowest statement."""

    took: list[float] = field(default_factory=list)
    queries: int = 0
    slowest: tuple[float, str, Any] = (0.0, "", None)
    answer: object = ""

    @property
    def p50(self) -> float:
        return quantile(self.took, 0.5)

    @property
    def p95(self) -> float:
        return quantile(self.took, 0.95)


Table = dict[str, Measured]


def measure(work: Callable[[], object]) -> Measured:
    """Once to warm up, then some times, until it has taken long enough."""
    found = Measured()
    for turn in range(TIMES + 1):
        with watched() as queries:
            began = time.perf_counter()
            answer = work()
            took = time.perf_counter() - began
        if turn or took > PATIENCE:
            found.took.append(took)
        found.queries, found.answer = queries.number, answer
        found.slowest = max([found.slowest, *_statements(queries)], key=lambda one: one[0])
        if sum(found.took) > PATIENCE:
            break
    return found


def _statements(queries: Queries) -> Iterator[tuple[float, str, Any]]:
    return ((took, sql, parameters) for (sql, took), parameters in zip(queries.asked, queries.parameters, strict=True))


# --- Who asks for what ------------------------------------------------------------------------------------------------


def people() -> dict[str, User]:
    """One of each: a hospital like others, the supplier with most offers, and who watches Hubei or the nation."""
    requesters = Organisation.objects.verified().filter(kind="hospital").order_by("pk")
    largest = Offer.objects.published().values("organisation").annotate(number=Count("pk")).order_by("-number")
    bodies = {
        "hospital": requesters[requesters.count() // 20].pk,
        "supplier": largest[0]["organisation"],
        "coordinator": Organisation.objects.get(kind="coordinator", region="420000").pk,
        "partner": Organisation.objects.get(kind="government", region="420000").pk,
        "official": Organisation.objects.get(kind="government", region="CN").pk,
    }
    found = {
        role: Membership.objects.filter(organisation=body, role="manager").get().user for role, body in bodies.items()
    }
    found["stranger"], _made = User.objects.get_or_create(email="stranger@aged.example", defaults={"name": "Stranger"})
    staff = {"name": "Staff", "is_staff": True, "is_superuser": True}
    found["staff"], _made = User.objects.get_or_create(email="staff@aged.example", defaults=staff)
    return found


def things(user: User) -> dict[str, Any]:
    """What stands behind the arguments of addresses (`tests/places.py`), of the newest that this user sees."""

    def newest(rows: Any) -> Any:
        return rows.order_by("-pk").values_list("pk", flat=True).first()

    demand = newest(Demand.objects.visible_to(user).open().filter(quantity_held__gt=0))
    latest_stuck = Demand.objects.visible_to(user).escalated().order_by("-opened_at").values_list("pk", flat=True)
    own = [grant.organisation_id for grant in user.grants]
    return {
        "demand": demand,
        "reference": Demand.objects.filter(pk=demand).values_list("reference", flat=True).first(),
        "offer": newest(Offer.objects.visible_to(user).published()),
        "match": newest(Match.objects.visible_to(user).held()),
        "order": newest(Order.objects.visible_to(user)),
        "organisation": newest(Organisation.objects.filter(pk__in=own)),
        "notification": newest(Notification.objects.visible_to(user)),
        "message": newest(Message.objects.failed()),
        # The last page of what is stuck begins somewhere behind it.
        "almost_last": next(iter(latest_stuck[9:10]), None),
        **{f"since_{name}": _since(DATASETS[name], user) for name in ("demands", "matches", "orders")},
    }


def _since(dataset: ExportDataset, user: User) -> str:
    """Since when so many rows of it changed: an export that takes as much of a small market as of a large one."""
    changed = dataset.rows(user).reverse().values_list("updated_at", flat=True)[EXPORTED : EXPORTED + 1]
    return changed[0].isoformat().replace("+00:00", "Z") if changed else "2026-01-01T00:00:00Z"


def addresses(role: str, of: Mapping[str, Any]) -> list[str]:
    """Every address of the program that this role can fill in, and its narrowed lists."""
    found = []
    for template in sorted(set(templates(get_resolver().url_patterns))):
        if _LEFT_OUT.match(template):
            continue
        path = template
        for argument, place in zip(re.findall(r"{\w+}", template), places(template), strict=True):
            value = None if place is None else place.thing[1:] if place.thing.startswith("=") else of.get(place.thing)
            path = path.replace(argument, str(value), 1) if value else ""
        if path or not template:
            found.append(path)
    found += back_office() if role == "staff" else (narrowed.format(**of) for narrowed in _NARROWED[role])
    return list(dict.fromkeys(found))


def back_office() -> Iterator[str]:
    """The list of each table, a search in it, and its newest row."""
    for model, page in admin.site._registry.items():
        address = f"admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield address
        if page.search_fields:
            yield f"{address}?q=第8人民医院"
        yield f"{address}{model._default_manager.order_by('-pk').values_list('pk', flat=True).first()}/change/"


def pages() -> Table:
    """Every page, list and narrow export that answers, for each role."""
    settings.ALLOWED_HOSTS = ["*"]
    settings.API_REQUESTS_PER_MINUTE = settings.API_ANONYMOUS_REQUESTS_PER_MINUTE = 0
    settings.REQUIRE_SECOND_FACTOR = False
    logging.disable(logging.WARNING)  # addresses that a role may not open are many
    table: Table = {}
    for role, user in people().items():
        client = Client(raise_request_exception=False, headers={"accept-language": "en"})
        client.force_login(user)
        _token, text = issue_token(user, name="aged", scopes=list(TokenScope.values))
        for path in addresses(role, things(user)):
            headers = {"authorization": f"Bearer {text}"} if path.startswith("api/") else {}

            def ask(path: str = path, headers: Mapping[str, str] = headers, client: Client = client) -> int:
                response = client.get(f"/{path}", headers=headers)
                b"".join(response)  # an export is made while it is read
                return response.status_code

            if ask() == 200:
                table[f"{role} /{re.sub(r'[0-9]{2,}', '…', path)}"] = measure(ask)
    return table


# --- What runs with nothing to do -------------------------------------------------------------------------------------


def idle() -> Table:
    """Every task of beat, and the parts of a sweep, when there is nothing to do."""
    app.loader.import_default_modules()
    tasks = {name: app.tasks[name].run for name in app.conf.task_routes}
    tasks |= {f"poll {queues[0]}": partial(poll, *queues) for queues in POLLS}
    parts: dict[str, Callable[[], object]] = {
        "sweep: verifications announced": notices.announce_verifications,
        "sweep: invalid holds": matching.take_back_invalid,
        "sweep: overdue holds": matching.expire_holds,
        "sweep: changed offers": matching.recheck_changed_offers,
        "sweep: needs due": matching.match_due,
        "sweep: withdrawals": notices.notify_withdrawn,
        "sweep: escalations": escalation.escalate_due,
        "public sums, made anew": _publish_anew,
    }
    works = {name.removeprefix("apps."): task for name, task in tasks.items() if name not in NEVER_IDLE} | parts
    return {name: measure(work) for name, work in works.items()}


def _publish_anew() -> object:
    Publication.objects.all().delete()
    return publishing.publish()


def hospitals() -> sweep.Hospitals:
    managers = Membership.objects.filter(
        organisation__kind="hospital", organisation__state="verified", role="manager"
    ).select_related("organisation__region", "user")[:500]
    return [(membership.organisation, membership.user) for membership in managers]


def needs_a_second(seed: int, posts: int) -> float:
    """Post some needs, and match them one sweep after the other."""
    drawn, posters = market(seed), hospitals()
    for _ in range(posts):
        sweep.post(drawn, posters)
    done, began = 0, time.perf_counter()
    while done < posts:
        done += matching.match_waiting(limit=50).demands
    return done / (time.perf_counter() - began)


# --- The worlds, and how they compare ---------------------------------------------------------------------------------


@contextmanager
def world(name: str, *, needs: int, offers: int, seed: int) -> Iterator[None]:
    began = time.monotonic()
    with databases.use(f"aged_{name.lower()}_{offers}_{seed}"), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('aged_whole') IS NULL")
        [(is_new,)] = cursor.fetchall()
        call_command("migrate", verbosity=0)  # one that was kept may be older than the program
        if is_new:
            aged_world.build(needs=needs, offers=offers, seed=seed)
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CREATE TABLE aged_whole ()")
        cache.clear()  # what was kept is of another world
        made = f"made in {time.monotonic() - began:.0f} s" if is_new else "as kept"
        print(f"\nWorld {name}: {needs:,} needs, {offers:,} offers; {made}; load {os.getloadavg()[0]:.1f}", flush=True)
        yield


def run(*, needs: int, posts: int, seed: int, explain: bool) -> None:
    speed: dict[str, float] = {}
    of_pages: dict[str, Table] = {}
    of_tasks: dict[str, Table] = {}
    for name, share in (("A", 10), ("B", 1)):
        with world(name, needs=needs // share, offers=needs // share, seed=seed):
            of_tasks[name], of_pages[name] = idle(), pages()
            if explain and name == "B":
                _explain([*of_tasks[name].values(), *of_pages[name].values()])
            speed[name] = needs_a_second(seed, posts)
    with world("young", needs=0, offers=needs, seed=seed):
        speed["young"] = needs_a_second(seed, posts)
    _compare("Tasks with nothing to do", of_tasks)
    _compare("Pages, lists and exports", of_pages, at_most=MOST_MILLISECONDS)
    of_young = speed["B"] / speed["young"]
    print("\nMatching, needs a second: " + ", ".join(f"{name} {value:.1f}" for name, value in speed.items()))
    row(
        f"B as a share of young, at least {LEAST_OF_YOUNG}",
        f"{of_young:.2f}",
        "" if of_young >= LEAST_OF_YOUNG else "MISSED",
    )


def _compare(title: str, tables: dict[str, Table], at_most: float | None = None) -> None:
    """Worst first: what takes longest in B."""
    small, large = tables["A"], tables["B"]
    limit = f" and p95 of {at_most} ms" if at_most else ""
    print(f"\n{title}: A and B in ms, B/A (at most {MOST_GROWTH:.0f}{limit}), queries")
    print(f"  {'':<58} {'A p50':>8} {'B p50':>8} {'B p95':>8} {'B/A':>6}  queries")
    missed = 0
    for name in sorted(small.keys() & large.keys(), key=lambda name: -large[name].p50):
        a, b = small[name], large[name]
        growth = b.p50 / a.p50
        # What takes no time at all may grow by chance.
        faults = [
            *(["grows"] if growth > MOST_GROWTH and b.p50 > 0.005 else []),
            *(["slow"] if at_most and b.p95 * 1000 > at_most else []),
            *(["queries"] if a.queries != b.queries else []),
        ]
        missed += bool(faults)
        counts = f"{a.queries}" if a.queries == b.queries else f"{a.queries}/{b.queries}"
        print(
            f"  {name[:58]:<58} {a.p50 * 1000:>8.1f} {b.p50 * 1000:>8.1f} {b.p95 * 1000:>8.1f} {growth:>6.1f}"
            f"  {counts:<8} {' '.join(faults)}".rstrip(),
            flush=True,
        )
    print(f"  {missed} of {len(small.keys() & large.keys())} miss a target")


def _explain(measured: list[Measured]) -> None:
    """The plans of the slowest statements, each once."""
    seen: dict[str, tuple[float, Any]] = {}
    for took, sql, parameters in sorted((one.slowest for one in measured), key=lambda one: -one[0]):
        if sql.startswith(("SELECT", "UPDATE", "WITH", "\n")) and sql not in seen and len(seen) < 12:
            seen[sql] = took, parameters
    for sql, (took, parameters) in seen.items():
        print(f"\n{took * 1000:,.0f} ms: {sql[:2000]}\n{json.dumps(parameters, default=str)[:500]}")
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", parameters)
                print("\n".join(f"    {line[:160]}" for (line,) in cursor.fetchall()))
            finally:
                cursor.execute("ROLLBACK")
