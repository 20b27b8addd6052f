import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalogue import identifiers
from apps.catalogue.identifiers import Sector, is_gln, is_plausible_for, is_uscc, parse_device_certificate

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
