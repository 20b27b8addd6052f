"""Sheets on their way: real rows, claimed, resumed, cancelled, saved once."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Organisation, User
from apps.catalogue.models import Item
from apps.core.errors import RuleViolation
from apps.notifications.tasks import poll
from apps.supply import importing
from apps.supply.importing import cancel_import, confirm_import, import_due, purge, request_import
from apps.supply.models import ImportState, Offer, SheetImport
from apps.supply.reading import read_rows
from apps.supply.tasks import import_sheets, purge_imports
from cosmomatch.celery import app
from tests.factories import ItemFactory, SupplierFactory, member

pytestmark = pytest.mark.django_db

GOOD = b"item,quantity\nmask.surgical,100\nmask.surgical,200\n"
BAD = b"item,quantity\nmask.surgical,100\nnothing,many\n"


@pytest.fixture(autouse=True)
def mask(db: None) -> Item:
    return ItemFactory.create()


def request(maker: Organisation, supplier: User, data: bytes = GOOD, **more: Any) -> SheetImport:
    return request_import(maker, data, by=supplier, language="en", **more)


def now_of(asked: SheetImport) -> SheetImport:
    return SheetImport.objects.get(pk=asked.pk)


def test_a_sheet_is_checked_then_confirmed_then_saved(maker: Organisation, supplier: User) -> None:
    asked = request(maker, supplier, publish=True)
    import_due()
    checked = now_of(asked)
    assert (checked.state, checked.progress, checked.faulty) == (ImportState.CHECKED, 100, 0)
    assert [(row["row"], row["item"], row["quantity"]) for row in checked.rows] == [
        (2, "mask.surgical", 100),
        (3, "mask.surgical", 200),
    ]
    assert not Offer.objects.exists()

    confirm_import(checked, by=supplier, publish=True)
    import_due()
    done = now_of(asked)
    assert (done.state, bytes(done.data)) == (ImportState.DONE, b"")
    assert done.offers == list(Offer.objects.published().order_by("pk").values_list("pk", flat=True))
    assert len(done.offers) == 2


def test_a_sheet_is_checked_again_for_publishing(maker: Organisation, supplier: User) -> None:
    asked = request(maker, supplier, b"item,quantity,certificate_valid_until\nmask.surgical,100,2020-01-01\n")
    import_due()
    assert now_of(asked).faulty == 0

    confirm_import(now_of(asked), by=supplier, publish=True)
    import_due()
    assert (now_of(asked).state, now_of(asked).faulty) == (ImportState.CHECKED, 1)


def test_a_sheet_with_faults_is_not_saved_and_cannot_be_confirmed(maker: Organisation, supplier: User) -> None:
    asked = request(maker, supplier, BAD, confirmed=True)
    import_due()
    checked = now_of(asked)

    assert (checked.state, checked.faulty, bytes(checked.data)) == (ImportState.CHECKED, 1, b"")
    assert set(checked.rows[1]["errors"]) == {"item", "quantity"}
    with pytest.raises(RuleViolation) as violation:
        confirm_import(checked, by=supplier, publish=False)
    assert violation.value.code == "rows_invalid"
    assert not Offer.objects.exists()


def test_a_file_that_cannot_be_used_says_why_in_the_language_of_its_sender(maker: Organisation, supplier: User) -> None:
    asked = request_import(maker, b"\0", by=supplier, language="zh-hans")
    import_due()

    failed = now_of(asked)
    assert (failed.state, failed.problem_code) == (ImportState.FAILED, "sheet_unusable")
    assert failed.problem == "无法按 CSV 或 XLSX 读取此文件。"


def test_an_organisation_has_one_import_under_way(maker: Organisation, supplier: User) -> None:
    request(maker, supplier)

    with pytest.raises(RuleViolation) as violation:
        request(maker, supplier)

    assert (violation.value.code, violation.value.status) == ("import_running", 409)
    other = SupplierFactory.create()
    assert request(other, member(other)).state == ImportState.WAITING


def test_a_new_sheet_replaces_one_that_waits_to_be_confirmed(maker: Organisation, supplier: User) -> None:
    earlier = request(maker, supplier)
    import_due()

    request(maker, supplier)

    assert (now_of(earlier).state, bytes(now_of(earlier).data)) == (ImportState.CANCELLED, b"")


def test_sheets_of_a_day_are_limited(maker: Organisation, supplier: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_A_DAY", 2)
    for _number in range(2):
        cancel_import(request(maker, supplier))

    with pytest.raises(RuleViolation) as violation:
        request(maker, supplier)

    assert (violation.value.code, violation.value.status) == ("too_many_imports", 429)


def test_a_cancelled_sheet_saves_nothing_although_its_worker_goes_on(
    maker: Organisation, supplier: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(maker, supplier, confirmed=True)
    claimed = importing._claim(timezone.now())
    assert claimed is not None
    cancel_import(now_of(asked))

    with pytest.raises(importing.ClaimLostError):
        importing._work_on(claimed)

    assert now_of(asked).state == ImportState.CANCELLED
    assert not Offer.objects.exists()


def test_a_cancel_while_the_offers_are_saved_takes_them_back(maker: Organisation, supplier: User) -> None:
    asked = request(maker, supplier, confirmed=True)
    claimed = importing._claim(timezone.now())
    assert claimed is not None
    sheet = read_rows(maker, GOOD, by=supplier)
    cancel_import(now_of(asked))

    with pytest.raises(importing.ClaimLostError):
        importing._save(claimed, sheet)

    assert not Offer.objects.exists()


def test_the_sheet_of_a_killed_worker_is_taken_over_and_saved_once(maker: Organisation, supplier: User) -> None:
    asked = request(maker, supplier, confirmed=True)
    killed = importing._claim(timezone.now())
    assert killed is not None

    import_due()
    assert now_of(asked).state == ImportState.RUNNING  # its lease still runs
    import_due(now=timezone.now() + importing.LEASE + dt.timedelta(seconds=1))
    assert now_of(asked).state == ImportState.DONE

    with pytest.raises(importing.ClaimLostError):  # it was not dead after all
        importing._work_on(killed)
    assert Offer.objects.count() == 2


def test_a_sheet_that_kills_its_workers_is_given_up(maker: Organisation, supplier: User) -> None:
    asked = request(maker, supplier)
    later = timezone.now()
    for _attempt in range(importing.ATTEMPTS):
        assert importing._claim(later) is not None
        later += importing.LEASE + dt.timedelta(seconds=1)

    assert importing._claim(later) is None
    assert (now_of(asked).state, now_of(asked).problem_code) == (ImportState.FAILED, "given_up")


def test_the_bar_moves_while_a_sheet_is_read(maker: Organisation, supplier: User) -> None:
    request(maker, supplier, b"item,quantity\n" + b"mask.surgical,5\n" * 1_100)
    with connection.execute_wrapper(seen := Seen()):
        import_due()

    assert seen.progress == sorted(seen.progress)
    assert len(set(seen.progress)) >= 5
    assert seen.progress[-1] == 100


@pytest.mark.django_db(transaction=True)
def test_others_see_how_many_rows_are_saved_before_the_last_one_is(maker: Organisation, supplier: User) -> None:
    asked = request(maker, supplier, b"item,quantity\n" + b"mask.surgical,5\n" * 130, confirmed=True, publish=True)
    others = Others()
    try:
        with connection.execute_wrapper(others):
            import_due()
    finally:
        others.connection.close()

    assert others.saw == [(50, 130, 0), (67, 130, 50), (84, 130, 100), (100, 130, 130)]
    assert len(now_of(asked).offers) == 130


class Others:
    """Looks from another connection, after each statement, at the progress and at how many offers are there."""

    def __init__(self) -> None:
        self.connection = connection.copy()
        self.saw: list[tuple[int, ...]] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT progress, to_save, saved FROM supply_sheetimport WHERE to_save > 0")
            seen = cursor.fetchone()
        if seen is not None and seen not in self.saw:
            self.saw.append(seen)
        return result


class Seen:
    """Notes the progress that each statement writes."""

    def __init__(self) -> None:
        self.progress: list[int] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith('UPDATE "supply_sheetimport"') and '"progress"' in sql:
            self.progress.append(SheetImport.objects.get().progress)
        return result


def test_a_sheet_whose_wake_up_was_lost_is_found(maker: Organisation, supplier: User) -> None:
    assert app.conf.task_routes[import_sheets.name] == {"queue": "heavy"}
    assert import_sheets.name not in poll("heavy")
    request(maker, supplier)
    assert poll("heavy") == [import_sheets.name]


def test_imports_are_deleted_a_week_after_they_were_over(maker: Organisation, supplier: User) -> None:
    request(maker, supplier)
    import_sheets()
    request(maker, supplier)

    later = timezone.now() + importing.KEEP + dt.timedelta(seconds=1)
    assert (purge_imports(), purge(now=later)) == (0, 1)
    assert SheetImport.objects.get().state == ImportState.WAITING
