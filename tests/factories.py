"""Factories of rows for tests. Defaults are valid and believable, and each of them can be overridden."""

import datetime as dt
from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from apps.accounts.models import Membership, Organisation, OrganisationState, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.catalogue.models import Category, Item, ItemStandard, Region, Satisfaction, Standard, Unit
from apps.demands.models import Demand, DemandState, Urgency
from apps.demands.services import new_reference
from apps.matching.models import Escalation, Match, MatchState
from apps.supply.models import Offer, OfferState

PASSWORD = "correct horse battery staple"

# code: (Chinese, English, level, parent, latitude, longitude)
REGIONS = {
    "CN": ("中国", "China", "country", None, 35.0, 103.0),
    "110000": ("北京市", "Beijing", "province", "CN", 39.904, 116.407),
    "110102": ("西城区", "Xicheng", "county", "110000", 39.913, 116.366),
    "420000": ("湖北省", "Hubei", "province", "CN", 30.546, 114.342),
    "420100": ("武汉市", "Wuhan", "prefecture", "420000", 30.593, 114.305),
    "420106": ("武昌区", "Wuchang", "county", "420100", 30.554, 114.316),
    "429004": ("仙桃市", "Xiantao", "county", "420000", 30.362, 113.443),
    "440000": ("广东省", "Guangdong", "province", "CN", 23.132, 113.266),
    "440300": ("深圳市", "Shenzhen", "prefecture", "440000", 22.543, 114.058),
    "650000": ("新疆维吾尔自治区", "Xinjiang", "province", "CN", 43.793, 87.628),
    "IT": ("意大利", "Italy", "country", None, 42.8, 12.6),
    "IT-25": ("伦巴第", "Lombardy", "province", "IT", 45.6, 9.8),
}


def region(code: str) -> Region:
    """One of the regions in `REGIONS`, made with its ancestors if it is not there yet: two statements at most."""
    found = Region.objects.in_bulk(_lineage(code))
    if code not in found:
        made = Region.objects.bulk_create(_region(one) for one in _lineage(code) if one not in found)
        found |= {row.pk: row for row in made}
    return found[code]


def _lineage(code: str) -> list[str]:
    """Its ancestors, the highest first, and itself."""
    above = REGIONS[code][3] if code in REGIONS else None
    return [*(_lineage(above) if above else []), code]


def _region(code: str) -> Region:
    name, name_en, level, parent, latitude, longitude = REGIONS[code]
    path = "".join(f"{one}/" for one in _lineage(code))
    return Region(
        code=code,
        name=name,
        name_en=name_en,
        level=level,
        parent_id=parent,
        path=path,
        latitude=latitude,
        longitude=longitude,
    )


class CategoryFactory(DjangoModelFactory[Category]):
    class Meta:
        model = Category
        django_get_or_create = ("key",)

    key = "respiratory"
    name_zh = "呼吸防护"
    name_en = "Respiratory protection"


class UnitFactory(DjangoModelFactory[Unit]):
    class Meta:
        model = Unit
        django_get_or_create = ("code",)

    code = "piece"
    name_zh = "只"
    name_en = "piece"
    symbol = "pc"


class ItemFactory(DjangoModelFactory[Item]):
    class Meta:
        model = Item
        django_get_or_create = ("key",)

    key = "mask.surgical"
    category = factory.SubFactory(CategoryFactory)
    unit = factory.SubFactory(UnitFactory)
    name_zh = "医用外科口罩"
    name_en = "Surgical mask"
    trial_lot = 200


class StandardFactory(DjangoModelFactory[Standard]):
    class Meta:
        model = Standard
        django_get_or_create = ("code",)

    code = "YY 0469-2011"
    title_zh = "医用外科口罩"
    title_en = "Surgical mask"
    jurisdiction = "CN"


def standard_of(item: Item, code: str = "YY 0469-2011") -> Standard:
    """A standard that applies to the item. It satisfies itself, as every standard of the catalogue does."""
    standard = StandardFactory.create(code=code)
    ItemStandard.objects.get_or_create(item=item, standard=standard)
    Satisfaction.objects.get_or_create(offered=standard, demanded=standard)
    return standard


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda number: f"person{number}@example.org")
    name = factory.Sequence(lambda number: f"Person {number}")
    language = "en"
    password = factory.django.Password(PASSWORD)


# The note of a call that proves a hospital without a document.
CALL_BACK = "Register of hospitals 027-5550 0101, Dr Li"


class OrganisationFactory(DjangoModelFactory[Organisation]):
    class Meta:
        model = Organisation

    class Params:
        unverified = factory.Trait(state=OrganisationState.UNVERIFIED, verified_at=None, verified_until=None)

    name = factory.Sequence(lambda number: f"Organisation {number}")
    kind = OrganisationKind.HOSPITAL
    region = factory.LazyFunction(lambda: region("420106"))
    address = "1 Hospital Road"
    contact_name = factory.Sequence(lambda number: f"Contact {number}")
    contact_phone = factory.Sequence(lambda number: f"1380000{number:04d}")
    contact_email = factory.Sequence(lambda number: f"contact{number}@example.org")
    state = OrganisationState.VERIFIED
    announced_state = factory.SelfAttribute("state")
    verified_at = factory.LazyFunction(timezone.now)
    verified_until = factory.LazyFunction(lambda: timezone.now().date() + dt.timedelta(days=365))


class MembershipFactory(DjangoModelFactory[Membership]):
    class Meta:
        model = Membership

    user = factory.SubFactory(UserFactory)
    organisation = factory.SubFactory(OrganisationFactory)
    role = Role.MANAGER


def member(organisation: Organisation, role: str = Role.MANAGER, **fields: Any) -> User:
    """A new user with a role in the organisation."""
    user = UserFactory.create(**fields)
    MembershipFactory.create(user=user, organisation=organisation, role=role)
    return user


class DemandFactory(DjangoModelFactory[Demand]):
    """An open need that was confirmed just now. It waits for matching only with `queued=True`."""

    class Meta:
        model = Demand

    class Params:
        draft = factory.Trait(
            state=DemandState.DRAFT, opened_at=None, confirmed_at=None, escalates_at=None, ask_at=None, stale_at=None
        )
        queued = factory.Trait(match_requested_at=factory.LazyFunction(timezone.now))

    reference = factory.LazyFunction(new_reference)
    organisation = factory.SubFactory(OrganisationFactory)
    item = factory.SubFactory(ItemFactory)
    quantity = 1000
    region = factory.SelfAttribute("organisation.region")
    urgency = Urgency.URGENT
    state = DemandState.OPEN
    opened_at = factory.LazyFunction(timezone.now)
    confirmed_at = factory.SelfAttribute("opened_at")
    escalating_since = factory.SelfAttribute("opened_at")
    escalates_at = factory.LazyAttribute(lambda demand: demand.opened_at + dt.timedelta(hours=10))
    ask_at = factory.LazyAttribute(lambda demand: demand.opened_at + dt.timedelta(days=5))
    stale_at = factory.LazyAttribute(lambda demand: demand.opened_at + dt.timedelta(days=7))


class SupplierFactory(OrganisationFactory):
    kind = OrganisationKind.SUPPLIER
    region = factory.LazyFunction(lambda: region("440300"))


class OfferFactory(DjangoModelFactory[Offer]):
    """A published offer that was confirmed just now. It waits for matching only with `queued=True`."""

    class Meta:
        model = Offer

    class Params:
        draft = factory.Trait(state=OfferState.DRAFT, published_at=None, confirmed_at=None)
        queued = factory.Trait(match_requested_at=factory.LazyFunction(timezone.now))

    organisation = factory.SubFactory(SupplierFactory)
    item = factory.SubFactory(ItemFactory)
    quantity = 5000
    lead_time_days = 2
    origin_region = factory.SelfAttribute("organisation.region")
    state = OfferState.PUBLISHED
    published_at = factory.LazyFunction(timezone.now)
    confirmed_at = factory.SelfAttribute("published_at")


class EscalationFactory(DjangoModelFactory[Escalation]):
    """The first escalation of a need, to its nearest coordinator, since its clock started."""

    class Meta:
        model = Escalation

    demand = factory.SubFactory(DemandFactory)
    organisation = factory.SubFactory(OrganisationFactory)
    level = 1
    since = factory.SelfAttribute("demand.escalating_since")


class MatchFactory(DjangoModelFactory[Match]):
    """A held match. The counters of its need and its offer are raised, as the services would raise them."""

    class Meta:
        model = Match
        skip_postgeneration_save = True

    demand = factory.SubFactory(DemandFactory)
    offer = factory.SubFactory(OfferFactory, item=factory.SelfAttribute("..demand.item"))
    quantity = 400
    quantity_asked = factory.SelfAttribute("quantity")
    rank = 1
    score = 0.75
    policy_version = 1
    tier = 1
    terms = factory.LazyFunction(lambda: [{"name": "coverage", "value": 400, "score": 0.4, "weight": 0.25}])
    state = MatchState.HELD
    respond_by = factory.LazyFunction(lambda: timezone.now() + dt.timedelta(hours=2))

    @factory.post_generation
    def counted(self: Match, create: bool, _extracted: Any, **_kwargs: Any) -> None:
        if not create:
            return
        demand, offer = self.demand, self.offer
        if self.state == MatchState.HELD:
            demand.quantity_held += self.quantity
        elif self.state == MatchState.ACCEPTED:
            demand.quantity_matched += self.quantity
        else:
            return
        offer.quantity_reserved += self.quantity
        demand.save(update_fields=["quantity_held", "quantity_matched"])
        offer.save(update_fields=["quantity_reserved"])
