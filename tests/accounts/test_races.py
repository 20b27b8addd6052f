"""Two coordinators at once."""

import pytest

from apps.accounts import services
from apps.accounts.models import Organisation
from apps.core.errors import RuleViolation
from tests.factories import OrganisationFactory, UserFactory
from tests.matching.holds.test_races import at_once, won

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_organisations_with_one_number_only_one_is_verified() -> None:
    person = UserFactory.create()
    twins = [
        OrganisationFactory.create(identifier="91330100799655058B", unverified=True, kind="community")
        for _i in range(6)
    ]

    results = at_once(*[lambda twin=twin: services.verify_organisation(twin, by=person) for twin in twins])

    assert len(won(results)) == 1
    refused = {result.code for result in results if isinstance(result, RuleViolation)}
    assert refused == {"identifier_taken"}
    assert Organisation.objects.verified().count() == 1
