"""Finding rows by a piece of their text in any language, served by trigram indexes on `upper(column)`."""

from collections import defaultdict
from collections.abc import Collection
from typing import Final

from django.contrib.postgres.lookups import TrigramWordSimilar
from django.contrib.postgres.search import TrigramSimilarity
from django.db import connection
from django.db.models import Case, F, FloatField, Q, Value, When
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Cast, Upper

# In characters. A longer text only costs time, and what comes later in it improves no rank.
LONGEST = 80

# The query of `Item.objects.search` without its finer ranks, for many names in one pass: the ORM knows no LATERAL, and
# a search for each name takes a tenth of a second.
_NEAREST_ITEMS: Final = """
    WITH called AS (
        SELECT id AS item_id, upper(unnest(ARRAY[key, name_zh, name_en])) AS name FROM catalogue_item
        UNION ALL
        SELECT item_id, upper(text) FROM catalogue_itemalias
    )
    SELECT wanted.name, near.item_id
    FROM unnest(%(names)s::text[]) AS wanted (name)
    CROSS JOIN LATERAL (
        SELECT called.item_id, max(similarity(called.name, upper(wanted.name))) AS closeness
        FROM called
        WHERE strpos(called.name, upper(wanted.name)) > 0 OR upper(wanted.name) <%% called.name
        GROUP BY called.item_id
        ORDER BY closeness DESC, called.item_id
        LIMIT %(most)s
    ) near
"""


def clean(text: str) -> str:
    """The text as it is searched for: one line of at most `LONGEST` characters.

    PostgreSQL cannot store NUL or lone surrogates, so these are dropped: any input is safe.
    """
    # Cut before any work is done, so that a text of megabytes costs nothing. Blanks may take up the rest.
    storable = text[: LONGEST * 4].replace("\0", " ").encode("utf-8", "ignore").decode()
    return " ".join(storable.split())[:LONGEST]


def is_chinese(text: str) -> bool:
    """Whether the text has a character of the block CJK Unified Ideographs."""
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


def matches(field: str, text: str) -> Q:
    """`field` holds `text`, or for three characters and more a run of words much like it (spelling mistakes)."""
    # Below three characters there is no trigram to compare: containment alone decides.
    holds = Q(**{f"{field}__icontains": text})
    if len(text) < 3:
        return holds
    return holds | Q(TrigramWordSimilar(Upper(F(field)), Upper(Value(text))))


def rank(field: str, text: str) -> CombinedExpression:
    """How well `field` matches `text`: 4 if equal, 3 or 2 at an end, 1 inside, plus the similarity (0 to 1)."""
    # A Chinese name ends with the thing itself (医用外科口罩 is a 口罩), and an English search mostly begins with it.
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


def nearest_items(names: Collection[str], *, most: int) -> dict[str, list[int]]:
    """For each of these names, as `clean` makes them, the ids of the items with names most like it, the best first."""
    found: dict[str, list[int]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_NEAREST_ITEMS, {"names": list(names), "most": most})
        for name, item_id in cursor.fetchall():
            found[name].append(item_id)
    return found
