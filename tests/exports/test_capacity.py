"""Exports have few places, and a place is free again whatever happens to its export."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
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
place = ExportPlace(sys.argv[1], [])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def places(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Places of this test alone: other tests pull exports at the same time."""
    settings.VAR_DIR = tmp_path
    monkeypatch.setenv("VAR_DIR", str(tmp_path))


def test_a_node_makes_two_at_once_and_a_made_one_makes_room() -> None:
    first, second = ExportPlace("a", ["a"]), ExportPlace("b", ["b"])
    with pytest.raises(CapacityReached, match="making"):
        ExportPlace("c", ["c"])

    first.made()
    third = ExportPlace("c", ["c"])
    for place in (first, second, third):
        place.leave()


def test_a_caller_has_one_until_it_is_sent() -> None:
    first = ExportPlace("a", ["a"])
    first.made()
    with pytest.raises(CapacityReached, match="caller"):
        ExportPlace("a", ["a"])

    first.leave()
    ExportPlace("a", ["a"]).leave()


@pytest.fixture
def take(settings: Any) -> Iterator[Callable[..., bool]]:
    """A function that says whether there is a place for one more caller, who keeps it."""
    settings.EXPORTS_AT_ONCE = 100
    kept: list[ExportPlace] = []

    def take(*organisations: str, **options: bool) -> bool:
        try:
            kept.append(ExportPlace(f"caller {len(kept)}", organisations, **options))
        except CapacityReached:
            return False
        return True

    yield take
    for place in kept:
        place.leave()


def test_many_accounts_do_not_take_all_places(take: Callable[..., bool]) -> None:
    assert [take() for _account in range(3)] == [True, True, False], "of organisations that nobody verified"
    assert [take("a") for _account in range(3)] == [True, True, False]
    assert [take(name) for name in "bcdefgh"] == [True] * 6 + [False], "half of the places are for partners"
    assert take("a", "z") is False
    assert [take("office", is_partner=True) for _account in range(6)] == [True] * 5 + [False]
    assert [take(name, is_partner=True) for name in "uvwxyz"] == [True] * 5 + [False]


def test_partners_leave_the_places_of_others_for_last(take: Callable[..., bool]) -> None:
    assert [take(str(number), is_partner=True) for number in range(10)] == [True] * 10
    assert [take(str(number)) for number in range(100, 111)] == [True] * 10 + [False]


@pytest.mark.django_db
@pytest.mark.parametrize(("who", "status"), [("partner", 200), ("coordinator", 200), ("buyer", 429)])
def test_who_watches_a_region_has_a_place_when_others_have_none(
    take: Callable[..., bool], request: pytest.FixtureRequest, who: str, status: int
) -> None:
    assert all(take(str(number)) for number in range(100, 110))
    client = Client()
    client.force_login(request.getfixturevalue(who))

    answer = client.get("/api/v1/exports/demands")
    assert answer.status_code == status
    if status == 200:
        b"".join(answer)


def test_a_killed_process_frees_its_place() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "cosmomatch.settings"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "a"], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CapacityReached, match="caller"):
            ExportPlace("a", ["a"])
        holder.send_signal(signal.SIGKILL)
    ExportPlace("a", ["a"]).leave()


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
