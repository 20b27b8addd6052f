"""No browser and no proxy keeps an answer with a contact or a personal fact. A walk over the URL configuration."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils.regex_helper import normalize

from apps.accounts.models import Organisation, User
from tests.factories import DemandFactory, MatchFactory, OfferFactory

pytestmark = pytest.mark.django_db

# What everybody may know. All other answers are kept by nobody.
PAGES = {"/", "/promise/", "/figures/", "/figures/by-province.csv"}
PUBLIC = {"/api/v1/stats", "/api/v1/items", "/api/v1/regions", "/api/v1/standards", "/api/v1/units"}


def addresses(patterns: list[Any], before: str = "") -> Iterator[str]:
    """Every address of the site as it is written in its configuration, with 1 for each argument."""
    for pattern in patterns:
        path = before + _with_arguments(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield "/" + path
        else:
            yield from addresses(pattern.url_patterns, path)


def _with_arguments(pattern: Any) -> str:
    # Django's own way to turn a pattern into an address; of several ways to write one it takes the first.
    [(text, names), *_others] = normalize(pattern.regex.pattern)
    return text % dict.fromkeys(names, "1")


ADDRESSES = sorted({address for address in addresses(get_resolver().url_patterns) if "/static/" not in address})


@pytest.mark.parametrize("who", ["nobody", pytest.param("coordinator", marks=pytest.mark.long)])
def test_no_answer_is_kept_but_what_everybody_may_know(
    client: Client, who: str, request: pytest.FixtureRequest, hospital: Organisation, maker: Organisation
) -> None:
    MatchFactory.create(
        demand=DemandFactory.create(organisation=hospital), offer=OfferFactory.create(organisation=maker)
    )
    client.raise_request_exception = False
    kept = set()
    for address in ADDRESSES:
        # Anew each time, as the walk passes the way out.
        if who != "nobody":
            client.force_login(request.getfixturevalue(who))
        response = client.get(address)
        if response.get("Cache-Control") != "no-store":
            kept.add("/".join(address.split("/")[:4]))

    assert kept == PUBLIC | (PAGES if who == "nobody" else set())
    assert len(ADDRESSES) > 150


def test_a_page_with_a_contact_is_not_kept(client: Client, buyer: User, hospital: Organisation) -> None:
    client.force_login(buyer)
    page = client.get(f"/organisation/{hospital.pk}/")

    assert hospital.contact_phone in page.text
    assert page["Cache-Control"] == "no-store"
