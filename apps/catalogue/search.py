"""Finding rows by a piece of their text in any language, served by trigram indexes on `upper(column)`."""

from django.contrib.postgres.lookups import TrigramWordSimilar
from django.contrib.postgres.search import TrigramSimilarity
from django.db.models import Case, F, FloatField, Q, Value, When
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Cast, Upper

LONGEST = 80
"""More of a query than this adds nothing that ranks better."""


def clean(text: str) -> str:
    """What is worth searching for: one line, no characters that PostgreSQL cannot hold, not endless."""
    storable = text[: LONGEST * 4].replace("\0", " ").encode("utf-8", "ignore").decode()
    return " ".join(storable.split())[:LONGEST]


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


def matches(field: str, text: str) -> Q:
    """`field` holds `text`, or for three characters and more a run of words much like it (spelling mistakes)."""
    holds = Q(**{f"{field}__icontains": text})
    if len(text) < 3:
        return holds
    return holds | Q(TrigramWordSimilar(Upper(F(field)), Upper(Value(text))))


def rank(field: str, text: str) -> CombinedExpression:
    """How well `field` answers to `text`: equal, at an end, within, resembling; the closer the higher."""
    # What a thing is stands at the end of a Chinese name, and mostly at the start of an English search.
    telling, other = ("iendswith", "istartswith") if is_chinese(text) else ("istartswith", "iendswith")
    how = Case(
        When(**{f"{field}__iexact": text}, then=Value(4.0)),
        When(**{f"{field}__{telling}": text}, then=Value(3.0)),
        When(**{f"{field}__{other}": text}, then=Value(2.0)),
        When(**{f"{field}__icontains": text}, then=Value(1.0)),
        default=Value(0.0),
        output_field=FloatField(),
    )
    return how + Cast(TrigramSimilarity(field, text), FloatField())
