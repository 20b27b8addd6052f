"""`manage.py forget ADDRESS`: a person asked to be forgotten."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.closing import left_without_manager, organisations_naming
from apps.accounts.models import User
from apps.notifications.forgetting import forget

STAYS = """What stays, and why (docs/privacy.md):
  the number of the account   needs, answers and orders refer to it; it has no name any more
  the audit trail             who did and saw what must be known later, also by the address of that time
  texts that people typed     nobody can tell by a program whom a note names: search for the name"""


class Command(BaseCommand):
    help = "Close the account of a person and delete what is known of them. Without --yes, only say what would happen."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="their e-mail address")
        parser.add_argument("--yes", action="store_true", help="do it; it cannot be undone")

    def handle(self, *_args: Any, address: str, yes: bool, **_options: Any) -> None:
        user = User.objects.with_address(address).first()
        if user is None:
            raise CommandError(f"Nobody has the address {address}.")
        for organisation in left_without_manager(user):
            self.stdout.write(f"“{organisation}” has no other manager, and goes dormant.")
        for organisation in organisations_naming(address):
            self.stdout.write(f"“{organisation}” still has the address as its contact: change it in the back office.")
        if yes:
            gone = forget(user, by=None)
            self.stdout.write(f"Forgotten, with {gone['messages']} messages, {gone['notifications']} notifications.")
        else:
            self.stdout.write("Nothing was changed. Call again with --yes to do it.")
        self.stdout.write(STAYS)
