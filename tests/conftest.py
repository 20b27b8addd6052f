"""Users by role, for all tests. A stranger has an account only. A rival is another supplier of the same goods."""

import os
from collections.abc import Iterator

import hypothesis
import pytest
from django.db import connection, transaction
from django.utils import timezone, translation
from pytest_django import DjangoDbBlocker

from apps.accounts.models import Organisation, User
from apps.accounts.permissions import OrganisationKind, Role
from apps.catalogue.models import Region
from apps.catalogue.services import load_reference
from tests import snapshots, template
from tests.factories import OrganisationFactory, SupplierFactory, UserFactory, member, region

# The machine may be busy, so no example has a deadline. `make test` tries a few cases, CI a hundred of each property.
hypothesis.settings.register_profile("quick", max_examples=25, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=100, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=3000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Loading takes two seconds, putting back what was loaded a twentieth of it.
_reference_rows: snapshots.Rows = {}

_SOME_PLACES = ["420106", "429004", "110102", "440300", "650000", "IT-25"]


@pytest.fixture(autouse=True)
def nobodys_language() -> None:
    """Reset language and time zone, which a request leaves active in its thread, before each test."""
    translation.deactivate()
    timezone.deactivate()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
    django_db_use_migrations: bool,
    django_db_blocker: DjangoDbBlocker,
) -> None:
    """Called by pytest-django before it makes the test database."""
    if django_db_use_migrations:
        with django_db_blocker.unblock():
            template.use()


@pytest.fixture(scope="module")
def reference_data(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Have all reference data once for the tests of a file, and roll it back after them. Not for tests that commit."""
    with django_db_blocker.unblock(), transaction.atomic():
        if _reference_rows and snapshots.can_put_back():
            snapshots.put(_reference_rows)
        else:
            load_reference()
            _reference_rows.update(snapshots.take("catalogue_"))
        # Without statistics the planner takes the fresh tables for small ones and ignores their indexes.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE catalogue_region, catalogue_item, catalogue_itemalias, catalogue_standard")
        yield
        transaction.set_rollback(True)


@pytest.fixture
def hospital(db: None) -> Organisation:
    """A verified hospital in Wuhan's Wuchang district."""
    return OrganisationFactory.create(name="Wuchang Hospital")


@pytest.fixture
def buyer(hospital: Organisation) -> User:
    return member(hospital, Role.MANAGER, email="buyer@example.org", name="Buyer")


@pytest.fixture
def colleague(hospital: Organisation) -> User:
    """A viewer in the buyer's hospital: sees the same and may change nothing."""
    return member(hospital, Role.VIEWER, email="colleague@example.org", name="Colleague")


@pytest.fixture
def maker(db: None) -> Organisation:
    """A verified supplier in Shenzhen."""
    return SupplierFactory.create(name="Shenzhen Maker")


@pytest.fixture
def supplier(maker: Organisation) -> User:
    return member(maker, Role.MANAGER, email="supplier@example.org", name="Supplier")


@pytest.fixture
def rival(db: None) -> User:
    return member(SupplierFactory.create(name="Rival Trader"), email="rival@example.org", name="Rival")


@pytest.fixture
def coordinator(db: None) -> User:
    """A coordinator of the whole country."""
    desk = OrganisationFactory.create(
        name="National desk", kind=OrganisationKind.COORDINATOR, region=region("CN"), address=""
    )
    return member(desk, email="coordinator@example.org", name="Coordinator")


@pytest.fixture
def partner(db: None) -> User:
    """A government department of Hubei."""
    office = OrganisationFactory.create(
        name="Hubei health commission", kind=OrganisationKind.GOVERNMENT, region=region("420000")
    )
    return member(office, email="partner@example.org", name="Partner")


@pytest.fixture
def far_partner(db: None) -> User:
    """A government department of another region: Lombardy."""
    office = OrganisationFactory.create(
        name="Regione Lombardia", kind=OrganisationKind.GOVERNMENT, region=region("IT-25")
    )
    return member(office, email="far@example.org", name="Far partner")


@pytest.fixture
def stranger(db: None) -> User:
    return UserFactory.create(email="stranger@example.org", name="Stranger")


@pytest.fixture
def some_places(db: None) -> None:
    """A few more regions, two of which have the same name."""
    for code in _SOME_PLACES:
        region(code)
    province = region("110000")
    for code, name, english in (("110105", "朝阳区", "Chaoyang"), ("110101", "东城区", "Dongcheng District")):
        Region.objects.create(
            code=code, name=name, name_en=english, level="county", parent=province, path=f"{province.path}{code}/"
        )
    jilin = Region.objects.create(
        code="220000", name="吉林省", name_en="Jilin", level="province", parent=region("CN"), path="CN/220000/"
    )
    Region.objects.create(
        code="220104", name="朝阳区", name_en="Chaoyang", level="county", parent=jilin, path="CN/220000/220104/"
    )
