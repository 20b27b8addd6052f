"""Reasons are stored short, and read as they were written."""

import json
from typing import Any

import pytest
from django.db import connection

from apps.matching.models import Match
from apps.matching.models.reasons import unpacked
from tests.factories import MatchFactory

pytestmark = pytest.mark.django_db

REASONS: list[dict[str, Any]] = [
    {"name": "distance", "value": 312, "score": 0.708641, "weight": 0.2},
    {"name": "lead_time", "value": None, "score": 1.0, "weight": 0.2},
    {"name": "coverage", "value": 0.6, "score": 0.298338, "weight": 0.25},
    {"name": "standard", "value": '“更好”, "better"', "score": 0.7, "weight": 0.1},
    {"name": "share", "value": {"given": 3, "because": "shared", "others": 2}, "score": 0.5, "weight": 0},
]


def test_reasons_are_read_as_they_were_written() -> None:
    match = MatchFactory.create(terms=REASONS)

    match.refresh_from_db()

    assert match.terms == REASONS
    assert MatchFactory.create(terms=[]).terms == []


def test_reasons_take_less_than_half_the_room_that_they_took() -> None:
    MatchFactory.create(terms=REASONS)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_column_size(packed_terms) + pg_column_size(terms), pg_column_size(%s::jsonb)"
            " FROM matching_match",
            [json.dumps(REASONS)],
        )
        now, before = cursor.fetchone()
    assert now < before / 2


def test_reasons_of_a_worker_that_was_not_restarted_are_read() -> None:
    assert unpacked(json.dumps(REASONS)) == REASONS


def test_reasons_that_the_version_before_wrote_are_read() -> None:
    MatchFactory.create(terms=[])
    Match.objects.update(packed_terms=None, terms_before=REASONS)

    assert Match.objects.get().terms == REASONS
    assert Match.objects.values_list(Match.terms_expression(), flat=True).get() == REASONS
