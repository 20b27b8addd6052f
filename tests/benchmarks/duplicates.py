"""Looking for organisations that stand here twice, among many: the first look at all of them, and then one by one."""

import random
import time

from django.db import connection, transaction

from apps.accounts.models import Organisation
from apps.catalogue.models import Region
from apps.duplicates import search
from apps.duplicates.models import DuplicateProposal, OrganisationKey
from apps.duplicates.services import look_for_duplicates
from tests.benchmarks.figures import quantile, row

NAMES = (
    "人民医院",
    "中医医院",
    "妇幼保健院",
    "第一人民医院",
    "第二人民医院",
    "疾病预防控制中心",
    "红十字会",
    "慈善总会",
)
TWICE = 0.02  # the share of organisations that stand here a second time, under another spelling
ONE_BY_ONE = 200
# As large as a city gets: a tenth of all are there.
LARGE_CITY = "4201"


def run(organisations: int, seed: int) -> None:
    print(f"\nduplicates among {organisations:,} organisations")
    with transaction.atomic():
        Organisation.objects.filter(source="bench").delete()
        made = Organisation.objects.bulk_create(_made(organisations, random.Random(seed)), batch_size=2_000)
        began = time.perf_counter()
        turns = []
        while True:
            turn = time.perf_counter()
            if not look_for_duplicates():
                break
            turns.append(time.perf_counter() - turn)
        row("first look at all", f"{time.perf_counter() - began:.0f} s", f"{len(made):,} organisations")
        row("a turn of 200, p95", f"{quantile(turns, 0.95):.1f} s")
        row("proposed", f"{DuplicateProposal.objects.count():,}", f"of {int(len(made) * TWICE):,} made twice")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE duplicates_organisationkey")
        _one_by_one(random.Random(seed).sample(made, ONE_BY_ONE))
        transaction.set_rollback(True)


def _one_by_one(some: list[Organisation]) -> None:
    places = search.load_places()
    search.compare_by_name()
    took, compared = [], []
    for key in OrganisationKey.objects.filter(organisation__in=some):
        began = time.perf_counter()
        compared.append(len(search.candidates_of(key, places)))
        took.append(1_000 * (time.perf_counter() - began))
    row("candidates of one, p50 / p95", f"{quantile(took, 0.5):.1f} / {quantile(took, 0.95):.1f} ms")
    row("compared with one, p50 / p95", f"{quantile(compared, 0.5):.0f} / {quantile(compared, 0.95):.0f}")
    looks = []
    for one in some[:50]:
        Organisation.objects.filter(pk=one.pk).update(address="一路1号")
        began = time.perf_counter()
        look_for_duplicates()
        looks.append(1_000 * (time.perf_counter() - began))
    row("a look after one change, p50 / p95", f"{quantile(looks, 0.5):.0f} / {quantile(looks, 0.95):.0f} ms")


def _made(organisations: int, chance: random.Random) -> list[Organisation]:
    counties = list(Region.objects.places().filter(level="county", path__startswith="CN/").order_by("code"))
    large = [county for county in counties if county.code.startswith(LARGE_CITY)]
    made: list[Organisation] = []
    while len(made) < organisations:
        county = chance.choice(large if chance.random() < 0.1 else counties)
        known = chance.random() < 0.5
        own = "".join(chance.choice("安康仁和福寿平宁德济慈爱华康同泰新兴长江东湖") for _letter in range(3))
        one = Organisation(
            name=county.name + (chance.choice(NAMES) if known else own + chance.choice(("医院", "有限公司"))),
            kind="hospital",
            region=county,
            address=f"{county.name}{chance.choice('东西南北中')}{chance.choice('一二三四')}路{chance.randrange(900)}号",
            contact_phone=f"13{chance.randrange(10**9):09}",
            source="bench",
            source_key=str(len(made)),
        )
        made.append(one)
        if chance.random() < TWICE:
            made.append(
                Organisation(
                    name=f"{one.name}（本部）",
                    kind=one.kind,
                    region=county,
                    address=one.address,
                    contact_phone=one.contact_phone,
                    source="bench",
                    source_key=f"{len(made)}:again",
                )
            )
    return made
