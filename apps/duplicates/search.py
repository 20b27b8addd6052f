"""Finding the organisations that may be one with another: by index, never all pairs."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.accounts.permissions import OrganisationKind
from apps.catalogue.models import Region, Revision
from apps.duplicates.evidence import ComparedFacts
from apps.duplicates.models import OrganisationKey
from apps.duplicates.names import PlaceIndex, home_of, phones_in, read_name, read_street

# Members of these see or decide beyond their own organisation, so nobody becomes one by a merge.
KEPT_APART: Final = (OrganisationKind.COORDINATOR, OrganisationKind.GOVERNMENT)

# In trigrams. A name of two characters shares a quarter of them with the same name less or more one.
_ALIKE: Final = 0.25
# Candidates of one organisation by name, the most alike first. In a city of thousands only these are compared.
_MOST: Final = 100

# Each part is answered by an index of its own. The name counts within the city and above it, because a people's
# hospital is in every town. Whoever entered only the province is found by those in it that look for the like.
_CANDIDATES: Final = """
    SELECT organisation_id FROM duplicates_organisationkey
    WHERE code = %(code)s AND code <> ''
  UNION
    SELECT organisation_id FROM duplicates_organisationkey WHERE phones && %(phones)s::varchar[]
  UNION
    SELECT organisation_id FROM duplicates_organisationkey
    WHERE city = ANY (%(cities)s) AND street = %(street)s AND street <> ''
  UNION
    (SELECT organisation_id FROM duplicates_organisationkey
     WHERE city = ANY (%(cities)s) AND name %% %(name)s
     ORDER BY similarity(name, %(name)s) DESC LIMIT %(most)s)
"""


def load_places() -> PlaceIndex:
    """The names of all regions, kept until the catalogue changes: they take a third of a second to read."""
    return _places(Revision.objects.values_list("value", flat=True).first())


@lru_cache(maxsize=1)
def _places(_revision: UUID | None) -> PlaceIndex:
    return PlaceIndex(Region.objects.order_by("path").values_list("code", "name", "path"))


def facts_of(organisation: Organisation, places: PlaceIndex) -> ComparedFacts:
    region = organisation.region_id
    return ComparedFacts(
        kind=organisation.kind,
        code=organisation.identifier.strip().upper(),
        phones=phones_in(organisation.contact_phone),
        name=read_name(organisation.name, region, places),
        region=region,
        home=home_of(region, organisation.address, places),
        street=read_street(organisation.address, region, places),
    )


def key_of(organisation: Organisation, facts: ComparedFacts, places: PlaceIndex) -> OrganisationKey:
    return OrganisationKey(
        organisation=organisation,
        # As wide as the columns: simplifying may write one sign as several (㍿ is 株式会社).
        name=facts.name.core[:200],
        code=facts.code[:40],
        phones=list(facts.phones),
        city=places.city_of(facts.region),
        street=facts.street[:80],
        seen_at=organisation.updated_at,
    )


def write_keys(keys: Sequence[OrganisationKey]) -> None:
    fields = [field.name for field in OrganisationKey._meta.concrete_fields if not field.primary_key]
    OrganisationKey.objects.bulk_create(
        keys, update_conflicts=True, unique_fields=["organisation"], update_fields=fields
    )


def candidates_of(key: OrganisationKey, places: PlaceIndex) -> set[int]:
    """Keys of organisations to compare with that of `key`, in the transaction of the caller."""
    cities = places.paths[key.city].strip("/").split("/")
    with connection.cursor() as cursor:
        cursor.execute(
            _CANDIDATES,
            {
                "code": key.code,
                "phones": key.phones,
                "cities": cities,
                "street": key.street,
                "name": key.name,
                "most": _MOST,
            },
        )
        return {pk for (pk,) in cursor.fetchall()} - {key.organisation_id}


def compare_by_name(threshold: float = _ALIKE) -> None:
    """Set what the operator `%` of pg_trgm takes for alike, until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pg_trgm.similarity_threshold', %s, true)", [str(threshold)])


def comparable(organisations: Iterable[int]) -> dict[int, Organisation]:
    """The organisations of these keys that may be merged at all."""
    rows = Organisation.objects.filter(pk__in=organisations, merged_into=None).exclude(kind__in=KEPT_APART)
    return {organisation.pk: organisation for organisation in rows}
