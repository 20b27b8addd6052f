"""The guide's commands, run in its order."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.models import Organisation, TokenScope, User
from apps.accounts.services import issue_token
from apps.fulfilment.models import Order
from apps.fulfilment.services import accept_match, ship_order
from apps.matching.models import Match
from apps.matching.services import sweep
from tests.factories import DemandFactory, ItemFactory, OfferFactory, region, standard_of

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.startswith("curl ")]


def run(client: Client, command: str, names: dict[str, str]) -> Any:
    """What curl would send, sent by the test client."""
    words = shlex.split(re.sub(r"\$([A-Z]+)", lambda name: names[name[1]], command))[1:]
    method, address, data, file = "", "", "", ""
    headers: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _colon, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = words.pop(0)
        elif word == "-F":
            file = words.pop(0)
        elif word in {"-D", "-o"}:
            words.pop(0)
        else:
            address = word
    kind = headers.pop("Content-Type", "application/octet-stream")
    if file:
        assert file == "file=@offers.csv"
        sheet = SimpleUploadedFile("offers.csv", b"item,quantity\nmask.surgical,500\n")
        return client.post(address, {"file": sheet}, headers=headers)
    return client.generic(method or ("POST" if data else "GET"), address, data, content_type=kind, headers=headers)


@pytest.mark.django_db
def test_every_command_of_the_guide_does_what_it_says(
    client: Client, buyer: User, supplier: User, maker: Organisation, hospital: Organisation, partner: User
) -> None:
    standard_of(ItemFactory.create())
    region("420000")
    OfferFactory.create(organisation=maker, quantity=100_000)

    def token(user: User) -> str:
        return issue_token(user, name="guide", scopes=TokenScope.values)[1]

    names = {"SITE": "", "TOKEN": token(buyer), "SUPPLIER": token(supplier), "PARTNER": token(partner)}
    seen = 0
    for command in commands():
        prepare(command, names, buyer, supplier)
        answer = run(client, command, names)
        assert answer.status_code in {200, 201, 202}, (command, answer.content)
        if '/demands/" ' in command and " -d " in command:
            names["NEED"] = answer.json()["id"]
            sweep()
        if '/webhooks/" ' in command:
            names["WEBHOOK"] = answer.json()["id"]
        if answer.streaming:
            b"".join(answer)
        seen += 1
    assert seen == len(commands()) > 20


def prepare(command: str, names: dict[str, str], buyer: User, supplier: User) -> None:
    """The requester's part of the guide tells of a match that was accepted, the supplier's of one that is not yet."""
    if "$MATCH" in command and "$TOKEN" in command:
        match = Match.objects.held().get(demand=int(names["NEED"]))
        order = accept_match(match, by=supplier)
        names |= {"MATCH": str(match.pk), "ORDER": str(order.pk)}
        ship_order(order, by=supplier)
    if "$MATCH" in command and "accept" in command:
        DemandFactory.create(queued=True, organisation=buyer.grants[0].organisation, quantity=1000)
        sweep()
        names["MATCH"] = str(Match.objects.held().latest("pk").pk)
    if "$ORDER" in command and "ship" in command:
        names["ORDER"] = str(Order.objects.latest("pk").pk)
