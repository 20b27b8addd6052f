"""The cast is data, and its reader refuses what it does not know."""

from typing import Any

import pytest

from apps.demo.cast import EVERYBODY, NEWCOMERS, OFFERS, CastError, read_members, read_offers

MEMBER: dict[str, Any] = {
    "login": "clinic",
    "what": "clinic",
    "person": "A. Person",
    "organisation": "A Clinic",
    "kind": "health_facility",
    "region": "420100",
}
OFFER: dict[str, Any] = {"login": "maker", "item": "mask.surgical", "quantity": 10}


def test_every_log_in_is_one_persons() -> None:
    assert len({member.login for member in EVERYBODY}) == len(EVERYBODY) == 24
    assert list(NEWCOMERS) == ["pending", "pending.hospital", "unverified", "rejected"]
    assert len(OFFERS) == 22


def test_what_is_left_out_has_its_default() -> None:
    [member] = read_members({"members": [MEMBER]}, "members")
    assert (member.sector, member.language, member.identifier_kind) == ("91", "zh-hans", "uscc")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "wizard"}, "members, clinic: kind 'wizard' is unknown."),
        ({"language": "xx"}, "members, clinic: language 'xx' is unknown."),
        ({"telephone": "1"}, "members, clinic: unknown telephone."),
        ({"region": 420100}, "members, clinic: region must be str, not 420100."),
    ],
)
def test_a_strange_member_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CastError) as refused:
        read_members({"members": [MEMBER | change]}, "members")
    assert str(refused.value) == complaint


def test_a_member_without_a_name_is_refused() -> None:
    with pytest.raises(CastError, match=r"members, clinic: person is missing\."):
        read_members({"members": [{name: value for name, value in MEMBER.items() if name != "person"}]}, "members")


def test_an_offer_needs_its_supplier() -> None:
    with pytest.raises(CastError, match="nobody has the log-in 'maker'"):
        read_offers({"offers": [OFFER]}, {"clinic"})


def test_a_price_is_read_without_rounding() -> None:
    [offer] = read_offers({"offers": [OFFER | {"unit_price": "0.35"}]}, {"maker"})
    assert str(offer.facts["unit_price"]) == "0.35"
