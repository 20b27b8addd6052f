"""Pulling a dataset: PostgreSQL writes the format by COPY into a spool, and the reader follows at its own pace.

A transaction that waited for a reader would keep PostgreSQL from clearing dead rows in the whole database, for as long
as the reader likes. So a thread copies as fast as PostgreSQL writes and ends the transaction, whoever reads.

Measured against the copy command of psql: blocks of 64 KiB take hardly longer, the csv module five times as long, and
rows passed on one by one eight times.
"""

import codecs
import datetime as dt
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import StrEnum
from threading import Thread
from typing import Any, Final

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet, Subquery, TextField, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.catalogue.models import Item, Region
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.models import Restore
from apps.core.postgresql import replica
from apps.core.postgresql.connections import waiting_at_most
from apps.core.retention import SECONDS, delete_in_batches
from apps.exports import workbook
from apps.exports.columns import ColumnKind, ExportColumn, for_csv, for_json, for_sheet
from apps.exports.datasets import DATASETS, ExportDataset
from apps.exports.models import Tombstone
from apps.exports.spool import BLOCK, ReaderLeft, Spool

EXPORT_SECONDS: Final = 600  # the most that the database may take for one

# PostgreSQL weighs plans by when the last row comes, and would sort all before the first. So a large pull has two
# parts. The first rows come by the index of changes, with these settings: no process is started before the first row.
# All others are sorted, which takes less time than to fetch them one by one, and less with memory than with the usual
# 4 MB. Nothing is compiled: that took longer than it saved.
FIRST_ROWS: Final = 2_000
FIRST_ROWS_AT_ONCE: Final = {"enable_sort": "off", "max_parallel_workers_per_gather": "0", "jit": "off"}
ALL_OTHERS: Final = {
    "enable_sort": "DEFAULT",
    "max_parallel_workers_per_gather": "DEFAULT",
    "jit": "off",
    "work_mem": "'64MB'",
}

# A transaction that begins between reading the clock and reading the running transactions does not show yet.
MARGIN: Final = dt.timedelta(milliseconds=100)


KEEP_TOMBSTONES: Final = dt.timedelta(days=180)
# A pull that was just in time is not overtaken by the deletion.
_LATER: Final = dt.timedelta(days=1)


class ExportFormat(StrEnum):
    """Formats by their public names. Those without a media type are planned and refused."""

    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"
    PARQUET = "parquet"


MEDIA_TYPES: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.JSONL: "application/jsonl",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class ExportPull:
    """One pull: blocks of bytes to pass on, and the time to ask from at the next pull.

    The query begins with the first block and not before. Until the web server has taken over, the request still needs
    its connection, and a connection that is copying serves nothing else.
    """

    def __init__(self, blocks: Generator[bytes, None, None], next_since: dt.datetime) -> None:
        self._blocks = blocks
        self.next_since = next_since

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def close(self) -> None:
        """Stop PostgreSQL in the middle if need be, and end its transaction."""
        self._blocks.close()


def pull(
    dataset: ExportDataset,
    user: User,
    *,
    form: str = ExportFormat.CSV,
    region: Region | None = None,
    item: Item | None = None,
    states: tuple[str, ...] = (),
    updated_since: dt.datetime | None = None,
    excel: bool = False,
) -> ExportPull:
    """The rows of `dataset` that `user` may see, changed at `updated_since` or later, in the order of change.

    With `excel`, CSV begins with a byte order mark: Excel takes a file without one for the code page of its system.
    Raises `RuleViolation`: `format_not_available`, `state_unknown`, `item_not_possible`, `too_many_rows`,
    `delta_too_old`.
    """
    if form not in MEDIA_TYPES:
        raise RuleViolation(
            "format_not_available",
            _("The format “%(format)s” is not available. Take csv, jsonl or xlsx.") % {"format": form[:20]},
            field="format",
        )
    unknown = [state for state in states if state not in dataset.states]
    if unknown:
        raise RuleViolation(
            "state_unknown",
            _("The states of this dataset are: %(states)s.") % {"states": ", ".join(dataset.states)},
            field="state",
        )
    if item is not None and dataset.item is None:
        raise RuleViolation("item_not_possible", _("This dataset cannot be narrowed to an item."), field="item")

    # Before anything is read: a moment taken later could pass over rows that the query does not show yet. The primary
    # alone knows who still writes; what has ended by now, a replica shows as well.
    since = next_since()
    with replica.reading() as alias:
        rows = dataset.rows(user, region=region, item=item, states=states, updated_since=updated_since)
        if form == ExportFormat.XLSX and rows.order_by()[workbook.MOST_ROWS :].exists():
            raise RuleViolation(
                "too_many_rows",
                _("A sheet has at most %(most)s rows. Narrow it, or take csv.") % {"most": workbook.MOST_ROWS},
                field="format",
            )
        parts = [(part, (*dataset.columns, _removed(is_removed=False))) for part in _first_and_rest(dataset, rows)]
        if updated_since is not None:
            _refuse_what_is_forgotten(dataset, updated_since)
            left = dataset.tombstones(user, region=region, item=item, states=states, updated_since=updated_since)
            parts += [(rows, tombstone_columns(dataset, lookup)) for lookup, rows in left]
        statements = [
            copy_statement(rows, columns, form, first=not index) for index, (rows, columns) in enumerate(parts)
        ]
    start = codecs.BOM_UTF8 if excel and form == ExportFormat.CSV else b""
    narrowed = {
        "region": region and region.code,
        "item": item and item.key,
        "states": list(states),
        "updated_since": updated_since and updated_since.isoformat(),
    }
    asked = {"dataset": dataset.name, "format": str(form), **{name: value for name, value in narrowed.items() if value}}
    blocks = _blocks(alias, statements, start, user, asked)
    if form == ExportFormat.XLSX:
        blocks = workbook.packed(dataset.name, [column.name for column in parts[0][1]], blocks, BLOCK)
    return ExportPull(blocks, since)


def _first_and_rest(dataset: ExportDataset, rows: QuerySet[Any]) -> list[QuerySet[Any]]:
    """The rows in two parts, if there are many. A row that changes in between moves on, so it is not missed."""
    column = dataset.model.BY_CHANGE[0]
    bound = list(rows.values_list(column, flat=True)[FIRST_ROWS : FIRST_ROWS + 1])
    return (
        [rows.filter(**{f"{column}__lt": bound[0]}), rows.filter(**{f"{column}__gte": bound[0]})] if bound else [rows]
    )


def _refuse_what_is_forgotten(dataset: ExportDataset, since: dt.datetime) -> None:
    """Raise `delta_too_old` where a copy would keep what left: a tombstone is deleted, or the data was restored."""
    kept_from = timezone.now() - KEEP_TOMBSTONES
    old = Tombstone.objects.filter(dataset=dataset.name, updated_at__gte=since, updated_at__lt=kept_from)
    if (since < kept_from and old.exists()) or Restore.since(since):
        raise RuleViolation(
            "delta_too_old",
            _("It is not known any more what left since then. Pull everything anew, without updated_since."),
            status=410,
        )


def forget_tombstones(*, now: dt.datetime | None = None) -> int:
    """Delete tombstones that are older than they are kept; returns how many.

    The newest of these stays in each dataset. It tells whether anything was deleted, so a site where nothing left for
    long refuses nobody.
    """
    before = (now or timezone.now()) - KEEP_TOMBSTONES - _LATER
    deleted = 0
    for dataset in DATASETS:
        old = Tombstone.objects.filter(dataset=dataset, updated_at__lt=before).order_by("updated_at")
        newest = old.reverse().values("updated_at")[:1]
        deleted += delete_in_batches(old.filter(updated_at__lt=Subquery(newest)), seconds=SECONDS / len(DATASETS))
    return deleted


def _removed(*, is_removed: bool) -> ExportColumn:
    """The last column of every row: whether it says that a row of this id left."""
    return ExportColumn("removed", lambda: Value(is_removed), ColumnKind.FLAG)


def tombstone_columns(dataset: ExportDataset, id_lookup: str) -> tuple[ExportColumn, ...]:
    """The columns of rows that left: their id and when, and nothing else of them."""
    nothing = {column.name: ExportColumn(column.name, lambda: Value(None, TextField())) for column in dataset.columns}
    told = {
        "id": ExportColumn("id", id_lookup, ColumnKind.ID),
        "updated_at": ExportColumn("updated_at", "updated_at", ColumnKind.TIME),
    }
    return (*{**nothing, **told}.values(), _removed(is_removed=True))


def next_since() -> dt.datetime:
    """The earliest stamp that a row may bear which a snapshot taken after this call does not show.

    A row is stamped with the time of its statement, and appears when its transaction ends. A transaction that has
    written (it has an id then) may end after this pull and leave a stamp as old as its own beginning. A statement that
    runs and has not written yet may leave a stamp as old as itself. So the next pull asks from the oldest of these; a
    few rows come twice, and none is missed. A transaction that has only read does not count, however long it stays
    open: what it still writes bears the time of a later statement.
    """
    with connection.cursor() as cursor:
        # MATERIALIZED, so that the clock is read once and not again for each row.
        cursor.execute(
            "WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now) "
            "SELECT least((SELECT now FROM clock), "
            "min(CASE WHEN backend_xid IS NOT NULL THEN xact_start WHEN state = 'active' THEN query_start END)) "
            "FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        (moment,) = cursor.fetchone()
    return moment - MARGIN  # type: ignore[no-any-return]  # a timestamptz


Statement = tuple[str, tuple[Any, ...]]


def copy_statement(
    rows: QuerySet[Any], columns: tuple[ExportColumn, ...], form: str, *, first: bool = True
) -> Statement:
    """The COPY that writes these columns of rows in this format, and its parameters. The first one has the header."""
    return _STATEMENTS[ExportFormat(form)](rows, columns, first)


def _csv(rows: QuerySet[Any], columns: tuple[ExportColumn, ...], first: bool) -> Statement:
    select, parameters = _select(rows, columns, for_csv)
    return f"COPY ({select}) TO STDOUT (FORMAT csv{', HEADER' if first else ''})", parameters


def _json_lines(rows: QuerySet[Any], columns: tuple[ExportColumn, ...], _first: bool) -> Statement:
    select, parameters = _select(rows, columns, for_json)
    lines = f"SELECT row_to_json(line) FROM ({select}) AS line"  # noqa: S608  # the names and expressions are ours
    return f"COPY ({lines}) TO STDOUT ({_AS_IT_IS})", parameters


def _sheet_rows(rows: QuerySet[Any], columns: tuple[ExportColumn, ...], _first: bool) -> Statement:
    select, parameters = _select(rows, columns, for_sheet)
    cells = ", ".join(f'"{column.name}"' for column in columns)
    lines = f"SELECT concat('<row>', {cells}, '</row>') FROM ({select}) AS line"  # noqa: S608  # the names are ours
    return f"COPY ({lines}) TO STDOUT ({_AS_IT_IS})", parameters


# Neither JSON nor XML holds a control character, so with these as delimiter and quote a line is written as it is.
_AS_IT_IS: Final = r"FORMAT csv, DELIMITER E'\x02', QUOTE E'\x01'"

_STATEMENTS: Final = {ExportFormat.CSV: _csv, ExportFormat.JSONL: _json_lines, ExportFormat.XLSX: _sheet_rows}


def _select(rows: QuerySet[Any], columns: tuple[ExportColumn, ...], write: Callable[[ExportColumn], Any]) -> Statement:
    """The rows with these columns under their public names."""
    query = rows.values_list(*(write(column) for column in columns)).query
    # Somebody who may see nothing gets no rows; Django would not ask the database at all.
    select, parameters = query.get_compiler(connection=connection, elide_empty=False).as_sql()
    names = ", ".join(f'"{column.name}"' for column in columns)
    return f"SELECT * FROM ({select}) AS row ({names})", tuple(parameters)  # noqa: S608  # the names and expressions are ours


def _blocks(
    alias: str, statements: list[Statement], start: bytes, user: User, asked: dict[str, Any]
) -> Generator[bytes, None, None]:
    """`start` and the output of COPYs, in blocks. Closing the generator cancels the query and ends its transaction.

    What was `asked` goes into the audit trail with the number of rows, which is null where the reader left before all
    were made.
    """
    spool = Spool()
    spool.write(start)
    database = connections[alias]
    database.ensure_connection()
    # The writer has the connection of this thread, which does not touch it before the writer has ended.
    database.inc_thread_sharing()
    writer = Thread(target=_copy, args=(database, statements, spool), name="export", daemon=True)
    writer.start()
    try:
        yield from spool.read()
    finally:
        spool.leave()
        writer.join()
        database.dec_thread_sharing()
        spool.close()
        audit.record(user, "export.pulled", user, **asked, rows=spool.rows)


def _copy(database: BaseDatabaseWrapper, statements: list[Statement], spool: Spool) -> None:
    """Copy into the spool at full speed, end the transaction, and give the connection back to its pool."""
    error: BaseException | None = None
    try:
        session = database.connection
        with waiting_at_most(session, EXPORT_SECONDS + 10), session.transaction():
            # An export can write nothing, whatever its query is made of.
            session.execute("SET TRANSACTION READ ONLY")
            # It may take longer than a page may.
            session.execute(f"SET LOCAL statement_timeout = '{EXPORT_SECONDS}s'")
            rows, rest = 0, bytearray()
            for index, (statement, parameters) in enumerate(statements):
                for name, value in (ALL_OTHERS if index else FIRST_ROWS_AT_ONCE).items():
                    session.execute(f"SET LOCAL {name} TO {value}")
                with session.cursor() as cursor:
                    with cursor.copy(statement, parameters) as copy:
                        _write_blocks(copy, spool, rest)
                    rows += cursor.rowcount
            spool.write(bytes(rest))
            spool.rows = rows
    except ReaderLeft:
        pass
    except Exception as caught:  # noqa: BLE001  # whatever it is, the reader raises it
        error = caught
    finally:
        if not database.in_atomic_block:
            database.close_if_unusable_or_obsolete()
        spool.end(error)


def _write_blocks(copy: Iterable[bytes | bytearray | memoryview], spool: Spool, rest: bytearray) -> None:
    """Regroup: psycopg yields a row or so at a time, and passing on each by itself would cost eight times as long.

    `rest` holds what is no whole block yet, before and after.
    """
    for row in copy:
        rest += row
        while len(rest) >= BLOCK:
            spool.write(bytes(rest[:BLOCK]))
            del rest[:BLOCK]
