"""A believable emergency to try the platform on: who is in it, and what happened to them in the last two weeks.

Everything is made by the services that people's clicks call, so every rule holds for it; only times are set back
afterwards. All names are invented; the audit trail keeps the real times and cannot be set back.
"""

import datetime as dt
from decimal import Decimal

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Language, User
from apps.accounts.permissions import Role
from apps.core.states import move
from apps.demands import services as demands
from apps.demands.models import Urgency
from apps.demo.cast import ADMIN, CALL_BACK, DESKS, MEMBERS, NEWCOMERS, OFFERS, VIEWER, licence
from apps.demo.stage import Stage
from apps.fulfilment import services as fulfilment
from apps.fulfilment.models import Order, Side
from apps.matching.models import DeclineReason
from apps.matching.simulation import previews
from apps.notifications.models import Message, MessageState, WebhookEndpoint
from apps.policy import services as policies
from apps.policy.models import Policy
from apps.policy.values import PhaseName
from apps.supply import services as supply
from apps.supply.models import Offer


def _set_up(stage: Stage) -> None:
    """Two weeks ago: the desks, the first organisations, all verified."""
    stage.at(days=15)
    stage.users[ADMIN] = stage.user(ADMIN, "Administrator", language=Language.ENGLISH, is_staff=True, is_superuser=True)
    for serial, member in enumerate((*DESKS, *MEMBERS), start=1):
        organisation = stage.join(member, serial)
        call = CALL_BACK if organisation.needs_proof else ""
        accounts.verify_organisation(organisation, by=stage.users[ADMIN], call_back=call, now=stage.now)
    # Everybody acts with the organisation as it is now.
    for login, organisation in stage.organisations.items():
        organisation.refresh_from_db()
        # Rights are cached with the user and were read before the verification.
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
    # Nobody confirms this offer from here on, so it becomes stale.
    stage.offer("maskmaker2", "mask.daily", 40_000, lead_time_days=2, unit_price=Decimal("0.6"))

    stage.at(days=10, minutes=10)
    stage.offer("trader", "dis.alcohol75", 3_000_000, lead_time_days=2, unit_price=Decimal("0.02"))

    stage.at(days=9)
    phases = {"phases": {"420000": {"phase": PhaseName.EMERGENCY}}}
    policies.make_policy(phases, note="Wuhan and fifteen cities are closed off.", by=stage.users["coordinator"])

    stage.at(days=8.4)
    stage.need("wuhan", stage.line("o2.highflow", 20, in_days=2, days_of_supply=0, note="含湿化罐和鼻塞导管"))
    for days in (7.9, 7.4, 6.9):  # from desk to desk
        stage.at(days=days)
        stage.work()

    stage.at(days=6)
    for offer in OFFERS:
        stage.offer(offer.login, offer.item, offer.quantity, **offer.facts)
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
    # Minus nine minutes: nine minutes after the line above, as `at` counts back from the end.
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
    rejected = stage.join(NEWCOMERS["rejected"], 93)
    accounts.submit_for_verification(rejected, by=stage.users["rejected"])
    stage.at(days=1.95)
    for order in stage.accept(masks):
        fulfilment.cancel_order(
            order, by=stage.users["enterprise"], side=Side.REQUESTER, reason="总部统一采购", now=stage.now
        )
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
    """Less came than was sent; a proven match is ordered again; silence brings in a backup."""
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
    stage.at(hours=27.9)  # two hours of silence: a backup is asked
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
    for serial, login in enumerate(("pending", "pending.hospital", "unverified"), start=90):
        stage.join(NEWCOMERS[login], serial)
    accounts.add_evidence(
        stage.organisations["pending"],
        SimpleUploadedFile("licence.pdf", licence(), "application/pdf"),
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
        # By the state machine: from queued, as a real delivery would have left it.
        move(message, MessageState.FAILED, attempts=1, error="550 5.1.1 mailbox unavailable")


def _draft_of_a_policy(stage: Stage) -> None:
    """A change of the policy that somebody thinks about, with what it would have changed in the last days."""
    current = Policy.objects.current()
    weights = {**current.values.weights, "coverage": 0.1, "price": 0.2}
    draft = policies.draft_policy(
        {**current.settings, "weights": weights}, based_on=current.version, by=stage.users["coordinator"]
    )
    previews.request_replay(draft, by=stage.users["coordinator"], now=stage.now)
    # Done here, so that the page has figures as soon as it is opened.
    while previews.replay_due():
        pass


def is_there() -> bool:
    return User.objects.filter(email=MEMBERS[0].email).exists()


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
    _draft_of_a_policy(stage)
