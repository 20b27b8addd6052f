"""How many rows PostgreSQL reads for some work: what a test can hold it to, as it does not depend on the machine."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

_OF_SMALL_TABLES: Final = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")


def rows_read(work: Callable[[], object]) -> int:
    """The rows that the queries of this work read from tables and indexes, those among them that a filter drops."""
    with CaptureQueriesContext(connection) as captured:
        work()
    return sum(_rows_of(query["sql"]) for query in captured if query["sql"].startswith(("SELECT", "WITH")))


def _rows_of(statement: str) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        # A small table is read as a whole, index or not: so it is planned as a large one.
        for name in _OF_SMALL_TABLES:
            cursor.execute(f"SET LOCAL {name} = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        [(found,)] = cursor.fetchall()
        for name in _OF_SMALL_TABLES:
            cursor.execute(f"SET LOCAL {name} = on")
    [explained] = json.loads(found) if isinstance(found, str) else found
    return sum(
        round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in _nodes(explained["Plan"])
        if "Relation Name" in node
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node.get("Plans", ()):
        yield from _nodes(part)
