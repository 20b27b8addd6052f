"""From the commit of a need to both sides' mails at a mail server, through a real worker."""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.demands.models import Demand
from apps.local import supervisor
from apps.matching.models import Match
from apps.matching.tasks import sweep
from apps.notifications.models import Message, MessageState
from apps.notifications.tasks import wake
from tests.benchmarks.figures import quantile, row
from tests.benchmarks.sweep import Hospitals, post
from tests.benchmarks.world import Market

PATIENCE = 600  # seconds
EVENTS = ("match.proposed", "demand.suppliers_asked")  # what tells the two sides


@contextmanager
def running(var: Path, mail_port: int) -> Iterator[Path]:
    """Workers and beat as in `make run`, and a mail server; yields the file of its notes."""
    notes = var / "mails"
    notes.touch()
    mail_server = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.sink", str(mail_port), str(notes)])
    group = supervisor.processes(None, workers=settings.WORKER_PROCESSES, mail_port=mail_port, var=var)
    wanted = [process for process in group if process.name == "program"]
    try:
        for process in wanted:
            process.start(time.monotonic())
        _wait_for_worker()
        yield notes
    finally:
        for process in reversed(wanted):
            process.ask_to_stop()
        for process in wanted:
            process.wait_or_kill(time.monotonic() + 20)
        mail_server.terminate()
        mail_server.wait()


def _wait_for_worker() -> None:
    from django.core.cache import cache

    from apps.ops.tasks import WORKER_KEY

    deadline = time.monotonic() + 60
    while cache.get(WORKER_KEY) is None:
        if time.monotonic() > deadline:
            raise SystemExit("The worker did not come up.")
        time.sleep(0.2)


@dataclass(frozen=True)
class Told:
    """A need of which both sides were told: when it was committed, and the seconds until the last of their mails."""

    committed: float
    took: float


def run(market: Market, hospitals: Hospitals, notes: Path, *, posts: int, every: float) -> list[Told]:
    """Post, one every so many seconds (0: as fast as possible), and wait until nothing is left to be sent."""
    pace = f"{60 / every:.0f} a minute" if every else "as fast as possible"
    print(f"\n{posts} needs posted {pace}, {settings.WORKER_PROCESSES} worker processes, load {os.getloadavg()[0]:.1f}")
    committed = _post_all(market, hospitals, posts, every)
    began, posted = min(committed.values()), max(committed.values())
    _wait_until_quiet(list(committed))

    asked, told = _arrivals(notes, list(committed))
    both = [
        Told(committed[pk], max(*asked[pk], told[pk]) - committed[pk]) for pk in committed if asked[pk] and pk in told
    ]
    first = [min(asked[pk]) - committed[pk] for pk in committed if asked[pk]]
    served = Match.objects.filter(demand__in=list(committed)).values("demand").distinct().count()
    if not both:
        raise SystemExit("No mail arrived.")
    end = max(one.committed + one.took for one in both)
    row("posted per second", f"{posts / max(posted - began, 1e-6):,.1f}")
    row("matched, and both sides told, per second", f"{len(both) / (end - began):,.1f}", "from the first commit")
    row("needs that some offer fits", f"{served}", f"both mails arrived for {len(both)}")
    for name, values in (
        ("commit to the first supplier's mail", first),
        ("commit to the last of both sides' mails", [one.took for one in both]),
    ):
        for share in (0.5, 0.95, 1):
            row(f"{name}, {'slowest' if share == 1 else f'p{share * 100:.0f}'}", f"{quantile(values, share):,.2f} s")
    return both


def _post_all(market: Market, hospitals: Hospitals, posts: int, every: float) -> dict[int, float]:
    """When each need was committed, by its id."""
    committed = {}
    start = time.time()
    for number in range(posts):
        if every:
            time.sleep(max(0, start + number * every - time.time()))
        with transaction.atomic():
            demand = post(market, hospitals)
            wake(sweep)
        committed[demand.pk] = time.time()
    return committed


def _wait_until_quiet(ids: Sequence[int]) -> None:
    """Until these needs have left the queue, and everything of what they are told by is sent."""
    deadline = time.monotonic() + PATIENCE
    while (
        Demand.objects.filter(pk__in=ids, match_requested_at__isnull=False).exists()
        or Message.objects.filter(state=MessageState.QUEUED, event__in=EVENTS).exists()
    ):
        if time.monotonic() > deadline:
            print("  (gave up waiting)")
            return
        time.sleep(0.25)


def _arrivals(notes: Path, ids: Sequence[int]) -> tuple[dict[int, list[float]], dict[int, float]]:
    """When the suppliers' mails about each need were handed over, and when the requester's was."""
    arrived: dict[str, float] = {}
    for line in notes.read_text(encoding="ascii").splitlines():
        moment, message_id = line.split()
        arrived.setdefault(message_id, float(moment))
    asked: dict[int, list[float]] = defaultdict(list)
    told: dict[int, float] = {}
    wanted = set(ids)
    messages = Message.objects.filter(event__in=EVENTS, context__demand_id__gte=min(ids)).order_by("pk")
    for uid, event, context in messages.values_list("uid", "event", "context"):
        demand, at = context["demand_id"], arrived.get(str(uid))
        if demand not in wanted or at is None:
            continue
        if event == "match.proposed":
            asked[demand].append(at)
        else:
            told.setdefault(demand, at)
    return asked, told
