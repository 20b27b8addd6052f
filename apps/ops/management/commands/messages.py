"""`make messages`: the words that people read, collected into locale/ and compiled. The .mo files are committed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import template, to_locale

if TYPE_CHECKING:
    from polib import POFile

Message = tuple[str | None, str]
"""What gettext knows a string by: its context, if it has one, and its singular."""

# Where a call has its context (None: it has none) and its string, by position.
_CALLS: Final = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"), (None, 0)),
    **dict.fromkeys(("pgettext", "pgettext_lazy", "npgettext", "npgettext_lazy"), (0, 1)),
}
_STRING: Final = r"u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_CALL_IN_TEMPLATE: Final = re.compile(rf"\b(\w*gettext|_)\(({_STRING}(?:\s*,\s*{_STRING})*)", re.DOTALL)


class Command(BaseCommand):
    help = "Collect and compile translations; with --check, fail on a string that has no translation."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; exit status 1 if a string is missing, empty or fuzzy, or a file is not compiled",
        )

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
        files = [po for folder in settings.LOCALE_PATHS for po in sorted(folder.glob("*/LC_MESSAGES/*.po"))]
        if not files:
            raise CommandError("There are no translations: no .po file in LOCALE_PATHS.")
        faults = [fault for po in files for fault in self.faults(po, write=not check)]
        if check and faults:
            raise CommandError("\n".join([*faults, "Run make messages, and fill what is empty."]))
        for fault in faults:
            self.stderr.write(fault)

    def faults(self, po: Path, *, write: bool) -> Iterator[str]:
        """One line for each string that readers of this language would see in English, or in words of another string.

        `write` compiles the file first if its compiled form is out of date.
        """
        import polib

        file = polib.pofile(str(po))
        name = f"{po.parts[-3]}/{po.name}"
        known = {(entry.msgctxt, entry.msgid) for entry in file if not entry.obsolete}
        # Strings that the program marks and the file lacks: somebody forgot `make messages`.
        for _context, text in sorted(collected() - known, key=lambda message: message[1]):
            yield f"{name}: missing: {text!r}"
        yield from (f"{name}: {what}: {text!r}" for what, text in unfinished(file))

        # Compiled by polib, so that the check needs no gettext and is the same on every machine.
        compiled = file.to_binary()
        mo = po.with_suffix(".mo")
        if mo.exists() and mo.read_bytes() == compiled:
            return
        if write:
            mo.write_bytes(compiled)
        else:
            yield f"{name}: not compiled since it was changed"


def unfinished(file: "POFile") -> Iterator[tuple[str, str]]:
    """Gettext compiles neither fuzzy nor empty entries: their readers get the English."""
    for entry in file:
        if entry.obsolete:
            continue
        translations = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        if entry.fuzzy:
            yield "fuzzy", entry.msgid
        elif not translations or not all(translations):
            yield "empty", entry.msgid


def collected() -> set[Message]:
    """Every string that the program marks for translation, found without gettext's tools: CI does not have them."""
    root = Path(settings.BASE_DIR)
    messages: set[Message] = set()
    for folder in (root / "apps", root / "cosmomatch"):
        for path in folder.rglob("*.py"):
            messages |= set(_of_python(path.read_text(encoding="utf-8")))
    for folder in (root / "templates", *(root / "apps").glob("*/templates")):
        for path in folder.rglob("*"):
            if path.suffix in {".html", ".txt", ".svg", ".xml"}:
                messages |= set(_of_template(path.read_text(encoding="utf-8")))
    return messages


def _of_python(source: str) -> Iterator[Message]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in _CALLS:
            arguments = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args]
            yield from _message(called, arguments)


def _of_template(source: str) -> Iterator[Message]:
    """Django turns a template into calls for xgettext, with everything else blanked out."""
    for called, arguments in _CALL_IN_TEMPLATE.findall(template.templatize(source)):
        if called in _CALLS:
            yield from _message(called, list(ast.literal_eval(f"({arguments},)")))


def _message(called: str, arguments: list[Any]) -> Iterator[Message]:
    at_context, at_text = _CALLS[called]
    if len(arguments) <= at_text or not isinstance(arguments[at_text], str) or not arguments[at_text]:
        return  # a variable: xgettext does not see it either
    yield (None if at_context is None else arguments[at_context]), arguments[at_text]
