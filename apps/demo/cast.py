"""Who is in the demo's emergency, and what is on offer in it. All names are invented."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from apps.accounts.models import IdentifierKind, Language
from apps.accounts.permissions import OrganisationKind
from apps.catalogue.identifiers import uscc_check_character

PASSWORD: Final = "masks-for-wuhan"  # noqa: S105  printed on purpose, refused in production
DOMAIN: Final = "demo.cosmomatch.example"

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


def offers() -> list[tuple[str, str, int, dict[str, Any]]]:
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


OTHER_ITEMS: Final = (
    *("o2.highflow", "vent.invasive", "mask.daily", "dis.alcohol75", "thermo.imaging", "cover.shoe", "mask.child"),
    *("syringe", "bag.waste"),
)


def licence() -> bytes:
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
