"""`manage.py match`: one sweep, told in words or as JSON."""

import io
import json

import pytest
from django.core.management import call_command

from tests.factories import DemandFactory, OfferFactory

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("match", *arguments, stdout=output)
    return output.getvalue()


def test_it_says_what_it_did_and_that_nothing_is_left() -> None:
    OfferFactory.create(quantity=600)
    OfferFactory.create(quantity=600)
    DemandFactory.create(quantity=1000, queued=True)

    assert run().splitlines() == ["     1 needs looked at", "     2 suppliers asked, their stock held"]
    assert run() == "There was nothing to do.\n"


def test_programs_get_one_line_of_json() -> None:
    DemandFactory.create(queued=True)

    [line] = run("--json").splitlines()

    assert {name: number for name, number in json.loads(line).items() if number} == {"demands": 1}
