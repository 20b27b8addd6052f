"""Items, aliases, units, standards and regions, as they come with the program."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from apps.catalogue.services import load_reference


class Command(BaseCommand):
    help = "Loads items, aliases, units, standards and regions. Safe to repeat."

    def handle(self, *_args: Any, **_options: Any) -> None:
        loaded = load_reference()
        for table in loaded:
            self.stdout.write(
                _("%(table)s: %(added)s added, %(changed)s changed, %(unchanged)s as they were")
                % {"table": table.table, "added": table.added, "changed": table.changed, "unchanged": table.unchanged}
            )
        if not any(table.added or table.changed for table in loaded):
            self.stdout.write(_("Nothing to change."))
