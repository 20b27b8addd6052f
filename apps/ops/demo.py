"""A believable emergency to try the platform on: who is in it, and what happened to them in the last two weeks.

Everything is made by the services that people's clicks call, so every rule holds for it; only times are set back
afterwards. All names are invented; the audit trail keeps the real times and cannot be set back.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models, transaction
from django.db.models import Max
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import IdentifierKind, Language, Organisation, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.catalogue.identifiers import uscc_check_character
from apps.catalogue.models import Item, Region, Standard
from apps.core.states import move
from apps.demands import services as demands
from apps.demands.models import Demand, QuantityKind, Urgency
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import ContactReveal, Delivery, Order, Shipment
from apps.matching import services as matching
from apps.matching.models import DeclineReason, Escalation, Match
from apps.notifications.models import Message, MessageState, Notification, WebhookEndpoint
from apps.supply import services as supply
from apps.supply.models import Offer

PASSWORD: Final = "masks-for-wuhan"  # noqa: S105  printed on purpose, refused in production
DOMAIN: Final = "demo.cosmomatch.example"

# Mails about what happened longer ago than this are not sent any more.
FRESH: Final = dt.timedelta(minutes=30)


class ReferenceMissing(Exception):
    """The demo needs items, standards or regions that are not in the database."""


# --- Who --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Player:
    """An organisation and the person who logs in for it."""

    login: str
    what: str  # for the list of log-ins
    person: str
    organisation: str
    kind: str
    region: str
    sector: str = "91"  # of the registration number: GB 32100-2015, first two characters
    address: str = ""
    phone: str = ""
    language: str = Language.CHINESE
    identifier_kind: str = IdentifierKind.USCC

    @property
    def email(self) -> str:
        return f"{self.login}@{DOMAIN}"


HOSPITAL, FACILITY, COMMUNITY, ENTERPRISE, SUPPLIER, CARRIER, GOVERNMENT, COORDINATOR = OrganisationKind.values

DESKS: Final = (
    Player(
        login="coordinator",
        what="coordinators, all of China",
        person="Grace Okafor",
        organisation="全国物资协调台（演示）",
        kind=COORDINATOR,
        region="CN",
        sector="51",
        phone="010-5550 0100",
        language=Language.ENGLISH,
    ),
    Player(
        login="coordinator.hubei",
        what="coordinators, Hubei",
        person="沈思齐",
        organisation="湖北物资协调台（演示）",
        kind=COORDINATOR,
        region="420000",
        sector="51",
        phone="027-5550 0200",
    ),
    Player(
        login="coordinator.wuhan",
        what="coordinators, Wuhan",
        person="陶亦安",
        organisation="武汉物资协调台（演示）",
        kind=COORDINATOR,
        region="420100",
        sector="51",
        phone="027-5550 0210",
    ),
)

CAST: Final = (
    Player(
        login="hospital",
        what="hospital in Beijing's Xicheng district",
        person="林若溪",
        organisation="北京什岚医院",
        kind=HOSPITAL,
        region="110102",
        sector="12",
        address="西城区槐荫里 18 号",
        phone="010-5550 0118",
    ),
    Player(
        login="wuhan",
        what="hospital group in Wuhan, many needs",
        person="周牧野",
        organisation="武汉江晴医疗集团",
        kind=HOSPITAL,
        region="420103",
        sector="12",
        address="江汉区晴川巷 66 号 物资科",
        phone="027-5550 0166",
    ),
    Player(
        login="xiantao",
        what="clinic in Xiantao",
        person="彭知夏",
        organisation="仙桃沔禾门诊部",
        kind=FACILITY,
        region="429004",
        sector="52",
        address="仙桃市荷风路 9 号",
        phone="0728-5550 109",
    ),
    Player(
        login="carehome",
        what="care home in Wuhan",
        person="方静姝",
        organisation="武汉晚枫养老院",
        kind=FACILITY,
        region="420105",
        sector="52",
        address="汉阳区枫林路 31 号",
        phone="027-5550 0131",
    ),
    Player(
        login="community",
        what="community in Wuhan",
        person="罗小满",
        organisation="武汉市云桥社区居委会",
        kind=COMMUNITY,
        region="420104",
        sector="55",
        address="硚口区云桥街 7 号",
        phone="027-5550 0107",
    ),
    Player(
        login="enterprise",
        what="enterprise that resumes work",
        person="唐予安",
        organisation="武汉楚樾电子有限公司",
        kind=ENTERPRISE,
        region="420111",
        address="洪山区光遥路 200 号",
        phone="027-5550 0120",
    ),
    Player(
        login="supplier",
        what="maker of forehead thermometers in Shenzhen",
        person="何景行",
        organisation="深圳衡岚测温科技有限公司",
        kind=SUPPLIER,
        region="440305",
        address="南山区衡岚工业园 3 栋",
        phone="0755-5550 0303",
    ),
    Player(
        login="maskmaker",
        what="maker of masks and suits in Xiantao",
        person="蔡望舒",
        organisation="湖北仙沔无纺制品有限公司",
        kind=SUPPLIER,
        region="429004",
        address="仙桃市织云大道 1 号",
        phone="0728-5550 101",
    ),
    Player(
        login="maskmaker2",
        what="maker of masks in Dongguan",
        person="梁知远",
        organisation="东莞朗絮防护用品有限公司",
        kind=SUPPLIER,
        region="441900",
        address="东莞市朗絮路 55 号",
        phone="0769-5550 0155",
    ),
    Player(
        login="trader",
        what="trader in Guangzhou",
        person="冯书瑶",
        organisation="广州穗启医疗器械贸易有限公司",
        kind=SUPPLIER,
        region="440106",
        address="天河区启明街 12 号 1602",
        phone="020-5550 0112",
    ),
    Player(
        login="trader2",
        what="trader in Shanghai",
        person="Daniel Ferreira",
        organisation="上海澄帆国际贸易有限公司",
        kind=SUPPLIER,
        region="310115",
        address="浦东新区澄帆路 88 号",
        phone="021-5550 0188",
        language=Language.ENGLISH,
    ),
    Player(
        login="donor",
        what="foundation in Hangzhou that donates",
        person="夏念慈",
        organisation="杭州念禾公益基金会",
        kind=SUPPLIER,
        region="330106",
        sector="53",
        address="西湖区念禾里 5 号",
        phone="0571-5550 0105",
    ),
    Player(
        login="donor.lombardy",
        what="association in Lombardy that donates",
        person="Chiara Bellandi",
        organisation="Associazione Ponte Sereno",
        kind=SUPPLIER,
        region="IT-25",
        address="Via del Ponte 4, Milano",
        phone="+39 02 5550 0104",
        language=Language.ENGLISH,
        identifier_kind=IdentifierKind.OTHER,
    ),
    Player(
        login="carrier",
        what="carrier in Wuhan",
        person="马行舟",
        organisation="武汉迅岭物流有限公司",
        kind=CARRIER,
        region="420100",
        address="东西湖区迅岭路 3 号",
        phone="027-5550 0103",
    ),
    Player(
        login="carrier2",
        what="carrier in Shenzhen",
        person="邓启航",
        organisation="深圳鹏驭速运有限公司",
        kind=CARRIER,
        region="440300",
        address="宝安区鹏驭路 21 号",
        phone="0755-5550 0121",
    ),
    Player(
        login="partner",
        what="government partner, Beijing",
        person="许怀瑾",
        organisation="北京市应急物资联席办公室（演示）",
        kind=GOVERNMENT,
        region="110000",
        sector="11",
        phone="010-5550 0001",
    ),
    Player(
        login="partner.hubei",
        what="government partner, Hubei",
        person="程以南",
        organisation="湖北省应急物资联席办公室（演示）",
        kind=GOVERNMENT,
        region="420000",
        sector="11",
        phone="027-5550 0001",
    ),
)

# They came later, and nobody has verified them (yet).
NEWCOMERS: Final = (
    Player(
        login="pending",
        what="supplier that waits for its verification",
        person="苏映月",
        organisation="成都青屿医疗科技有限公司",
        kind=SUPPLIER,
        region="510100",
        address="高新区青屿路 17 号",
        phone="028-5550 0117",
    ),
    Player(
        login="pending.hospital",
        what="hospital that waits for its verification",
        person="顾青禾",
        organisation="黄冈东岚医院",
        kind=HOSPITAL,
        region="421100",
        sector="12",
        address="黄州区东岚路 2 号",
        phone="0713-5550 102",
    ),
    Player(
        login="unverified",
        what="supplier that is not verified",
        person="郭长风",
        organisation="郑州豫澜防护科技有限公司",
        kind=SUPPLIER,
        region="410100",
        phone="0371-5550 0111",
    ),
    Player(
        login="rejected",
        what="supplier that was rejected",
        person="孟凡星",
        organisation="临沂捷穹医疗用品有限公司",
        kind=SUPPLIER,
        region="371300",
        phone="0539-5550 113",
    ),
)

ADMIN: Final = f"admin@{DOMAIN}"
VIEWER: Final = f"hospital.viewer@{DOMAIN}"


def log_ins() -> list[tuple[str, str]]:
    """What each demo user is, and the address it logs in with."""
    players = [(player.what, player.email) for player in (*CAST, *NEWCOMERS, *DESKS)]
    return [*players, ("looks on for the Beijing hospital", VIEWER), ("administrator, also of the back office", ADMIN)]


def uscc(sector: str, region: str, serial: int) -> str:
    """A unified social credit code (GB 32100-2015) that is well formed and was never given out to these names."""
    body = f"99{serial:06d}"
    weights = (3, 7, 9, 10, 5, 8, 4, 2)  # GB 11714-1997
    check = 11 - sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11
    first17 = sector + region + body + {10: "X", 11: "0"}.get(check, str(check))
    return first17 + uscc_check_character(first17)


# --- What was on offer ------------------------------------------------------------------------------------------------


def _offers() -> list[tuple[str, str, int, dict[str, Any]]]:
    """Who offers what and how much: (log-in, item, quantity, other facts)."""
    return [
        (
            "supplier",
            "thermo.ir",
            80_000,
            {
                "standard": "GB/T 21417.1-2008",
                "daily_capacity": 6_000,
                "minimum_order": 100,
                "lead_time_days": 2,
                "unit_price": Decimal(168),
                "certificate_number": "粤械注准20202070117",
                "note": "红外额温枪，三色背光，含电池。每箱 100 支。",
            },
        ),
        ("supplier", "thermo.ear", 12_000, {"lead_time_days": 3, "unit_price": Decimal(135), "minimum_order": 50}),
        (
            "maskmaker",
            "mask.surgical",
            300_000,
            {
                "standard": "YY 0469-2011",
                "daily_capacity": 60_000,
                "minimum_order": 2_000,
                "lead_time_days": 1,
                "unit_price": Decimal("1.8"),
                "certificate_number": "鄂械注准20192140233",
            },
        ),
        (
            "maskmaker",
            "mask.medical.disposable",
            800_000,
            {
                "standard": "YY/T 0969-2013",
                "daily_capacity": 150_000,
                "minimum_order": 2_000,
                "lead_time_days": 1,
                "unit_price": Decimal("0.9"),
            },
        ),
        (
            "maskmaker",
            "suit.protective",
            2_600,
            {
                "standard": "GB 19082-2009",
                "daily_capacity": 400,
                "minimum_order": 20,
                "lead_time_days": 2,
                "unit_price": Decimal(95),
            },
        ),
        ("maskmaker", "cap.medical", 90_000, {"lead_time_days": 1, "unit_price": Decimal("0.35")}),
        (
            "maskmaker2",
            "resp.particulate",
            20_000,
            {
                "standard": "GB 2626-2019 KN95",
                "daily_capacity": 8_000,
                "minimum_order": 500,
                "lead_time_days": 2,
                "unit_price": Decimal("7.5"),
            },
        ),
        (
            "maskmaker2",
            "mask.surgical",
            150_000,
            {"standard": "YY 0469-2011", "minimum_order": 5_000, "lead_time_days": 3, "unit_price": Decimal("1.6")},
        ),
        (
            "trader",
            "glove.exam",
            60_000,
            {
                "standard": "GB 10213-2006",
                "minimum_order": 1_000,
                "lead_time_days": 2,
                "unit_price": Decimal("0.42"),
            },
        ),
        ("trader", "eye.goggles", 6_000, {"standard": "GB 14866-2006", "lead_time_days": 2, "unit_price": Decimal(26)}),
        ("trader", "eye.shield", 4_000, {"lead_time_days": 3, "unit_price": Decimal(9)}),
        (
            "trader",
            "thermo.ir",
            1_500,
            {
                "standard": "GB/T 21417.1-2008",
                "minimum_order": 10,
                "lead_time_days": 9,
                "unit_price": Decimal(239),
            },
        ),
        ("trader", "dis.handrub", 2_000_000, {"lead_time_days": 2, "unit_price": Decimal("0.04")}),
        ("trader", "oximeter", 900, {"lead_time_days": 4, "unit_price": Decimal(110)}),
        (
            "trader2",
            "resp.medical",
            20_000,
            {
                "standard": "GB 19083-2010 Grade 1",
                "minimum_order": 200,
                "lead_time_days": 3,
                "unit_price": Decimal("12.8"),
            },
        ),
        ("trader2", "gown.isolation", 15_000, {"lead_time_days": 2, "unit_price": Decimal("14.5")}),
        (
            "trader2",
            "glove.exam",
            9_000,
            {"standard": "GB 10213-2006", "lead_time_days": 4, "unit_price": Decimal("0.55")},
        ),
        ("trader2", "eye.goggles", 300, {"standard": "EN 166:2001", "lead_time_days": 3, "unit_price": Decimal(31)}),
        ("trader2", "vent.noninvasive", 8, {"lead_time_days": 14, "unit_price": Decimal(38_000)}),
        (
            "donor",
            "mask.surgical",
            20_000,
            {"standard": "YY 0469-2011", "is_donation": True, "lead_time_days": 2, "ships_to": ["420000"]},
        ),
        ("donor", "eye.shield", 800, {"is_donation": True, "lead_time_days": 2, "ships_to": ["420000"]}),
        (
            "donor.lombardy",
            "suit.protective",
            1_200,
            {
                "standard": "EN 14126:2003 Type 3-B",
                "is_donation": True,
                "lead_time_days": 12,
                "ships_to": ["CN"],
                "note": "Air freight to Wuhan is paid for.",
            },
        ),
    ]


_OTHER_ITEMS: Final = (
    *("o2.highflow", "vent.invasive", "mask.daily", "dis.alcohol75", "thermo.imaging", "cover.shoe", "mask.child"),
    *("syringe", "bag.waste"),
)


# --- The stage --------------------------------------------------------------------------------------------------------


class Stage:
    """The people, the reference data, and a clock that only goes forward, from two weeks ago until now."""

    STAMPED: Final[tuple[tuple[type[models.Model], str], ...]] = tuple(
        [
            (model, "created_at")
            for model in (
                Organisation,
                Demand,
                Offer,
                Match,
                Escalation,
                Order,
                Shipment,
                Delivery,
                Notification,
                Message,
            )
        ]
        + [(ContactReveal, "at")]
    )

    def __init__(self, end: dt.datetime) -> None:
        self.end = end
        self.now = end - dt.timedelta(days=30)
        self.users: dict[str, User] = {}
        self.organisations: dict[str, Organisation] = {}
        self.items = self._all_of(Item, "key", {item for _who, item, _quantity, _facts in _offers()} | {*_OTHER_ITEMS})
        self.standards = self._all_of(
            Standard,
            "code",
            {facts["standard"] for *_offer, facts in _offers() if "standard" in facts} | {"GB 19083-2010 Grade 3"},
        )
        players = (*DESKS, *CAST, *NEWCOMERS)
        self.regions = self._all_of(Region, "code", {player.region for player in players} | {"CN", "420000"})
        self._seen = {model: self._newest(model) for model, _field in self.STAMPED}

    @staticmethod
    def _all_of(model: Any, field: str, wanted: set[str]) -> dict[str, Any]:
        found = {getattr(row, field): row for row in model.objects.filter(**{f"{field}__in": wanted})}
        if missing := sorted(wanted - set(found)):
            raise ReferenceMissing(f"{model._meta.verbose_name_plural}: {', '.join(missing)}")
        return found

    @staticmethod
    def _newest(model: Any) -> int:
        newest: int | None = model.objects.aggregate(newest=Max("pk"))["newest"]
        return newest or 0

    def at(self, *, days: float = 0, hours: float = 0, minutes: float = 0) -> None:
        """Go on to this long before the end; what was made until now gets the time it was made at."""
        then = self.end - dt.timedelta(days=days, hours=hours, minutes=minutes)
        assert then > self.now, "the clock of the demo goes forward"
        self.stamp()
        self.now = then

    def stamp(self) -> None:
        """Set back the times of the rows made since the last stamp, and count old mails as sent."""
        for model, field in self.STAMPED:
            made = model._default_manager.filter(pk__gt=self._seen[model])
            if model is Message and self.end - self.now > FRESH:
                made.update(state=MessageState.SENT, sent_at=self.now, attempts=1)
            if model is Notification and self.end - self.now > dt.timedelta(days=1):
                made.update(read_at=self.now + dt.timedelta(hours=1))
            made.update(**{field: self.now})
            self._seen[model] = self._newest(model)

    def work(self) -> None:
        """What the worker does until nothing is left to do."""
        demands.ask_whether_still_needed(now=self.now)
        demands.suspend_stale(now=self.now)
        supply.ask_whether_still_there(now=self.now)
        supply.suspend_stale(now=self.now)
        for _round in range(10):
            if not matching.sweep(now=self.now):
                return

    # What people do.

    def join(self, player: Player, serial: int) -> Organisation:
        """Register an organisation with its manager; coordinators are set up as the back office does it."""
        user = self.user(player.email, player.person, language=player.language)
        region = self.regions[player.region]
        is_uscc = player.identifier_kind == IdentifierKind.USCC
        register = region.code if region.code.isdigit() else "100000"  # 100000: registered with the State
        facts = {
            "identifier_kind": player.identifier_kind,
            "identifier": uscc(player.sector, register, serial) if is_uscc else f"RUNTS-{serial:06d}",
            "address": player.address,
            "contact_name": player.person,
            "contact_phone": player.phone,
            "contact_email": player.email,
        }
        if player.kind == COORDINATOR:
            organisation = Organisation.objects.create(
                name=player.organisation, kind=player.kind, region=region, **facts
            )
            accounts.add_member(organisation, user, role=Role.MANAGER, by=self.users[ADMIN])
        else:
            organisation = accounts.register_organisation(
                by=user, name=player.organisation, kind=player.kind, region=region, **facts
            )
        self.users[player.login], self.organisations[player.login] = user, organisation
        return organisation

    def user(self, email: str, name: str, **facts: Any) -> User:
        user = User.objects.create(email=email, name=name, password=self.password, date_joined=self.now, **facts)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        return user

    @property
    def password(self) -> str:
        """Hashed once, since hashing is slow on purpose."""
        if not hasattr(self, "_password"):
            self._password = make_password(PASSWORD)
        return self._password

    def offer(self, who: str, item: str, quantity: int, *, publish: bool = True, **facts: Any) -> Offer:
        if "standard" in facts:
            facts["standard"] = self.standards[facts["standard"]]
        offer = supply.create_offer(
            self.organisations[who], item=self.items[item], by=self.users[who], quantity=quantity, **facts
        )
        return supply.publish_offer(offer, by=self.users[who], now=self.now) if publish else offer

    def line(self, item: str, quantity: int | None, *, in_days: float | None = None, **facts: Any) -> demands.Line:
        if "standard" in facts:
            facts["standard"] = self.standards[facts["standard"]]
        if quantity is None:
            facts["quantity_kind"] = QuantityKind.UNSPECIFIED
        needed_by = None if in_days is None else self.now + dt.timedelta(days=in_days)
        return demands.Line(item=self.items[item], quantity=quantity, needed_by=needed_by, **facts)

    def draft(self, who: str, *lines: demands.Line, by: str = "") -> list[Demand]:
        return demands.post_demands(self.organisations[who], lines, by=self.users[by or who], now=self.now)

    def need(self, who: str, *lines: demands.Line, by: str = "") -> list[Demand]:
        """Post, open, and let the worker ask."""
        posted = self.draft(who, *lines, by=by)
        opened = [demands.open_demand(demand, by=self.users[by or who], now=self.now) for demand in posted]
        self.work()
        return opened

    def asked(self, demand: Demand) -> list[Match]:
        """The suppliers that are asked and have not answered, best first."""
        return list(Match.objects.held().filter(demand=demand).shown().order_by("rank"))

    def answering(self, match: Match) -> User | None:
        return User.objects.filter(memberships__organisation=match.offer.organisation_id).order_by("pk").first()

    def accept(self, demand: Demand, **answer: Any) -> list[Order]:
        """Everybody who was asked says yes; the requester looks up whom to call."""
        orders = []
        for match in self.asked(demand):
            orders.append(fulfilment.accept_match(match, by=self.answering(match), now=self.now, **answer))
            for side in (demand.posted_by, self.answering(match)):
                if side is not None:
                    fulfilment.reveal_contact(Match.objects.shown().get(pk=match.pk), to=side)
        self.work()
        return orders

    def decline(self, demand: Demand, reason: str, note: str) -> None:
        for match in self.asked(demand):
            matching.decline(match, by=self.answering(match), reason=reason, note=note, now=self.now)
        self.work()

    def ship(self, orders: Iterable[Order], quantity: int | None = None, *, carrier: str = "武汉迅岭物流") -> None:
        for order in orders:
            fulfilment.ship_order(
                order,
                by=order.placed_by,
                quantity=quantity,
                carrier=carrier,
                tracking_number=f"XL{order.pk:08d}",
                expected_on=(self.now + dt.timedelta(days=2)).date(),
                now=self.now,
            )

    def receive(self, orders: Iterable[Order], *, rejected: int = 0, reason: str = "") -> None:
        for order in orders:
            shipped = sum(order.shipments.values_list("quantity", flat=True)) or order.quantity
            fulfilment.deliver_order(
                order,
                by=order.match.demand.posted_by,
                quantity_accepted=shipped - rejected,
                quantity_rejected=rejected,
                reason=reason,
                now=self.now,
            )
        self.work()


# --- What happened ----------------------------------------------------------------------------------------------------


def _set_up(stage: Stage) -> None:
    """Two weeks ago: the desks, the first organisations, all verified."""
    stage.at(days=15)
    stage.users[ADMIN] = stage.user(ADMIN, "Administrator", language=Language.ENGLISH, is_staff=True, is_superuser=True)
    for serial, player in enumerate((*DESKS, *CAST), start=1):
        organisation = stage.join(player, serial)
        accounts.verify_organisation(organisation, by=stage.users[ADMIN], now=stage.now)
    # Everybody acts with the organisation as it is now.
    for login, organisation in stage.organisations.items():
        organisation.refresh_from_db()
        stage.users[login].__dict__.pop("grants", None)
    viewer = stage.user(VIEWER, "高远")
    accounts.add_member(stage.organisations["hospital"], viewer, role=Role.VIEWER, by=stage.users["hospital"])
    WebhookEndpoint.objects.create(
        organisation=stage.organisations["partner.hubei"],
        url="http://127.0.0.1:9099/cosmomatch",
        secret="whsec_ZGVtby1vbmx5LW5vdC1hLXNlY3JldA==",  # noqa: S106  an endpoint that is not in use
        events=["demand.escalated"],
        is_active=False,
    )


def _first_days(stage: Stage) -> None:
    """What nobody has, what went stale, and the first deliveries."""
    stage.offer("maskmaker2", "mask.daily", 40_000, lead_time_days=2, unit_price=Decimal("0.6"))

    stage.at(days=10, minutes=10)
    stage.offer("trader", "dis.alcohol75", 3_000_000, lead_time_days=2, unit_price=Decimal("0.02"))

    stage.at(days=8.4)
    stage.need("wuhan", stage.line("o2.highflow", 20, in_days=2, days_of_supply=0, note="含湿化罐和鼻塞导管"))
    for days in (7.9, 7.4, 6.9):  # from desk to desk
        stage.at(days=days)
        stage.work()

    stage.at(days=6)
    for who, item, quantity, facts in _offers():
        stage.offer(who, item, quantity, **facts)
    stage.offer("supplier", "thermo.imaging", 40, publish=False, lead_time_days=7, unit_price=Decimal(52_000))
    stage.work()

    stage.at(days=5)
    masks, suits, goggles = stage.need(
        "wuhan",
        stage.line(
            "mask.surgical", 50_000, in_days=2, urgency=Urgency.EMERGENCY, standard="YY 0469-2011", days_of_supply=1
        ),
        stage.line("suit.protective", 3_000, in_days=2, urgency=Urgency.EMERGENCY, days_of_supply=1),
        stage.line("eye.goggles", 1_500, in_days=3, urgency=Urgency.EMERGENCY, days_of_supply=2),
    )
    stage.at(days=5, minutes=-9)
    arriving = [stage.accept(demand) for demand in (masks, suits, goggles)]
    stage.at(days=4.8)
    for orders in arriving:
        stage.ship(orders)

    stage.at(days=4.5)
    [thermometers] = stage.need("wuhan", stage.line("thermo.ir", 800, in_days=5, note="发热门诊和住院楼入口"))
    stage.at(days=4.47)
    proven = stage.accept(thermometers)
    stage.at(days=4.3)
    stage.ship(proven, carrier="深圳鹏驭速运")

    stage.at(days=4.2)
    stage.receive(arriving[0])
    stage.receive(arriving[1])
    stage.receive(arriving[2], rejected=20, reason="镜片划伤")
    stage.at(days=4.19)
    stage.accept(goggles)
    stage.at(days=4)
    for order in arriving[0]:
        order.refresh_from_db()
        fulfilment.close_order(order, by=order.match.demand.posted_by, now=stage.now)

    stage.at(days=3)
    stage.receive(proven)
    gloves, rub = stage.need(
        "hospital",
        stage.line("glove.exam", 20_000, in_days=4, standard="GB 10213-2006"),
        stage.line("dis.handrub", 200_000, in_days=4, note="500 毫升瓶装"),
    )
    stage.at(days=2.96)
    on_its_way = stage.accept(gloves)
    stage.accept(rub)
    stage.at(days=2.7)
    stage.ship(on_its_way, carrier="深圳鹏驭速运")


def _set_backs(stage: Stage) -> None:
    """Refused, silent, called off, paused, rejected: what an emergency is made of."""
    stage.at(days=2.5)
    [gloves] = stage.need(
        "community", stage.line("glove.exam", 2_000, in_days=3, note="电话登记，代社区发布"), by="coordinator.wuhan"
    )
    stage.at(days=2.47)
    stage.decline(gloves, DeclineReason.DISTANCE, "这周没有去硚口的车")
    stage.at(days=2.45)
    sent = stage.accept(gloves)
    stage.at(days=2.4)
    stage.ship(sent, 1_200)

    stage.at(days=2.2)
    [suits] = stage.need("xiantao", stage.line("suit.protective", None, note="不知道要多少，先来一些"))
    stage.at(days=2.18)
    stage.accept(suits)

    stage.at(days=2)
    [masks] = stage.need(
        "enterprise", stage.line("mask.medical.disposable", 6_000, in_days=7, urgency=Urgency.ROUTINE, note="复工")
    )
    rejected = stage.join(NEWCOMERS[3], 93)
    accounts.submit_for_verification(rejected, by=stage.users["rejected"])
    stage.at(days=1.95)
    for order in stage.accept(masks):
        fulfilment.cancel_order(order, by=stage.users["enterprise"], reason="总部统一采购", now=stage.now)
    masks.refresh_from_db()
    demands.cancel_demand(masks, by=stage.users["enterprise"], reason="总部统一采购", now=stage.now)
    stage.work()

    stage.at(days=1.9)
    [caps] = stage.need("carehome", stage.line("cap.medical", 3_000, urgency=Urgency.ROUTINE))
    stage.at(days=1.8)
    caps.refresh_from_db()
    demands.pause_demand(caps, by=stage.users["carehome"], reason="新楼推迟启用，先等等", now=stage.now)
    stage.work()
    accounts.reject_organisation(
        rejected, by=stage.users["coordinator"], reason="营业执照的经营范围不含医疗器械，请补充备案凭证。"
    )


def _yesterday(stage: Stage) -> None:
    """Less came than was sent; a proven match is ordered again; silence brings in the next best."""
    [sent] = Order.objects.filter(match__demand__organisation=stage.organisations["community"])
    gloves = sent.match.demand
    stage.at(days=1.6)
    stage.receive([sent])
    stage.at(days=1.55)
    sent.refresh_from_db()
    fulfilment.close_order(sent, by=stage.users["trader2"], reason="其余在途中受潮，不再补发", now=stage.now)
    stage.work()
    stage.at(days=1.54)
    stage.decline(gloves, DeclineReason.GONE, "库存已清")

    stage.at(days=1.5)
    thermometers = Order.objects.get(
        match__offer__organisation=stage.organisations["supplier"],
        match__demand__organisation=stage.organisations["wuhan"],
    )
    again = fulfilment.repeat_order(thermometers, by=stage.users["wuhan"], quantity=2_000, now=stage.now)
    stage.receive(
        Order.objects.filter(
            match__demand__organisation=stage.organisations["hospital"], match__offer__item__key="glove.exam"
        )
    )

    stage.at(hours=30)
    [shields] = stage.need("xiantao", stage.line("eye.shield", 500, in_days=4))
    stage.at(hours=27.9)  # two hours of silence: the next best is asked
    stage.work()
    stage.at(hours=27)
    stage.accept(shields, quantity=350)

    stage.at(hours=24)
    stage.ship([again], carrier="深圳鹏驭速运")
    stage.work()
    trader, trader2 = stage.users["trader"], stage.users["trader2"]
    [oximeters] = Offer.objects.filter(organisation=stage.organisations["trader"], item=stage.items["oximeter"])
    supply.pause_offer(oximeters, by=trader, reason="等待清关", now=stage.now)
    [ventilators] = Offer.objects.filter(
        organisation=stage.organisations["trader2"], item=stage.items["vent.noninvasive"]
    )
    supply.withdraw_offer(ventilators, by=trader2, reason="已全部交付其他省", now=stage.now)


def _newcomers(stage: Stage) -> None:
    stage.at(hours=20)
    for serial, player in enumerate(NEWCOMERS[:3], start=90):
        stage.join(player, serial)
    accounts.add_evidence(
        stage.organisations["pending"],
        SimpleUploadedFile("licence.pdf", _document(), "application/pdf"),
        by=stage.users["pending"],
        note="营业执照（演示文件）",
    )
    for login in ("pending", "pending.hospital"):
        accounts.submit_for_verification(stage.organisations[login], by=stage.users[login])
    stage.offer("pending", "mask.surgical", 30_000, publish=False, lead_time_days=2, unit_price=Decimal("1.7"))
    stage.offer("unverified", "mask.child", 15_000, publish=False, lead_time_days=3)
    stage.offer("rejected", "suit.protective", 5_000, publish=False, lead_time_days=3)
    stage.draft("pending.hospital", stage.line("mask.surgical", 8_000), stage.line("suit.protective", 400))


def _today(stage: Stage) -> None:
    """What is going on right now."""
    stage.at(hours=7)
    stage.need("enterprise", stage.line("resp.particulate", 18_000, in_days=10, urgency=Urgency.ROUTINE))

    stage.at(hours=5)  # a hospital needs the same goods: the unanswered request of the enterprise gives way
    [respirators] = stage.need(
        "wuhan",
        stage.line(
            "resp.particulate",
            15_000,
            in_days=2,
            urgency=Urgency.EMERGENCY,
            standard="GB 2626-2019 KN95",
            days_of_supply=1,
        ),
    )
    stage.at(hours=4.9)
    stage.accept(respirators)

    stage.at(hours=3.5)
    stage.need(
        "wuhan",
        stage.line("vent.invasive", 6, in_days=1, urgency=Urgency.EMERGENCY, days_of_supply=0, note="重症病区扩容"),
    )

    stage.at(hours=3)
    stage.need("community", stage.line("mask.medical.disposable", 150_000_000, urgency=Urgency.ROUTINE))

    stage.at(hours=2.5)
    stage.need("hospital", stage.line("resp.medical", 2_000, in_days=6, standard="GB 19083-2010 Grade 3"))
    stage.draft("hospital", stage.line("oximeter", 30, in_days=10, urgency=Urgency.ROUTINE))

    stage.at(hours=2)
    stage.need("carehome", stage.line("dis.handrub", 60_000, urgency=Urgency.ROUTINE, note="自带分装瓶"))

    stage.at(hours=1.4)  # the clock of the ventilators has run out
    stage.work()

    stage.at(minutes=24)
    stage.need("wuhan", stage.line("gown.isolation", 2_000, in_days=3, days_of_supply=2))

    stage.at(minutes=12)
    stage.need("community", stage.line("mask.surgical", 5_000, in_days=3))

    stage.at()
    stage.work()
    stage.stamp()


def _undeliverable(stage: Stage) -> None:
    """One mail that could not be delivered, for the desk to see."""
    message = Message.objects.filter(user=stage.users["donor"]).order_by("pk").first()
    if message is not None:
        Message.objects.filter(pk=message.pk).update(state=MessageState.QUEUED, sent_at=None)
        message.refresh_from_db()
        move(message, MessageState.FAILED, attempts=1, error="550 5.1.1 mailbox unavailable")


def _document() -> bytes:
    """The smallest PDF that opens: one page that says what it is."""
    text = b"BT /F1 24 Tf 72 720 Td (Business licence - demonstration only) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
            b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
    ]
    document, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        document
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (
            len(objects) + 1,
            table,
            len(objects) + 1,
            len(document),
        )
    )


def is_there() -> bool:
    return User.objects.filter(email=CAST[0].email).exists()


@transaction.atomic
def make(*, now: dt.datetime | None = None) -> None:
    """Make all of it, or nothing; no worker sees half of it. Raises `ReferenceMissing`."""
    stage = Stage(now or timezone.now())
    _set_up(stage)
    _first_days(stage)
    _set_backs(stage)
    _yesterday(stage)
    _newcomers(stage)
    _today(stage)
    _undeliverable(stage)
