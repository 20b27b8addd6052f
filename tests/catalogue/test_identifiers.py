import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalogue import identifiers, reference
from apps.catalogue.identifiers import (
    CertificateFault,
    Sector,
    fault_of_certificate,
    is_gln,
    is_plausible_for,
    is_uscc,
    parse_device_certificate,
)

FACTORIES = Path(__file__).parents[1] / "data" / "wuhan2020" / "factories.json"

uscc_beginnings = st.builds(
    lambda head, region, body: head + region + body,
    st.text(identifiers.USCC_ALPHABET, min_size=2, max_size=2),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(identifiers.USCC_ALPHABET, min_size=9, max_size=9),
)


@pytest.mark.parametrize("code", ["91330100799655058B", "91370200264574251E", "91350100M000100Y43"])
def test_published_credit_codes_pass(code: str) -> None:
    assert is_uscc(code)


@given(uscc_beginnings, st.data())
def test_a_credit_code_with_one_wrong_character_fails(beginning: str, data: st.DataObject) -> None:
    code = beginning + identifiers.uscc_check_character(beginning)
    assert is_uscc(code)

    place = data.draw(st.integers(0, 17))
    alphabet = "0123456789" if 2 <= place < 8 else identifiers.USCC_ALPHABET
    wrong = data.draw(st.sampled_from([character for character in alphabet if character != code[place]]))
    assert not is_uscc(code[:place] + wrong + code[place + 1 :])


@given(st.text())
def test_any_text_is_a_credit_code_or_not_and_never_an_error(text: str) -> None:
    assert is_uscc(text) in {True, False}
    assert is_gln(text) in {True, False}
    certificate = parse_device_certificate(text)
    assert certificate is None or certificate.serial


def test_a_credit_code_tells_where_and_as_what_a_body_is_registered() -> None:
    assert identifiers.uscc_region("91370200264574251E") == "370200"
    assert identifiers.uscc_sector("91370200264574251E") == Sector.ENTERPRISE
    assert not is_plausible_for("91370200264574251E", "government")
    assert is_plausible_for("12420000000000000X", "hospital")
    assert not is_plausible_for("51420000000000000X", "hospital")


@pytest.mark.parametrize("code", ["4006381333931", "6901234567892"])
def test_published_numbers_of_gs1_pass(code: str) -> None:
    assert is_gln(code)


@given(st.text("0123456789", min_size=12, max_size=12), st.data())
def test_a_location_number_with_one_wrong_digit_fails(beginning: str, data: st.DataObject) -> None:
    code = beginning + identifiers.gs1_check_digit(beginning)
    assert is_gln(code)
    place = data.draw(st.integers(0, 12))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != code[place]]))
    assert not is_gln(code[:place] + wrong + code[place + 1 :])


def test_every_certificate_of_the_board_parses() -> None:
    rows = json.loads(FACTORIES.read_text(encoding="utf-8"))
    numbers = [row["qualification"].strip() for row in rows if row["qualification"].strip()]
    assert len(numbers) == 16
    assert [number for number in numbers if parse_device_certificate(number) is None] == []


def test_a_certificate_is_taken_apart() -> None:
    certificate = parse_device_certificate("国械注准 20203400057")
    assert certificate is not None
    assert certificate.number == "国械注准20203400057"
    assert (certificate.authority, certificate.origin, certificate.year) == ("国", "domestic", 2020)
    assert (certificate.device_class, certificate.category, certificate.serial) == (3, "40", "0057")

    filing = parse_device_certificate("沪奉械备20180202号")
    assert filing is not None
    assert filing.device_class == 1
    assert filing.number == "沪奉械备20180202"

    old = parse_device_certificate("国食药监械（进）字2014第3401234号")
    assert old is not None
    assert (old.origin, old.device_class) == ("imported", 3)


@pytest.mark.parametrize(
    "text",
    [
        "京械注准20203400057",  # class III is registered nationally
        "沪械注进20202400057",  # and so is everything imported
        "国械注准2020340005",
        "国械注准20204400057",  # there is no class 4
        "N95",
        "",
    ],
)
def test_what_cannot_be_a_certificate_is_none(text: str) -> None:
    assert parse_device_certificate(text) is None


@pytest.mark.parametrize(
    ("number", "valid_until", "fault"),
    [
        ("", None, None),
        ("国械注准20203140057", None, None),
        ("国械注准 2020 364 0057", None, None),  # the category of 2002
        ("国食药监械(准)字2014第3640057号", None, CertificateFault.RUN_OUT),
        ("国械注准20273140057", None, CertificateFault.NOT_YET),
        ("国械注准20203140057", dt.date(2031, 12, 31), None),
        ("国械注准20203140057", dt.date(2040, 1, 1), CertificateFault.TOO_LONG),
        ("苏械备20200001号", None, CertificateFault.CLASS_TOO_LOW),
        ("国械注准20203070057", None, CertificateFault.OTHER_GOODS),
        ("粤械注准20203140057", None, CertificateFault.UNREADABLE),  # class III is registered nationally
        ("医疗器械证", None, CertificateFault.UNREADABLE),
        ("12345", None, CertificateFault.UNKNOWN_FORM),
        ("CE 2163", None, None),
        ("TC-84A-9001", None, None),
        ("K200001", None, None),
    ],
)
def test_a_certificate_is_judged_by_its_number(
    number: str, valid_until: dt.date | None, fault: CertificateFault | None
) -> None:
    on = dt.date(2026, 11, 30)
    judged = fault_of_certificate(number, valid_until=valid_until, on=on, least_class=2, categories=["14", "64"])
    assert judged == fault


def test_the_number_of_goods_that_are_no_device_is_not_judged() -> None:
    on = dt.date(2026, 11, 30)
    for number in ("12345", "国械注准20203140057"):
        assert fault_of_certificate(number, valid_until=None, on=on, least_class=None) is None


def test_every_device_of_the_catalogue_takes_its_own_registration() -> None:
    on = dt.date(2026, 11, 30)
    devices = [item for item in reference.items() if item.device_categories]
    assert len(devices) > 20
    for item in devices:
        for category in item.device_categories:
            number = f"国械注准2020{max(2, item.device_class or 0)}{category}0001"
            judged = fault_of_certificate(
                number, valid_until=None, on=on, least_class=item.device_class, categories=item.device_categories
            )
            assert judged is None, item.key


@given(st.text(), st.none() | st.dates(), st.none() | st.integers(1, 3))
def test_any_certificate_is_judged_without_an_error(text: str, day: dt.date | None, least: int | None) -> None:
    fault_of_certificate(text, valid_until=day, on=dt.date(2026, 11, 30), least_class=least, categories=["14"])
