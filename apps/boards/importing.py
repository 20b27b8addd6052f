"""Brings a relief board into the tables, through the services of the apps that own them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, OrganisationState, User
from apps.accounts.permissions import Permission, can
from apps.accounts.services import import_organisation, verify_organisation
from apps.boards.board import Board, BoardLine, BoardRemark, ItemMeasure, Party, RemarkCode, Vocabulary
from apps.boards.mapping import read_board
from apps.catalogue import regions, standards
from apps.catalogue.models import UNLISTED_ITEM, Item, ItemAlias, ItemStandard, Pack, Region, Standard
from apps.catalogue.recognition import Names
from apps.core.errors import RuleViolation
from apps.demands.lines import DemandLine
from apps.demands.models import Demand, DemandState, QuantityKind
from apps.demands.services import await_verifications, open_demand, post_demands
from apps.policy.models import Policy
from apps.supply.models import Offer, OfferState, OfferStateCode
from apps.supply.services import create_offers, publish_offer

SOURCE: Final = "board"
DAYS_OFFERED: Final = 7
"""A maker is taken at its word for one week's output."""

# The number of an advisory lock, "board" in ASCII: two imports at once would create every organisation twice.
_LOCK: Final = 0x626F617264


@dataclass
class ImportOutcome:
    """What an import did. The counts are of this run; a repeated import adds nothing."""

    board: Board
    remarks: list[BoardRemark]
    organisations: int = 0
    demands: int = 0
    offers: int = 0
    verified: int = 0
    opened: int = 0
    published: int = 0
    awaiting: int = 0  # of the new demands, those that go out with the verification of their organisation

    def refuse(self, party: Party, violation: RuleViolation, line: BoardLine | None = None) -> None:
        """Record that a service refused a party or a line."""
        row, number = (line.row, line.number) if line else (party.rows[0], 0)
        self.remarks.append(BoardRemark(party.file, row, number, RemarkCode.REFUSED, str(violation)))

    @property
    def changed_nothing(self) -> bool:
        return not any((self.organisations, self.demands, self.offers, self.verified, self.opened, self.published))


def catalogue_vocabulary() -> Vocabulary:
    """The catalogue as the mapping needs it. The number of queries does not depend on the board."""
    items = list(Item.objects.listed().order_by("category__position", "position", "key"))
    aliases: defaultdict[int, list[str]] = defaultdict(list)
    for item_id, text in ItemAlias.objects.order_by("pk").values_list("item", "text"):
        aliases[item_id].append(text)
    known = Standard.objects.order_by("code").values_list("code", "grade", "succeeded_by__code")
    applies: defaultdict[str, list[str]] = defaultdict(list)
    for code, key in ItemStandard.objects.order_by("pk").values_list("standard__code", "item__key"):
        applies[code].append(key)
    packs: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for pack in Pack.objects.order_by("size"):
        for name in (pack.name_zh, pack.name_en):
            # By size, so the smallest pack of a name is kept: names like "box" stand for several.
            packs[pack.item_id].setdefault(name.casefold(), pack.size)

    return Vocabulary(
        names=Names((item.key, name) for item in items for name in (item.name_zh, item.name_en, *aliases[item.pk])),
        reader=standards.Reader(standards.Known(code, grade, after) for code, grade, after in known),
        gazetteer=regions.Gazetteer(
            regions.GazetteerEntry(code, name, path)
            for code, name, path in Region.objects.values_list("code", "name", "path")
        ),
        items_of={code: tuple(keys) for code, keys in applies.items()},
        categories={item.key: item.category_id for item in items},
        measures={item.key: ItemMeasure(item.unit_id, item.is_consumable, packs[item.pk]) for item in items},
    )


def import_board(
    folder: Path, *, open_lines: bool = False, coordinator: User | None = None, call_back: str = ""
) -> ImportOutcome:
    """Import a board: its rows become organisations, draft demands and draft offers.

    Rows that an earlier import brought in are left as they are. With `open_lines`, the demands of verified
    organisations are opened, and their offers of known capacity are published. A `coordinator` first verifies the
    organisations of its region, trusting the board; `call_back` notes how the hospitals were called. Each party has a
    transaction of its own, so a refusal affects only that party or line; it is reported.
    """
    # Everything is read and mapped before the first write, so a broken file costs no half an import.
    board = read_board(folder, catalogue_vocabulary())
    outcome = ImportOutcome(board, list(board.remarks))
    # Read once before the loop: the number of queries depends on what is new, not on the size of the board.
    existing = _Existing.load(board)

    for party in board.parties:
        try:
            with transaction.atomic():
                _lock()
                organisation = _bring_in(party, existing, outcome)
        except RuleViolation as violation:
            outcome.refuse(party, violation)
            continue
        if coordinator:
            # After the party's own transaction: a refused verification must not undo its rows.
            _vouch(party, organisation, coordinator, call_back, outcome)
        if open_lines:
            _put_to_work(party, organisation, coordinator, outcome)
    return outcome


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


@dataclass(frozen=True)
class _Existing:
    """The catalogue rows that the board's lines refer to, and the keys of the lines that were imported before."""

    items: dict[str, Item]
    standards: dict[str, Standard]
    regions: dict[str, Region]
    present: set[str]

    @classmethod
    def load(cls, board: Board) -> "_Existing":
        return cls(
            items={item.key: item for item in Item.objects.select_related("unit")},
            standards={standard.code: standard for standard in Standard.objects.all()},
            regions=Region.objects.in_bulk({party.region for party in board.parties}),
            present={
                *Demand.objects.filter(source=SOURCE).values_list("source_key", flat=True),
                *Offer.objects.filter(source=SOURCE).values_list("source_key", flat=True),
            },
        )

    def item(self, line: BoardLine) -> Item:
        return self.items[line.item or UNLISTED_ITEM]

    def standard(self, line: BoardLine) -> Standard | None:
        return self.standards[line.standard] if line.standard else None


def _bring_in(party: Party, existing: _Existing, outcome: ImportOutcome) -> Organisation:
    organisation, made = import_organisation(
        source=SOURCE,
        source_key=party.key,
        name=party.name,
        kind=party.kind,
        region=existing.regions[party.region],
        address=party.address,
        contact_name=party.contact_name,
        contact_phone=party.contact_phone,
        contact_email=party.contact_email,
    )
    outcome.organisations += made

    # Lines are recognised by a digest of what they say, so a repeated import adds only what is new.
    new = [line for line in party.lines if line.key not in existing.present]
    if organisation.can_supply and party.kind == "supplier":
        outcome.offers += len(_offer(organisation, new, existing))
        return organisation
    # The lines of one row were posted together.
    # `dict.fromkeys` keeps the order of the board and drops repeats.
    for row in dict.fromkeys(line.row for line in new):
        lines = [_demand_line(line, existing) for line in new if line.row == row]
        demands = post_demands(organisation, lines, by=None)
        outcome.demands += len(demands)
        if organisation.is_verified:
            continue
        # They go out with the verification, for which the organisation waits at the desk. What repeats another line or
        # names no item stays a draft that somebody has to look at.
        ready = {line.key for line in new if line.item and not line.is_repeated}
        awaiting = [demand for demand in demands if demand.source_key in ready]
        await_verifications(awaiting, by=None)
        outcome.awaiting += len(awaiting)
    return organisation


def _demand_line(line: BoardLine, existing: _Existing) -> DemandLine:
    if line.quantity is None:
        kind = QuantityKind.UNSPECIFIED
    else:
        kind = QuantityKind.ESTIMATE if line.is_estimate else QuantityKind.EXACT
    return DemandLine(
        item=existing.item(line),
        quantity=line.quantity,
        quantity_kind=kind,
        standard=existing.standard(line),
        note=line.note,
        source=SOURCE,
        source_key=line.key,
    )


def _offer(organisation: Organisation, lines: Iterable[BoardLine], existing: _Existing) -> list[Offer]:
    rows = [
        {
            "item": existing.item(line),
            "standard": existing.standard(line),
            # A board gives a daily capacity and no stock, so some days of it are offered.
            "quantity": (line.quantity or 0) * DAYS_OFFERED,
            "daily_capacity": line.quantity,
            "certificate_number": line.certificate,
            "note": line.note,
            # An offer of unknown capacity stays a draft; the code tells its supplier why.
            "state_code": "" if line.quantity else OfferStateCode.CAPACITY_UNKNOWN,
            "source": SOURCE,
            "source_key": line.key,
        }
        for line in lines
    ]
    return create_offers(organisation, rows, by=None) if rows else []


def _vouch(party: Party, organisation: Organisation, coordinator: User, call_back: str, outcome: ImportOutcome) -> None:
    """Verify an organisation that nobody has judged yet, if it lies in the coordinator's region."""
    if organisation.state not in {OrganisationState.UNVERIFIED, OrganisationState.PENDING}:
        return
    if not can(coordinator, Permission.COORDINATE, organisation):
        outcome.refuse(party, RuleViolation("not_in_your_region", _("This is not in the coordinator's region.")))
        return
    try:
        verify_organisation(organisation, by=coordinator, call_back=call_back if organisation.needs_proof else "")
        outcome.verified += 1
    except RuleViolation as violation:
        outcome.refuse(party, violation)


def _put_to_work(party: Party, organisation: Organisation, coordinator: User | None, outcome: ImportOutcome) -> None:
    """Open and publish the drafts of the board that have an item and do not repeat another line."""
    lines = {line.key: line for line in party.lines if line.item and not line.is_repeated}
    if not lines or not organisation.is_verified:
        return

    # Only drafts of this source: what its people have opened or edited since is theirs.
    drafts = Q(organisation=organisation, source=SOURCE, source_key__in=lines) & ~Q(item__key=UNLISTED_ITEM)
    policy = Policy.objects.current().values
    for demand in Demand.objects.filter(drafts, state=DemandState.DRAFT).shown().order_by("pk"):
        try:
            open_demand(demand, by=coordinator, policy=policy)
            outcome.opened += 1
        except RuleViolation as violation:
            outcome.refuse(party, violation, lines[demand.source_key])
    for offer in Offer.objects.filter(drafts, state=OfferState.DRAFT, quantity__gt=0).shown().order_by("pk"):
        try:
            publish_offer(offer, by=coordinator)
            outcome.published += 1
        except RuleViolation as violation:
            outcome.refuse(party, violation, lines[offer.source_key])
