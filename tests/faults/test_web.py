"""Pages and API while a server hangs, is full or can only be read: in words, with the time to come again, no 500."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from tests.faults.deployment import Answer, Deployment
from tests.local.processes import eventually

# Without the mark no test database is made, and there would be no tables to copy.
pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db]

READS = ("/", "/login/", "/api/v1/items/", "/api/v1/stats/")


@pytest.fixture(scope="module")
def site(deployment: Deployment) -> Iterator[Deployment]:
    # A statement may take a second here, so that the test need not wait for twenty.
    with deployment.web(DATABASE_STATEMENT_SECONDS="2"):
        for path in READS:
            assert deployment.ask(path).status == 200
        yield deployment


def tell_to_come_again(*answers: Answer) -> None:
    for answer in answers:
        assert (answer.status, answer.headers.get("Retry-After")) == (503, "5"), answer
        assert "Temporarily unavailable" in answer.body


def works(site: Deployment) -> bool:
    return all(site.ask(path, seconds=5).status == 200 for path in (*READS, "/readyz"))


def test_a_database_that_hangs_is_a_503_and_the_process_lives(site: Deployment) -> None:
    logged_in = {"Cookie": "sessionid=" + "a" * 32}
    paths = ("/needs/", "/api/v1/items/", "/desk/") * 5
    with site.frozen("PostgreSQL"), ThreadPoolExecutor(20) as clients:
        asked = [clients.submit(site.ask, path, None, logged_in) for path in paths]
        time.sleep(0.5)
        began = time.monotonic()
        assert site.ask("/healthz").status == 200
        assert not any(each.done() for each in asked), "it waited for none of the fifteen"
        assert site.ask("/readyz").status == 503
        tell_to_come_again(*(each.result() for each in asked))
        # Two threads answered fifteen that would each have waited for seconds.
        assert time.monotonic() - began < 25

    eventually(lambda: works(site), "all as before", 15)


def test_a_database_that_can_only_be_read_shows_pages_and_is_not_ready(site: Deployment) -> None:
    with site.read_only("PostgreSQL"):
        assert site.ask("/api/v1/items/").status == 200
        ready = site.ask("/readyz")
        assert (ready.status, ready.json()["checks"]["database"]) == (503, "The database can only be read.")


@pytest.mark.parametrize("trouble", ["emptied", "read-only", "full", "frozen"])
def test_no_trouble_of_redis_is_a_fault_of_ours(site: Deployment, trouble: str) -> None:
    troubles: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "emptied": site.emptied,
        "read-only": lambda: site.read_only("Redis"),
        "full": site.full_memory,
        "frozen": lambda: site.frozen("Redis"),
    }
    with troubles[trouble]():
        answers = [site.ask(path) for path in READS]
        assert [answer.status for answer in answers] == [200] * len(READS)
        assert site.ask("/readyz").status == 200
        # Guesses of passwords that cannot be counted are not taken.
        posted = site.post_form("/login/", login="nobody@example.org", password="wrong password")
        if trouble == "emptied":
            assert posted.status == 200
        else:
            tell_to_come_again(posted)
    eventually(lambda: works(site), "all as before", 15)
