"""Sixteen processes at random for a while, killed at random: at every moment and afterwards every promise holds.

Where not everything came to pass by then, on a busy machine, it goes on for as long again.
"""

import datetime as dt
import multiprocessing
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from django.db import connection, connections
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.models import User
from apps.fulfilment.models import Order
from apps.matching import notices
from apps.matching import services as matching
from apps.matching.models import PENDING, Match, MatchState
from apps.notifications import sending
from apps.notifications.models import Message, MessageState
from apps.ops.data.invariants import broken_invariants, untold, upside_down
from tests.factories import ItemFactory, OfferFactory, OrganisationFactory, SupplierFactory, UserFactory, member, region
from tests.matching.crowd import ROLES, Role, play, sender
from tests.notifications.receivers import free_port

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.servers]

SECONDS = 60  # of a round
MOST_ROUNDS = 4
ROOT = Path(__file__).resolve().parents[2]


def start(role: Role, seed: int, seconds: float) -> BaseProcess:
    """Fork, so that Django is loaded once; a child opens connections of its own."""
    process = multiprocessing.get_context("fork").Process(target=play, args=(role, seed, seconds))
    process.start()
    return process


@pytest.fixture
def market() -> User:
    person, _verifier = UserFactory.create_batch(2)
    places = ("420106", "110102", "440300", "650000")
    items = [ItemFactory.create(key=f"item.{number}", trial_lot=100) for number in range(3)]
    for kind in ("hospital", "community", "enterprise"):
        for place in places:
            member(OrganisationFactory.create(kind=kind, region=region(place)))
    for number, place in enumerate(places):
        maker = SupplierFactory.create(region=region(place))
        member(maker)
        for item in items:
            OfferFactory.create(organisation=maker, item=item, quantity=6_000, minimum_order=1 + 50 * (number % 2))
    return person


@pytest.fixture
def letterbox(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """A mail server in a process of its own, and the file in which it notes the id of every mail it takes in."""
    taken = tmp_path / "taken"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.sink", str(settings.EMAIL_PORT), str(taken)], cwd=ROOT
    )
    try:
        yield taken
    finally:
        server.terminate()
        server.wait(30)


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


@pytest.mark.long
def test_a_crowd_that_is_killed_at_random_breaks_no_promise(market: User, letterbox: Path) -> None:
    chance = random.Random(7)
    before = deadlocks()
    killed: Counter[int] = Counter()
    for _round in range(MOST_ROUNDS):
        let_loose(chance, killed)
        if len(killed) == len(ROLES) and not never_happened():
            break
    assert len(killed) == len(ROLES)
    assert deadlocks() == before

    # What the dead had claimed is taken up when their leases have run out: two sweeps, and all is upright.
    later = timezone.now() + matching.LEASE + dt.timedelta(seconds=1)
    notices.announce_verifications(now=later)
    for _i in range(2):
        matching.sweep(now=later)
    assert upside_down() == []
    assert broken_invariants() == {}
    assert untold() == []

    sent_all(timezone.now() + sending.LEASE + dt.timedelta(seconds=1))
    received = Counter(line.split()[1] for line in letterbox.read_text(encoding="ascii").splitlines())
    assert set(received) == {str(uid) for uid in Message.objects.values_list("uid", flat=True)}
    # Twice is what a sender had handed over and was killed before it could note: the id is the same, to be dropped by.
    assert sum(received.values()) - len(received) <= killed[ROLES.index(sender)] * sending.BATCH

    assert not never_happened()
    assert Order.objects.exists()


def let_loose(chance: random.Random, killed: Counter[int]) -> None:
    connections.close_all()
    end = time.monotonic() + SECONDS
    crowd = [start(role, 1000 * killed.total() + seed, SECONDS) for seed, role in enumerate(ROLES)]
    while (left := end - time.monotonic()) > 2:
        time.sleep(0.5 + chance.random() / 2)
        assert broken_invariants() == {}
        place = min(range(len(ROLES)), key=lambda one: (killed[one], chance.random()))
        assert crowd[place].exitcode is None  # what went wrong stands above
        connections.close_all()
        crowd[place].kill()
        crowd[place].join()
        killed[place] += 1
        crowd[place] = start(ROLES[place], 1000 + killed.total(), left - 1)
    for process in crowd:
        process.join(120)
    assert [process.exitcode for process in crowd] == [0] * len(ROLES)


def never_happened() -> set[str]:
    """What became of no request. At the end, nobody may be waiting."""
    return {*MatchState.values} - {*PENDING} - {*Match.objects.values_list("state", flat=True)}


def sent_all(now: dt.datetime) -> None:
    """Let the senders finish what is due then."""
    while Message.objects.due(now).exists():
        sending.send_due(now=now)
    assert set(Message.objects.values_list("state", flat=True)) == {MessageState.SENT}
