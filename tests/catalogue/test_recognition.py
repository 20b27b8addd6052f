import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalogue import reference
from apps.catalogue.recognition import How, Names

HOSPITALS = Path(__file__).parents[1] / "data" / "wuhan2020" / "hospitals.json"
ITEMS = [row for row in reference.items() if row.key != "other"]
NAMES = Names((row.key, name) for row in ITEMS for language in ("zh", "en") for name in row.names[language])


def key_of(text: str) -> str | None:
    found = NAMES.recognise(text)
    return found.key if found else None


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("医用外科口罩", "mask.surgical"),
        ("普通医用口罩", "mask.medical.disposable"),
        ("医用防护口罩 | N95口罩", "resp.medical"),
        ("防冲击眼罩/护目镜/防护眼镜", "eye.goggles"),
        ("防護眼鏡", "eye.goggles"),
        ("Ｎ９５口罩", "resp.particulate"),
        ("口罩（N95）", "resp.particulate"),
        ("口罩N95", "resp.particulate"),
        ("75％酒精", "dis.alcohol75"),
        ("75%医用酒精500ml", "dis.alcohol75"),
        ("急需外科口罩", "mask.surgical"),
        ("护目镜 100副", "eye.goggles"),
        ("口罩类产能", "mask.medical.disposable"),
        ("防护服（连体）大号", "suit.protective"),
        ("一次性PE手套（薄）", "glove.exam"),
        ("Surgical Masks", "mask.surgical"),
        ("nitrile gloves size M", "glove.exam"),
        ("forehead thermometers", "thermo.ir"),
        ("口罩机", "eq.maskline"),
        ("口罩（医用外科）", "mask.surgical"),
        ("酒精（95%）", "dis.alcohol95"),
        ("酒精 95%", "dis.alcohol95"),
    ],
)
def test_a_written_name_finds_its_item(written: str, key: str) -> None:
    assert key_of(written) == key


def test_a_slip_of_the_pen_is_forgiven_but_not_in_a_number() -> None:
    found = NAMES.recognise("医用外料口罩")
    assert found is not None
    assert (found.key, found.how) == ("mask.surgical", How.SIMILAR)
    assert key_of("95%酒精") == "dis.alcohol95"


def test_a_name_that_others_end_in_is_general() -> None:
    mask, suit = NAMES.recognise("口罩"), NAMES.recognise("防护服")
    assert mask is not None
    assert suit is not None
    assert (mask.is_general, suit.is_general) == (True, False)


def test_several_items_in_one_line_are_all_named() -> None:
    found = NAMES.recognise("额温枪/耳温枪")
    assert found is not None
    assert (found.key, found.others) == ("thermo.ir", ("thermo.ear",))


@pytest.mark.parametrize("written", ["", " ", "心理咨询", "口罩打包机", "ABC", "防护", "foxgloves"])
def test_what_is_not_in_the_catalogue_is_not_guessed(written: str) -> None:
    assert NAMES.recognise(written) is None


def test_every_line_of_the_board_is_recognised_alone_or_among_several() -> None:
    rows = json.loads(HOSPITALS.read_text(encoding="utf-8"))
    written = {line["key"] for row in rows for line in row["supplies"]}
    assert len(written) == 23
    hows = {text: found.how for text in written if (found := NAMES.recognise(text))}
    assert set(hows) == written
    assert set(hows.values()) == {How.NAME, How.PART}


@given(st.text())
def test_any_text_is_recognised_or_not(text: str) -> None:
    assert NAMES.recognise(text) is None or key_of(text) in {row.key for row in ITEMS}
