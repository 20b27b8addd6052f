"""A bad day in an aged market: needs are posted while allocation, clocks, exports and readers of the board work.

The workers are those of `make run`, so the contested supply of the whole market is solved again meanwhile. The goal:
both sides of a need are told within 5 seconds of its commit at p95, and none later than 30.
"""

import http.client
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from django.db import connection

from apps.accounts.models import Organisation
from apps.accounts.services import issue_token
from tests.benchmarks import aged, board, flow
from tests.benchmarks.figures import quantile, row
from tests.benchmarks.world import market

MOST_AT_P95: Final = 5.0
MOST: Final = 30.0
READERS: Final = 50  # answers of the board a second
CLOCKS: Final = 3_000  # needs to be asked about and to be escalated, and requests that run out
PULL_EVERY: Final = 10.0  # seconds

# What falls due at random moments of the run: the table, the column, and of which rows.
_CLOCKS: Final = (
    ("demands_demand", "ask_at", "state = 'open' AND asked_at IS NULL"),
    ("demands_demand", "escalates_at", "state = 'open'"),
    ("matching_match", "respond_by", "state = 'held'"),
)


def run(var: Path, mail_port: int, *, needs: int, seed: int, rate: int, seconds: int) -> None:
    with aged.world("B", needs=needs, offers=needs, seed=seed):
        _wind_clocks(seconds)
        with flow.running(var, mail_port) as notes, board.serving(var, mail_port) as (port, _used):
            crowd = board.readers(port, "/", READERS, seconds)
            with _pulling(port) as pulls:
                posts = max(1, rate * seconds // 60)
                told = flow.run(market(seed), aged.hospitals(), notes, posts=posts, every=60 / rate)
            read = crowd.communicate()[0].split()
        row("answers of the board a second", f"{float(read[0]):,.0f}", "" if int(read[1]) else "not all 200")
        row("pulls of changes and of all offers", f"{len(pulls)}", f"the longest {max(pulls, default=0):.1f} s")
        _draw(told)


def _wind_clocks(seconds: int) -> None:
    """Let some rows of each clock fall due, spread over the run."""
    with connection.cursor() as cursor:
        for table, column, which in _CLOCKS:
            cursor.execute(
                f"UPDATE {table} SET {column} = now() + random() * make_interval(secs => %s)"  # noqa: S608  our own names
                f" WHERE id IN (SELECT id FROM {table} WHERE {which} ORDER BY random() LIMIT %s)",
                [seconds, CLOCKS],
            )


@contextmanager
def _pulling(port: int) -> Iterator[list[float]]:
    """A partner pulls what changed every few seconds, and every sixth time all offers. Yields how long each took."""
    office = Organisation.objects.get(kind="government", region="CN")
    partner = office.memberships.select_related("user").get().user
    headers = {"Authorization": f"Bearer {issue_token(partner, name='mix', scopes=['exports'])[1]}"}
    took: list[float] = []
    has_ended = threading.Event()

    def pull() -> None:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        while not has_ended.wait(PULL_EVERY):
            began = time.monotonic()
            path = f"/api/v1/exports/demands?updated_since={quote(since)}"
            since = _pull(port, path, headers) or since
            if len(took) % 6 == 5:
                _pull(port, "/api/v1/exports/offers", headers)
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=pull)
    thread.start()
    try:
        yield took
    finally:
        has_ended.set()
        thread.join()


def _pull(port: int, path: str, headers: dict[str, str]) -> str | None:
    """Read an export to its end. From when on the next one asks."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        while answer.read(65_536):
            pass
        return answer.headers["X-Next-Since"]
    finally:
        link.close()


def _draw(told: Sequence[flow.Told]) -> None:
    """Minute by minute, with a bar as long as the p95."""
    began = min(one.committed for one in told)
    minutes: dict[int, list[float]] = defaultdict(list)
    for one in told:
        minutes[int((one.committed - began) // 60)].append(one.took)
    print(f"\n  from commit until both sides are told, load {os.getloadavg()[0]:.1f}")
    print(
        f"  {'minute':>6} {'needs':>6} {'p50':>7} {'p95':>7} {'slowest':>8}  p95, a mark for each quarter of a second"
    )
    for minute, took in sorted(minutes.items()):
        p50, p95, slowest = (quantile(took, share) for share in (0.5, 0.95, 1))
        bar = "▇" * round(p95 * 4)
        print(f"  {minute + 1:>6} {len(took):>6} {p50:>7.2f} {p95:>7.2f} {slowest:>8.2f}  {bar}")
    took = [one.took for one in told]
    p95, slowest = quantile(took, 0.95), max(took)
    row(f"p95, at most {MOST_AT_P95:.0f} s", f"{p95:.2f} s", "" if p95 <= MOST_AT_P95 else "MISSED")
    row(f"slowest, at most {MOST:.0f} s", f"{slowest:.2f} s", "" if slowest <= MOST else "MISSED")
