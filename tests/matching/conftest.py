"""One sweep, and what was told in it."""

import datetime as dt

import pytest

from apps.matching import services as matching
from apps.ops.data.invariants import broken_invariants, untold
from tests.matching.rematching import Sweep, asked, told


@pytest.fixture
def sweep() -> Sweep:
    """One sweep: gives what was told since the one before, and makes sure that a second has nothing to add."""
    seen: list[tuple[str, str]] = []

    def run(now: dt.datetime | None = None) -> list[tuple[str, str]]:
        matching.sweep(now=now)
        news = told()
        for one in seen:
            news.remove(one)
        held, messages = asked(), told()
        assert not matching.sweep(now=now)
        assert (asked(), told()) == (held, messages)
        assert broken_invariants() == {}
        assert untold() == []
        seen[:] = messages
        return news

    return run
