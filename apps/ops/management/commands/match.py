"""`manage.py match`: one matching sweep, contested supply solved together, and what was done."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.matching import services
from apps.matching.holds.plans import Done
from apps.matching.search import offer_index
from apps.notifications.tasks import wake_senders


def in_words(done: Done) -> list[str]:
    """A line for each kind of thing that was done."""
    lines = {
        "expired": "requests that were not answered in time",
        "taken_back": "requests taken back, because the need or the offer is not there any more",
        "offers": "changed offers compared with the needs that they may serve",
        "demands": "needs looked at",
        "yielded": "unanswered requests that gave way to others",
        "held": "suppliers asked, their stock held",
        "standby": "backups kept, in case a supplier declines",
        "escalated": "needs and offers escalated to a coordinator",
    }
    did = asdict(done)
    return [f"{did[name]:>6} {line}" for name, line in lines.items() if did[name]] or ["There was nothing to do."]


class Command(BaseCommand):
    help = "Do one matching sweep and solve together what is contested, as the worker does, and say what was done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one line of JSON instead of words")
        parser.add_argument(
            "--refresh-statistics",
            "--take-stock",  # its name until version 0.2.0
            action="store_true",
            help="first count records of suppliers, take reference prices and index offers, as once an hour",
        )

    def handle(self, *_args: Any, json: bool, refresh_statistics: bool, **_options: Any) -> None:
        if refresh_statistics:
            offer_index.refresh_supplier_statistics()
        done = services.sweep() + services.reallocate()
        # The sender would find the messages by its sweep, too, but seconds later.
        if done:
            wake_senders()
        self.stdout.write(_as_json(done) if json else "\n".join(in_words(done)))


def _as_json(done: Done) -> str:
    return json.dumps(asdict(done))
