"""The verbs of imports: request one, confirm or cancel it, work on what is due, delete old ones.

Only this module writes `SheetImport`.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from django.db import IntegrityError, connection, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, User
from apps.core.errors import RuleViolation
from apps.core.retention import delete_in_batches
from apps.core.states import move
from apps.supply import services
from apps.supply.models import ImportState, SheetImport
from apps.supply.reading import ReadSheet, describe, read_rows

log = structlog.get_logger(__name__)

# A worker that dies loses its claim after this long without a step.
LEASE: Final = dt.timedelta(minutes=3)
ATTEMPTS: Final = 3
# Each import keeps its file for a while.
MOST_A_DAY: Final = 100
KEEP: Final = dt.timedelta(days=7)
# The share of the work that reading is, in per cent: of a sheet that is only checked, and of one that is saved as well.
_READ_ALONE: Final = 90
_READ: Final = 50
_SAVED: Final = 95

# By hand, because it runs on a connection of its own, which has no models. A claim that was lost writes nothing.
_TELL: Final = """
    UPDATE supply_sheetimport SET saved = %(saved)s, progress = %(progress)s, claimed_until = %(claimed_until)s
    WHERE id = %(id)s AND state = 'running' AND attempts = %(attempts)s
"""


class ClaimLostError(Exception):
    """The import was cancelled, or another worker has it."""


@transaction.atomic
def request_import(
    organisation: Organisation, data: bytes, *, by: User, language: str, publish: bool = False, confirmed: bool = False
) -> SheetImport:
    """Queue a sheet. With `confirmed`, its offers are saved if no row has a fault; else it waits for `confirm_import`.

    An earlier sheet that waits for its confirmation gives way. Raises `not_a_supplier`, `import_running` and
    `too_many_imports`.
    """
    if not organisation.can_supply:
        raise RuleViolation("not_a_supplier", _("This kind of organisation does not publish offers."))
    mine = SheetImport.objects.filter(organisation=organisation)
    if mine.filter(created_at__gt=timezone.now() - dt.timedelta(days=1)).count() >= MOST_A_DAY:
        raise RuleViolation(
            "too_many_imports",
            _("At most %(most)s sheets can be imported in a day.") % {"most": MOST_A_DAY},
            status=429,
        )
    # So an organisation has at most one file that waits, and whoever corrects a sheet need not cancel the old one.
    for earlier in mine.filter(state=ImportState.CHECKED).defer("data", "rows"):
        cancel_import(earlier)
    with _one_at_a_time():
        return SheetImport.objects.create(
            organisation=organisation,
            requested_by=by,
            data=data,
            language=language,
            publish=publish,
            is_confirmed=confirmed,
        )


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """A transaction in which the constraint of one import for each organisation turns into words."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "import_one_under_way" not in str(error):
            raise
        raise RuleViolation(
            "import_running", _("A sheet of this organisation is being read. Wait for it, or cancel it.")
        ) from error


def confirm_import(asked: SheetImport, *, by: User, publish: bool) -> None:
    """Have the offers of a checked sheet saved. Raises `rows_invalid`, `import_running`, and as `move` does.

    A sheet that was not checked for publishing is checked again first: its sender has not seen what is asked about.
    """
    if asked.state == ImportState.CHECKED and asked.faulty:
        raise RuleViolation("rows_invalid", _("Nothing was imported: some rows have faults."))
    # The attempts count anew: reading and saving may each be tried three times.
    anew = {"progress": 0, "attempts": 0, "claimed_until": None}
    was_judged = asked.publish or not publish
    with _one_at_a_time():
        move(asked, ImportState.WAITING, is_confirmed=was_judged, publish=publish, requested_by=by, **anew)


def cancel_import(asked: SheetImport) -> None:
    """Stop an import; its worker notices at its next step, and saves nothing. Raises as `move` does."""
    move(asked, ImportState.CANCELLED, data=b"", rows=[])


def take_turn(organisation: Organisation) -> bool:
    """Whether no other request reads a sheet of this organisation at this moment. Ends with the transaction."""
    # A lock of the database and not a row, because a row would show to others only when the request is over.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtext('supply.import'), hashtext(%s))", [str(organisation.pk)]
        )
        return bool(cursor.fetchone()[0])


def import_due(*, now: dt.datetime | None = None) -> bool:
    """Claim the import that has waited longest, and work on it. Returns whether there is more to do.

    Safe to run twice and side by side: a result is kept by the worker that still holds the claim.
    """
    claimed = _claim(now or timezone.now())
    if claimed is None:
        return False
    try:
        with translation.override(claimed.language):
            _work_on(claimed)
    except ClaimLostError:
        log.info("import_claim_lost", sheet=claimed.pk)
    return SheetImport.objects.due(timezone.now()).exists()


@transaction.atomic
def _claim(now: dt.datetime) -> SheetImport | None:
    due = SheetImport.objects.due(now).select_for_update(of=["self"], skip_locked=True, no_key=True).order_by("pk")
    while (found := due.select_related("organisation__region", "requested_by").first()) is not None:
        # Each claim counts as an attempt beforehand: a worker that is killed cannot count its own failure.
        facts: dict[str, Any] = {
            "state": ImportState.RUNNING,
            "claimed_until": now + LEASE,
            "attempts": found.attempts + 1,
            "saved": 0,
            "to_save": 0,
        }
        SheetImport.objects.filter(pk=found.pk).update(**facts)
        for name, value in facts.items():
            setattr(found, name, value)
        if found.attempts <= ATTEMPTS:
            return found
        log.error("import_failed", sheet=found.pk, attempts=found.attempts)
        with translation.override(found.language):
            _fail(found, "given_up", _("This sheet could not be read. Divide it into several, and try again."))
    return None


def _work_on(claimed: SheetImport) -> None:
    reading = _READ if claimed.is_confirmed else _READ_ALONE
    try:
        sheet = read_rows(
            claimed.organisation,
            bytes(claimed.data),
            by=claimed.requested_by,
            publish=claimed.publish,
            on_progress=lambda share: _update(claimed, progress=round(reading * share), claimed_until=_lease()),
        )
    # Any other exception is a fault of ours or of the database: the lease runs out, and it is tried again.
    except RuleViolation as violation:
        _fail(claimed, violation.code, violation.message)
        return
    if claimed.is_confirmed and not sheet.faulty:
        _save(claimed, sheet)
    else:
        # The file is read again when it is saved, because names and rules may have changed. One with faults never is.
        data = b"" if sheet.faulty else claimed.data
        _update(claimed, state=ImportState.CHECKED, data=data, **_result(sheet))


def _save(claimed: SheetImport, sheet: ReadSheet) -> None:
    # The key holds the number of the import, so that no row is saved twice, whatever goes wrong.
    rows = [{**row.facts, "source": "sheet", "source_key": f"{claimed.pk}:{row.number}"} for row in sheet.rows]
    # The rows of an unverified organisation are kept, not refused: a sheet is much work.
    publish = claimed.publish and claimed.organisation.is_verified
    _update(claimed, progress=_READ, to_save=len(rows), claimed_until=_lease())
    try:
        with _telling(claimed, len(rows)) as tell, transaction.atomic():
            offers = services.create_offers(
                claimed.organisation, rows, by=claimed.requested_by, publish=publish, on_progress=tell
            )
            # In the same transaction: who lost the claim meanwhile saves nothing.
            _update(
                claimed,
                state=ImportState.DONE,
                data=b"",
                publish=publish,
                offers=[offer.pk for offer in offers],
                saved=len(rows),
                **_result(sheet),
            )
    except RuleViolation as violation:
        _fail(claimed, violation.code, violation.message)


@contextmanager
def _telling(claimed: SheetImport, rows: int) -> Iterator[Callable[[int], None]]:
    """A function that tells how many rows are saved, and renews the lease, while the transaction is open.

    All rows are saved in one transaction, so what it writes is seen by nobody until its end.
    """
    beside = connection.copy()

    def tell(saved: int) -> None:
        progress = _READ + (_SAVED - _READ) * saved // rows
        facts: dict[str, Any] = {
            "saved": saved,
            "progress": progress,
            "claimed_until": _lease(),
            "id": claimed.pk,
            "attempts": claimed.attempts,
        }
        with beside.cursor() as cursor:
            cursor.execute(_TELL, facts)

    try:
        yield tell
    finally:
        beside.close()


def _result(sheet: ReadSheet) -> dict[str, Any]:
    return {
        "progress": 100,
        "rows": [describe(row) for row in sheet.rows],
        "faulty": len(sheet.faulty),
        "unknown_columns": sheet.unknown_columns,
    }


def _fail(claimed: SheetImport, code: str, message: object) -> None:
    _update(claimed, state=ImportState.FAILED, data=b"", problem_code=code, problem=str(message))


def _lease() -> dt.datetime:
    return timezone.now() + LEASE


def _update(claimed: SheetImport, **facts: Any) -> None:
    """Write what became of it, if the claim is still ours. Raises `ClaimLostError`."""
    ours = SheetImport.objects.filter(pk=claimed.pk, state=ImportState.RUNNING, attempts=claimed.attempts)
    if not ours.update(**facts):
        raise ClaimLostError


def purge(*, now: dt.datetime | None = None) -> int:
    """Delete imports that have been over for longer than `KEEP`. Returns how many."""
    old = SheetImport.objects.over().filter(updated_at__lt=(now or timezone.now()) - KEEP)
    return delete_in_batches(old.order_by("pk"), batch=100)
