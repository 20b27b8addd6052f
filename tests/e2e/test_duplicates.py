"""A coordinator sees two organisations that are one, merges them, and undoes it: in a real browser."""

import pytest
from playwright.sync_api import Page

from apps.accounts.models import Organisation, User
from apps.duplicates.models import OrganisationMerge
from apps.duplicates.services import look_for_duplicates
from apps.supply.models import Offer
from tests.e2e.stage import look
from tests.e2e.test_joining import log_in, page  # noqa: F401  a fixture is found by its name
from tests.factories import OfferFactory, OrganisationFactory, SupplierFactory, member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.long
def test_two_that_are_one_are_merged_and_parted_again(page: Page, coordinator: User) -> None:  # noqa: F811  the fixture
    kept = SupplierFactory.create(
        name="深圳市康泰防护用品有限公司", address="深圳市红荔路12号", contact_phone="13812345678"
    )
    twin = SupplierFactory.create(
        name="深圳康泰防护用品有限责任公司（本部）",
        address="红荔路12号",
        contact_phone="+86 138 1234 5678",
        unverified=True,
    )
    OfferFactory.create(organisation=twin)
    member(twin)
    OrganisationFactory.create(name="武昌医院", unverified=True)
    look_for_duplicates()

    log_in(page, coordinator)
    page.goto("/desk/")
    look(page, "desk")
    page.goto("/desk/")
    page.get_by_role("link", name="康泰").first.click()
    assert page.get_by_text("The same phone number").is_visible()
    look(page, "duplicate")
    page.reload()
    page.fill("[name=merge-note]", "One licence, seen by telephone.")
    page.get_by_role("button", name="Merge").click()
    assert page.get_by_text("Merged. Both sides are told").is_visible()
    assert Offer.objects.get().organisation == kept
    look(page, "merged")
    page.get_by_role("link", name="Undo").click()
    look(page, "undo")
    page.get_by_role("button", name="Undo the merge").click()
    assert page.get_by_text("Undone. Both sides are told").is_visible()
    assert Offer.objects.get().organisation == twin
    assert OrganisationMerge.objects.get().undone_by == coordinator
    assert not Organisation.objects.filter(merged_into__isnull=False).exists()
