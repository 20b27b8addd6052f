"""Exports have few places, and a place is free again whatever happens to its export."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import issue_token
from apps.exports.capacity import KEEP_UNTIL_SENT, CapacityReached, ExportPlace
from tests.local.processes import ROOT

HOLD = """
import sys, time, django
django.setup()
from apps.exports.capacity import ExportPlace
place = ExportPlace(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


def test_a_node_makes_two_at_once_and_a_made_one_makes_room() -> None:
    first, second = ExportPlace("a"), ExportPlace("b")
    with pytest.raises(CapacityReached, match="making"):
        ExportPlace("c")

    first.made()
    third = ExportPlace("c")
    for place in (first, second, third):
        place.leave()


def test_a_caller_has_one_until_it_is_sent() -> None:
    first = ExportPlace("a")
    first.made()
    with pytest.raises(CapacityReached, match="caller"):
        ExportPlace("a")

    first.leave()
    ExportPlace("a").leave()


def test_a_killed_process_frees_its_place() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "cosmomatch.settings"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "a"], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CapacityReached, match="caller"):
            ExportPlace("a")
        holder.send_signal(signal.SIGKILL)
    ExportPlace("a").leave()


@pytest.fixture
def pull(partner: User) -> Callable[..., Any]:
    """A function that pulls the needs with a token of its own; each call is one request."""
    _token, text = issue_token(partner, name="x", scopes=["exports"])
    return lambda **more: Client().get("/api/v1/exports/demands", headers={"Authorization": f"Bearer {text}"}, **more)


@pytest.mark.django_db
def test_the_second_export_of_a_token_is_told_when_to_come_back(pull: Callable[..., Any]) -> None:
    first = pull()
    second = pull()
    assert (second.status_code, second["Retry-After"], second.json()["code"]) == (429, "5", "exports_busy")

    b"".join(first.streaming_content)
    third = pull()
    assert third.status_code == 200
    third.close()


@pytest.mark.django_db
def test_more_tokens_do_not_give_more_places(pull: Callable[..., Any], partner: User) -> None:
    first = pull()
    _token, text = issue_token(partner, name="y", scopes=["exports"])
    other = Client().get("/api/v1/exports/demands", headers={"Authorization": f"Bearer {text}"})
    assert (other.status_code, other.json()["code"]) == (429, "exports_busy")
    first.close()


@pytest.mark.django_db
def test_an_export_counts_until_the_server_has_sent_it(pull: Callable[..., Any]) -> None:
    until_sent: list[Callable[[], None]] = []
    b"".join(pull(**{KEEP_UNTIL_SENT: until_sent.append}).streaming_content)
    assert pull().status_code == 429

    [sent] = until_sent
    sent()
    assert b"".join(pull().streaming_content)


@pytest.mark.django_db
def test_a_refused_export_takes_no_place(partner: User, settings: Any) -> None:
    settings.EXPORTS_AT_ONCE = 1
    client = Client()
    client.force_login(partner)
    assert client.get("/api/v1/exports/demands?format=xml").status_code == 400
    answer = client.get("/api/v1/exports/demands")
    assert answer.status_code == 200
    answer.close()
