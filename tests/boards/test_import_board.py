"""A board in the tables: all of it, once, and at work only when a coordinator says so."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Organisation, OrganisationState, User
from apps.boards.board import RemarkCode
from apps.boards.importing import import_board
from apps.boards.management.commands.import_board import REMARK_WORDS
from apps.catalogue.models import Item
from apps.demands.models import Demand, DemandState, QuantityKind
from apps.supply.models import Offer, OfferState
from tests.factories import CALL_BACK

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reference_data")]

WUHAN = Path(__file__).parents[1] / "data" / "wuhan2020"


def written(folder: Path, *hospitals: Any, factories: list[Any] | None = None) -> Path:
    for name, rows in (("hospitals", list(hospitals)), ("factories", factories or []), ("carriers", [])):
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def hospital(*lines: Any, **fields: Any) -> dict[str, Any]:
    return {
        "province": "湖北",
        "city": "武汉市",
        "district": "武昌区",
        "name": "甲医院",
        "supplies": list(lines),
    } | fields


def state_of_the_tables() -> list[Any]:
    return [
        list(table.objects.order_by("pk").values_list("pk", "updated_at", "source_key"))
        for table in (Organisation, Demand, Offer)
    ]


def command(folder: Path, **options: Any) -> str:
    out = io.StringIO()
    call_command("import_board", folder, stdout=out, **options)
    return out.getvalue()


@pytest.mark.long
def test_the_real_board_comes_in_whole_and_repeating_it_changes_nothing(tmp_path: Path) -> None:
    said = command(WUHAN)
    assert "New: 201 organisations, 1473 demands, 24 offers." in said
    assert "1473 (100.0%)" in said
    assert "Next: 201 organisations wait for verification at " in said
    assert "587 (98.2%)" in said
    assert "GB 19083-2010 – 防护服 (rows 156.6, 157.7)" in said

    imported = Demand.objects.filter(source="board")
    assert imported.count() == 1473
    assert set(imported.values_list("state", flat=True)) == {DemandState.DRAFT}
    assert imported.filter(quantity_kind=QuantityKind.UNSPECIFIED).count() == 1275
    assert imported.filter(standard__code="YY 0469-2011").count() == 137
    assert imported.filter(organisation__region="429004").exists()
    assert set(Organisation.objects.values_list("state", flat=True)) == {OrganisationState.UNVERIFIED}

    known = Offer.objects.get(item__key="resp.particulate")
    assert (known.daily_capacity, known.quantity, known.standard) == (50_000, 350_000, known.standard)
    assert str(known.standard) == "NIOSH N95"
    assert Offer.objects.exclude(daily_capacity=None).count() == 3
    assert Offer.objects.filter(certificate_number="国械注准20203400057").count() == 1

    before = state_of_the_tables()
    again = command(WUHAN).splitlines()
    assert "Nothing new: the board is here already." in again
    assert any(line.startswith("Next: 201 organisations") for line in again), "what waits is said as long as it does"
    elsewhere = tmp_path / "another folder"
    shutil.copytree(WUHAN, elsewhere)
    command(elsewhere)
    assert state_of_the_tables() == before


def test_what_people_changed_since_stays_as_they_made_it(tmp_path: Path) -> None:
    board = written(tmp_path, hospital({"key": "心理咨询", "value": 3}, {"key": "手术衣", "value": 5}))
    import_board(board)
    unlisted = Demand.objects.get(item__key="other")
    assert (unlisted.note, unlisted.state, unlisted.quantity) == ("心理咨询", DemandState.DRAFT, 3)

    Demand.objects.filter(pk=unlisted.pk).update(item=Item.objects.get(key="medicine"), note="found")
    Organisation.objects.update(address="moved")
    outcome = import_board(board)
    assert outcome.changed_nothing
    assert Demand.objects.get(pk=unlisted.pk).note == "found"
    assert Organisation.objects.get().address == "moved"


def test_a_line_that_is_new_on_the_board_is_added_alone(tmp_path: Path) -> None:
    import_board(written(tmp_path, hospital({"key": "手术衣", "value": 5})))
    outcome = import_board(written(tmp_path, hospital({"key": "口罩", "value": 9}, {"key": "手术衣", "value": 5})))
    assert (outcome.organisations, outcome.demands) == (0, 1)
    assert Demand.objects.count() == 2


def test_the_lines_of_one_row_share_a_reference(tmp_path: Path) -> None:
    import_board(written(tmp_path, hospital({"key": "手术衣"}, {"key": "口罩"}), hospital({"key": "护目镜"})))
    references = [list(Demand.objects.filter(item__key=key).values_list("reference", flat=True)) for key in (
        "gown.surgical", "mask.medical.disposable", "eye.goggles",
    )]  # fmt: skip
    assert references[0] == references[1] != references[2]


def test_malformed_rows_are_named_and_the_others_come_in(tmp_path: Path) -> None:
    board = written(
        tmp_path,
        "nonsense",
        {"supplies": [{"key": "手术衣"}]},
        hospital({"key": "手术衣", "value": "abc"}, {"key": "口罩", "value": -4}, {"key": "护目镜", "value": 10**18}),
        hospital({"key": "手\0术\ud800衣", "value": 5}, name="乙医院"),
    )
    said = command(board)
    assert 'hospitals.json: Not an object: "nonsense" (rows 1)' in said
    assert "hospitals.json: No name: not imported" in said
    assert "hospitals.json: Quantity unreadable, kept in the note: abc (rows 3.1)" in said
    assert "hospitals.json: Quantity impossible, kept in the note: -4 (rows 3.2)" in said
    assert "hospitals.json: Quantity impossible, kept in the note: 1000000000000000000 (rows 3.3)" in said
    assert "New: 2 organisations, 4 demands, 0 offers." in said
    assert set(Demand.objects.filter(organisation__name="甲医院").values_list("quantity", "quantity_kind")) == {
        (None, QuantityKind.UNSPECIFIED)
    }


def test_a_coordinator_puts_a_board_to_work(tmp_path: Path, coordinator: User) -> None:
    line = {"key": "手术衣", "value": 5}
    board = written(
        tmp_path,
        hospital(line, {"key": "心理咨询", "value": 3}),
        hospital(line),
        factories=[
            {"province": "广东", "city": "深圳市", "name": "丙厂", "supplies": [
                {"key": "口罩类产能", "value": 1000, "specification": "N95"},
                {"key": "口罩类产能", "value": 1, "specification": "医用口罩"},
            ]}
        ],
    )  # fmt: skip
    said = command(board, open=True, call_back=CALL_BACK, as_coordinator=coordinator.email.upper())
    assert "Put to work: 2 organisations verified, 1 demands, 1 offers." in said

    opened = Demand.objects.get(state=DemandState.OPEN)
    assert (opened.item.key, opened.match_requested_at is not None) == ("gown.surgical", True)
    # The unlisted line waits for a person, and the line that was said twice is not asked for twice.
    assert Demand.objects.filter(state=DemandState.DRAFT).count() == 2
    assert Offer.objects.get(state=OfferState.PUBLISHED).quantity == 7000
    waiting = Offer.objects.get(state=OfferState.DRAFT)
    assert waiting.state_reason == "The board does not say how much can be made in a day."
    assert Organisation.objects.get(name="甲医院").verified_by == coordinator


def test_without_a_coordinator_only_the_verified_are_put_to_work(tmp_path: Path, coordinator: User) -> None:
    board = written(tmp_path, hospital({"key": "手术衣", "value": 5}))
    command(board, open=True)
    assert Demand.objects.get().state == DemandState.DRAFT

    command(board, open=True, call_back=CALL_BACK, as_coordinator=coordinator.email)
    assert Demand.objects.get().state == DemandState.OPEN


def test_a_coordinator_verifies_nobody_outside_the_own_region(tmp_path: Path, coordinator: User) -> None:
    desk = coordinator.memberships.get().organisation
    Organisation.objects.filter(pk=desk.pk).update(region="440000")
    said = command(
        written(tmp_path, hospital({"key": "手术衣"})), open=True, call_back=CALL_BACK, as_coordinator=coordinator.email
    )
    assert "Refused: This is not in the coordinator's region. (rows 1)" in said
    assert Demand.objects.get().state == DemandState.DRAFT


def test_mistakes_of_the_caller_are_one_sentence(tmp_path: Path, buyer: User) -> None:
    for folder, options, sentence in (
        (tmp_path / "nowhere", {}, "is not a folder"),
        (tmp_path, {}, "holds no board"),
        (WUHAN, {"as_coordinator": "buyer@example.org"}, "goes with --open"),
        (WUHAN, {"as_coordinator": "buyer@example.org", "open": True}, "is not a coordinator"),
    ):
        with pytest.raises(CommandError, match=sentence):
            command(folder, **options)
    assert not Organisation.objects.exclude(source="").exists()


def test_every_remark_has_its_words() -> None:
    assert set(REMARK_WORDS) == set(RemarkCode)


def test_an_organisation_costs_a_handful_of_queries(tmp_path: Path) -> None:
    def cost(many: int) -> int:
        names = ("手术衣", "口罩", "护目镜", "防护服", "隔离衣", "鞋套")
        rows = [hospital(*({"key": key} for key in names), name=f"{many}-{number}医院") for number in range(many)]
        with CaptureQueriesContext(connection) as queries:
            import_board(written(tmp_path, *rows))
        return sum("SAVEPOINT" not in query["sql"] for query in queries)

    few, many = cost(2), cost(12)
    assert (many - few) / 10 <= 10
