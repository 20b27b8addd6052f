"""JSON that costs more than it says."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.exceptions import ParseError

from apps.accounts.models import User
from apps.api.protocol.parsers import MOST_DEPTH, MOST_MEMBERS, check
from tests.api.conftest import Caller


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"0," * 1_200_000 + b"0]",
        b"[" + b"{}," * 800_000 + b"{}]",
        b'{"note":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"note":' + b"[" * 1_000_000,
        b"{" + b",".join(b'"%d":0' % number for number in range(200_000)) + b"}",
    ],
    ids=["numbers", "objects", "deep", "deep and cut off", "names"],
)
def test_json_that_costs_much_is_refused_before_it_is_parsed(
    call: Callable[..., Caller], buyer: User, body: bytes
) -> None:
    mine = call(buyer)
    mine.get("/demands/")

    began = time.process_time()
    answer = mine.post("/demands/", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "too_complex")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        "[" + "0," * (MOST_MEMBERS - 2) + "0]",
        "[" * MOST_DEPTH + "]" * MOST_DEPTH,
        '{"note": "' + "[,{" * 20_000 + r"\"[\\" + '"}',
        '"[' * 2,
        '"\\',
    ],
)
def test_json_that_a_person_could_mean_is_let_through(text: str) -> None:
    check(text)


@pytest.mark.parametrize("piece", ['"', "]", '\\"', '"\\', '"a\\"', "\\"])
def test_no_text_takes_long_to_look_through(piece: str) -> None:
    began = time.process_time()
    with contextlib.suppress(ParseError):
        check(piece * (2_000_000 // len(piece)))
    assert time.process_time() - began < 1


def test_quotes_within_strings_hide_no_structure() -> None:
    texts: list[Any] = ['["\\"",' + "[" * 50, '["\\\\",' + "[" * 50]
    for text in texts:
        with pytest.raises(ParseError):
            check(text)
