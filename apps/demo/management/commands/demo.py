"""`manage.py demo`: a believable emergency, once."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.demo import cast, story
from apps.demo.stage import ReferenceMissing


class Command(BaseCommand):
    help = "Make a believable emergency to try the platform on, and print how to log in. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="even in production, where anybody knows its password")

    def handle(self, *_args: Any, force: bool, **_options: Any) -> None:
        if settings.PRODUCTION and not force:
            raise CommandError("This is production: the demo's password is public. Use --force if you mean it.")
        if story.is_there():
            self.stdout.write("The demo is already there; nothing was changed.")
        else:
            try:
                story.make()
            except ReferenceMissing as missing:
                raise CommandError(
                    f"The reference data is missing: run `manage.py load_reference` first. ({missing})"
                ) from missing

        log_ins = cast.log_ins()
        width = max(len(what) for what, _email in log_ins)
        self.stdout.write(f"Demo log-ins, all with the password {cast.PASSWORD}")
        for what, email in log_ins:
            self.stdout.write(f"  {what:<{width}}  {email}")
