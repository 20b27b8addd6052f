"""A board at work: of how many needs somebody is asked. docs/backtest.md has the figures of the whole board."""

import json
from pathlib import Path

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.boards.importing import import_board
from apps.catalogue.models import Standard
from apps.demands.models import Demand
from apps.demands.services import request_matching
from apps.matching import services as matching
from apps.matching.models import Match
from apps.policy.services import make_policy
from apps.policy.values import PolicyValues
from apps.supply.models import Offer
from tests.boards.test_import_board import WUHAN, written
from tests.factories import CALL_BACK

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reference_data")]

HOSPITALS = 40  # None for the whole board, which takes minutes


def needs_and_asked() -> tuple[int, int]:
    """How many open needs are for an item that somebody offers, and of how many of them somebody is asked."""
    now = timezone.now()
    request_matching(list(Demand.objects.open().values_list("pk", flat=True)), now=now)
    Offer.objects.published().update_in_order(match_requested_at=now)
    while matching.sweep():
        pass
    matching.reallocate()
    needs = Demand.objects.open().filter(item__in=Offer.objects.published().values("item"))
    return needs.count(), needs.filter(pk__in=Match.objects.held().values("demand")).count()


@pytest.mark.long
def test_more_of_a_board_is_asked_where_makers_ask_for_two_lots(tmp_path: Path, coordinator: User) -> None:
    kinds = PolicyValues().trial_lots
    make_policy({"trial_lots": dict.fromkeys(kinds, 1)}, note="As before", by=coordinator)
    hospitals, factories = (json.loads((WUHAN / name).read_text()) for name in ("hospitals.json", "factories.json"))
    board = written(tmp_path, *hospitals[:HOSPITALS], factories=factories)
    import_board(board, open_lines=True, coordinator=coordinator, call_back=CALL_BACK)
    needs, as_imported = needs_and_asked()
    # The board names no standard of these goods. As if the makers had stated it, and two trial lots of masks at least.
    for item, code, minimum in (
        ("mask.medical.disposable", "YY/T 0969-2013", 2000),
        ("suit.protective", "GB 19082-2009", 1),
    ):
        offers = Offer.objects.published().filter(item__key=item)
        offers.update(standard=Standard.objects.get(code=code), minimum_order=minimum)
    _needs, with_trial_lots = needs_and_asked()
    make_policy({"trial_lots": dict(kinds)}, note="Minimum orders are met", by=coordinator)
    _needs, with_minimum_orders = needs_and_asked()

    assert as_imported < with_trial_lots < with_minimum_orders
    assert with_minimum_orders >= 0.6 * needs
