"""A backup that is taken while people work is restored, and nothing that was told before acts on another row."""

import datetime as dt
import threading
from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.demands.models import Demand
from apps.exports.datasets import DATASETS
from apps.exports.services import next_since, pull
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order
from apps.matching import services as matching
from apps.matching.models import Match
from apps.notifications.links import make_link
from tests.databases import another_database, connected_by, dump, restore
from tests.factories import DemandFactory, MatchFactory, OfferFactory

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db(transaction=True)]


class People(threading.Thread):
    """Posts needs, has them matched and accepts, until told to stop."""

    def __init__(self, hospital: Organisation) -> None:
        super().__init__()
        self.hospital, self.done, self.accepted = hospital, threading.Event(), 0

    def run(self) -> None:
        while not self.done.is_set():
            DemandFactory.create(organisation=self.hospital, quantity=10, queued=True)
            matching.sweep()
            for match in Match.objects.held():
                fulfilment.accept_match(match, by=None)
                self.accepted += 1
        connections.close_all()


def test_a_backup_under_load_is_restored_and_old_links_act_on_nothing(
    hospital: Organisation, maker: Organisation, buyer: User, supplier: User
) -> None:
    OfferFactory.create(organisation=maker, quantity=1_000_000)
    people = People(hospital)
    people.start()
    while people.accepted < 3:
        people.done.wait(0.1)
    backup = dump(**connected_by())
    taken = people.accepted
    while people.accepted < taken + 3:
        people.done.wait(0.1)
    people.done.set()
    people.join()

    # The last match is not in the backup. Its supplier has a link, and a partner has a copy of its need.
    lost, since = Match.objects.latest("pk").pk, next_since()
    # A link bears the next whole second, and this restore may take less than one.
    told_at = timezone.now() - dt.timedelta(seconds=1)
    link = urlsplit(make_link("match.accept", lost, supplier, told_at + dt.timedelta(hours=2), told_at=told_at)).path

    with another_database() as connected:
        restore(backup, make_conninfo(**connected))
        assert not Match.objects.filter(pk=lost).exists()
        out = StringIO()
        call_command("after_restore", stdout=out)

        assert "All promises hold." in out.getvalue()
        assert Demand.objects.exists()
        assert MatchFactory.create().pk > lost
        again = MatchFactory.create(pk=lost, offer=OfferFactory.create(organisation=maker))
        orders = Order.objects.count()
        assert (Client().get(link).status_code, Client().post(link).status_code) == (410, 410)
        assert (Order.objects.count(), Match.objects.get(pk=lost).state) == (orders, again.state)
        with pytest.raises(RuleViolation, match="Pull everything anew"):
            pull(DATASETS["demands"], buyer, updated_since=since)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE supply_offer SET quantity_reserved = quantity_reserved + 1")
        with pytest.raises(SystemExit):
            call_command("after_restore", stdout=out)
        assert "wrong  what an offer has promised" in out.getvalue()
