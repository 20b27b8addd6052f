from typing import Any

import pytest
from django.utils import translation

from apps.matching.explanation import wording
from apps.matching.scoring.eligibility import OF_SHORTAGES


@pytest.mark.parametrize(
    ("name", "value", "score", "text"),
    [
        ("coverage", 1000, 1.0, "It has enough for all that is still needed."),
        ("coverage", 1234, 0.4, "It has enough for 40 % of what is still needed: 1,234."),
        ("coverage", 1, 0.0001, "It has enough for 1 % of what is still needed: 1."),
        ("distance", 1, 0.9, "It comes from 1 km away."),
        ("distance", 1052, 0.3, "It comes from 1,052 km away."),
        ("distance", 0, 1.0, "It comes from the same place."),
        ("distance", None, 0.5, "The distance is not known."),
        ("lead_time", 0, 1.0, "It can be sent at once."),
        ("lead_time", 1, 1.0, "It takes 1 day to come."),
        ("lead_time", 20, 0.0, "It takes 20 days to come, which is too late."),
        ("standard", "exceeds", 0.9, "Its standard meets or exceeds the one that is needed."),
        ("freshness", 0.3, 1.0, "The supplier confirmed it within the last day."),
        ("freshness", 3.7, 0.7, "The supplier last confirmed it 3 days ago."),
        ("record", 0, 0.8, "The supplier is new here and has no record yet."),
        ("record", 1, 0.83, "The supplier has had 1 match before; its record is 83 of 100."),
        ("price", "donation", 1.0, "It is a donation."),
        ("price", 0.9, 0.6, "Its price is 10 % below the usual one."),
        ("price", 1.25, 0.25, "Its price is 25 % above the usual one."),
        ("price", None, 0.5, "There is no price to compare."),
    ],
)
def test_each_term_says_what_it_means(name: str, value: object, score: float, text: str) -> None:
    with translation.override("en"):
        assert wording.sentence(name, value, score) == text


@pytest.mark.parametrize(
    ("because", "others", "above", "text"),
    [
        ("", 0, 0, "All 1,000 that were still needed are asked for."),
        ("shared", 3, 0, "400 of 1,000 could be asked for: it is shared with 3 other needs of the same priority."),
        ("shared", 1, 5, "400 of 1,000 could be asked for: it is shared with 1 other need of the same priority."),
        ("higher", 0, 2, "400 of 1,000 could be asked for: 2 needs of higher priority were served first."),
        ("exhausted", 0, 0, "400 of 1,000 could be asked for: that is all there is."),
    ],
)
def test_a_share_says_why_it_is_not_more(because: str, others: int, above: int, text: str) -> None:
    value = {"given": 400, "wanting": 1000, "because": because, "others": others, "above": above}
    with translation.override("en"):
        assert wording.sentence("share", value, 0.4) == text


def test_every_reason_why_a_need_got_no_more_has_its_words() -> None:
    value = {"given": 0, "wanting": 1, "others": 1, "above": 1}
    texts = {wording.sentence("share", {**value, "because": because}, 0) for because in OF_SHORTAGES}
    assert len(texts) == len(OF_SHORTAGES)


def test_the_weightiest_reason_comes_first() -> None:
    terms: list[dict[str, Any]] = [
        {"name": "price", "value": None, "score": 0.5, "weight": 0.05},
        {"name": "coverage", "value": 5, "score": 1.0, "weight": 0.25},
    ]

    assert [term["term"] for term in wording.explain(terms)] == ["coverage", "price"]
