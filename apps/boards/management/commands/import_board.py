"""`manage.py import_board DIR`: a public relief board as organisations, demands and offers."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import Permission, can
from apps.boards.board import FACTORIES, FILES, HOSPITALS, BoardRemark, RemarkCode
from apps.boards.importing import SOURCE, ImportOutcome, import_board
from apps.catalogue.models import Item
from apps.catalogue.regions import RegionRemark
from apps.demands.models import Demand, DemandState, DemandStateCode

REMARK_WORDS: Final = {
    RemarkCode.FILE_MISSING: gettext_lazy("The file is missing"),
    RemarkCode.FILE_UNREADABLE: gettext_lazy("The file cannot be read"),
    RemarkCode.NOT_A_LIST: gettext_lazy("The file does not hold a list"),
    RemarkCode.NOT_AN_OBJECT: gettext_lazy("Not an object"),
    RemarkCode.NAME_MISSING: gettext_lazy("No name: not imported"),
    RemarkCode.LINES_UNREADABLE: gettext_lazy("The lines are not a list"),
    RemarkCode.FIELD_UNUSED: gettext_lazy("Unknown field, kept in the notes"),
    RemarkCode.TEXT_MENDED: gettext_lazy("Characters that cannot be stored were replaced"),
    RemarkCode.TEXT_CUT: gettext_lazy("Text too long, cut"),
    RemarkCode.ITEM_UNKNOWN: gettext_lazy("No item of this name: kept as a draft, the name is in the note"),
    RemarkCode.ITEM_GUESSED: gettext_lazy("Item recognised by a part or by likeness"),
    RemarkCode.ITEM_AMONG_SEVERAL: gettext_lazy("Several items named; the most specific one was used"),
    RemarkCode.STANDARD_UNKNOWN: gettext_lazy("Standard not in the catalogue, kept in the note"),
    RemarkCode.STANDARD_NONE: gettext_lazy("The specification names no standard, kept in the note"),
    RemarkCode.STANDARD_OF_OTHER_ITEM: gettext_lazy("The standard is for another item, kept in the note"),
    RemarkCode.STANDARD_SUPERSEDED: gettext_lazy("Withdrawn standard, its successor taken"),
    RemarkCode.STANDARD_OTHER_EDITION: gettext_lazy("Edition unknown, the one in force taken"),
    RemarkCode.QUANTITY_UNREADABLE: gettext_lazy("Quantity unreadable, kept in the note"),
    RemarkCode.QUANTITY_IMPOSSIBLE: gettext_lazy("Quantity impossible, kept in the note"),
    RemarkCode.QUANTITY_UNIT_ASSUMED: gettext_lazy("No unit given, usual packs assumed"),
    RemarkCode.CAPACITY_UNKNOWN: gettext_lazy("Capacity unknown: the offer stays a draft"),
    RemarkCode.CERTIFICATE_UNREADABLE: gettext_lazy("Not a certificate number, kept in the note"),
    RemarkCode.DATE_UNREADABLE: gettext_lazy("Not a date, kept in the note"),
    RemarkCode.PLACE_DECIDED: gettext_lazy("Place decided"),
    RemarkCode.PLACE_UNKNOWN: gettext_lazy("Place unknown, the whole country taken"),
    RemarkCode.LINE_REPEATED: gettext_lazy("The same line again: kept as a draft"),
    RemarkCode.REFUSED: gettext_lazy("Refused"),
}

DECISIONS: Final = {
    RegionRemark.PROVINCE_CONTRADICTED: gettext_lazy("the city lies in another province"),
    RegionRemark.CITY_CONTRADICTED: gettext_lazy("the district lies in another city"),
    RegionRemark.CITY_UNKNOWN: gettext_lazy("city unknown"),
    RegionRemark.DISTRICT_UNKNOWN: gettext_lazy("district unknown, the city taken"),
    RegionRemark.PROVINCE_UNKNOWN: gettext_lazy("province unknown"),
    RegionRemark.FROM_ADDRESS: gettext_lazy("more exactly, from the address"),
}

SHOWN_AT_ONCE: Final = 12
"""At most so many positions are listed for one remark; `--verbosity 2` lists all."""


class Command(BaseCommand):
    help = "Import a public relief board (hospitals.json, factories.json, carriers.json). Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--open", action="store_true", help="open demands and publish offers of the verified")
        parser.add_argument(
            "--as-coordinator", metavar="EMAIL", help="with --open: first verify the organisations in your region"
        )

        parser.add_argument(
            "--call-back",
            metavar="NOTE",
            default="",
            help="with --as-coordinator: which numbers of which public register the hospitals were called at",
        )

    def handle(self, *_args: Any, folder: Path, verbosity: int, **options: Any) -> None:
        if not folder.is_dir():
            raise CommandError(_("%(folder)s is not a folder.") % {"folder": folder})
        if options["as_coordinator"] and not options["open"]:
            raise CommandError(_("--as-coordinator goes with --open."))
        if not Item.objects.exists():
            raise CommandError(_("The reference data is missing: run `manage.py load_reference` first."))

        email = options["as_coordinator"]
        outcome = import_board(
            folder,
            open_lines=options["open"],
            coordinator=coordinator(email) if email else None,
            call_back=options["call_back"],
        )
        # A folder without a single row is a wrong folder. A board that was imported before is not an error.
        if not any(outcome.board.rows.values()) and outcome.remarks:
            self.report_remarks(outcome.remarks, all_positions=True)
            raise CommandError(_("%(folder)s holds no board.") % {"folder": folder})

        self.report_mapping(outcome)
        self.report_remarks(outcome.remarks, all_positions=verbosity > 1)
        self.report_changes(outcome)
        self.report_next(outcome)

    def report_next(self, outcome: ImportOutcome) -> None:
        """What somebody has to do now, and where."""
        waiting = Organisation.objects.of_boards_to_verify().count()
        if not waiting:
            return
        self.stdout.write(
            _("Next: %(count)s organisations wait for verification at %(address)s.")
            % {"count": waiting, "address": f"{settings.SITE_URL}/desk/waiting/imported/"}
        )
        drafts = Demand.objects.filter(source=SOURCE, state=DemandState.DRAFT)
        ready = drafts.filter(state_code=DemandStateCode.ORGANISATION_UNVERIFIED).count()
        self.stdout.write(
            _("%(ready)s of their needs go out with it. %(left)s drafts wait for an item or an answer.")
            % {"ready": ready, "left": drafts.count() - ready}
        )

    def report_mapping(self, outcome: ImportOutcome) -> None:
        """A table of what was mapped, per file."""
        headings = [
            _("file"), _("rows"), _("organisations"), _("lines"), _("with item"), _("specifications"),
            _("with standard"), _("quantity known"),
        ]  # fmt: skip
        table = [headings]
        for file in FILES:
            lines = outcome.board.lines(file)
            # A factory's specification names its goods, not a standard.
            specified = [line for line in lines if line.specification] if file == HOSPITALS else []
            table.append(
                [
                    file,
                    str(outcome.board.rows[file]),
                    str(sum(party.file == file for party in outcome.board.parties)),
                    str(len(lines)),
                    share(sum(line.item is not None for line in lines), len(lines)),
                    str(len(specified)) if file != FACTORIES else "",
                    share(sum(line.standard is not None for line in specified), len(specified)),
                    share(sum(line.quantity is not None for line in lines), len(lines)),
                ]
            )
        widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
        for row in table:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            self.stdout.write("  ".join([row[0].ljust(widths[0]), *cells[1:]]))

    def report_remarks(self, remarks: Iterable[BoardRemark], *, all_positions: bool) -> None:
        """Every remark once: what it says, how often, and in which rows."""
        grouped: defaultdict[tuple[str, RemarkCode, str], list[str]] = defaultdict(list)
        for remark in remarks:
            position = f"{remark.row}.{remark.line}" if remark.line else str(remark.row or "")
            # The same remark may concern hundreds of rows: said once, with its rows.
            grouped[remark.file, remark.code, remark.about].append(position)

        for (file, code, about), positions in sorted(
            grouped.items(), key=lambda pair: (pair[0][0], list(RemarkCode).index(pair[0][1]))
        ):
            shown = positions if all_positions else positions[:SHOWN_AT_ONCE]
            rows = ", ".join(position for position in shown if position)
            more = (
                _(" and %(count)s more") % {"count": len(positions) - len(shown)} if len(shown) < len(positions) else ""
            )
            where = _(" (rows %(rows)s)") % {"rows": rows + more} if rows else ""
            self.stdout.write(f"{file}: {REMARK_WORDS[code]}{': ' if about else ''}{in_words(code, about)}{where}")

    def report_changes(self, outcome: ImportOutcome) -> None:
        """What this run changed."""
        if outcome.changed_nothing:
            self.stdout.write(_("Nothing new: the board is here already."))
            return
        self.stdout.write(
            _("New: %(organisations)s organisations, %(demands)s demands, %(offers)s offers.")
            % {"organisations": outcome.organisations, "demands": outcome.demands, "offers": outcome.offers}
        )
        if outcome.verified or outcome.opened or outcome.published:
            self.stdout.write(
                _("Put to work: %(verified)s organisations verified, %(opened)s demands, %(published)s offers.")
                % {"verified": outcome.verified, "opened": outcome.opened, "published": outcome.published}
            )


def in_words(code: RemarkCode, about: str) -> str:
    if code is not RemarkCode.PLACE_DECIDED:
        return about
    decision, _arrow, region = about.partition(" → ")
    return f"{DECISIONS[RegionRemark(decision)]} → {region}"


def share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else ""


def coordinator(email: str) -> User:
    """The coordinator of this address; raises for anybody else."""
    user = User.objects.with_address(email).first()
    if user is None or not can(user, Permission.COORDINATE):
        raise CommandError(_("%(email)s is not a coordinator.") % {"email": email})
    return user
