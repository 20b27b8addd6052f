"""`make messages`: the words that people read, collected into locale/ and compiled. The .mo files are committed."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import to_locale


class Command(BaseCommand):
    help = "Collect and compile translations; with --check, say whether the compiled ones are fresh."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 if a file is not fresh")

    def handle(self, *_args: Any, check: bool, **_options: Any) -> None:
        if not check:
            locales = [to_locale(code) for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
            call_command(
                "makemessages",
                locale=locales,
                no_obsolete=True,
                no_location=True,
                ignore_patterns=[".venv", "var", "tests"],
            )
        stale = [
            str(po)
            for folder in settings.LOCALE_PATHS
            for po in sorted(folder.glob("*/LC_MESSAGES/*.po"))
            if not self.compile(po, write=not check)
        ]
        if check and stale:
            raise CommandError(f"Not compiled since they changed: {', '.join(stale)}. Run make messages.")

    def compile(self, po: Path, *, write: bool) -> bool:
        """Whether the compiled file says what the source says."""
        import polib

        compiled = polib.pofile(str(po)).to_binary()
        mo = po.with_suffix(".mo")
        fresh = mo.exists() and mo.read_bytes() == compiled
        if write and not fresh:
            mo.write_bytes(compiled)
        return fresh
