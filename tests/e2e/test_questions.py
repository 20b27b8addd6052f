"""What the forms ask back, in a browser without scripts."""

import pytest
from playwright.sync_api import expect

from apps.catalogue.models import Item
from apps.demands.models import Demand
from apps.supply.models import Offer
from tests.e2e.conftest import LogIn
from tests.e2e.stage import look, work
from tests.factories import DemandFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_nurse_posts_two_lines_and_answers_what_is_asked_back(log_in: LogIn) -> None:
    mask = Item.objects.get(key="mask.surgical")
    DemandFactory.create_batch(5, item=mask, quantity=500)
    before = Demand.objects.count()
    nurse = log_in("hospital", scripts=False)

    # A search, a pack, and another line: nothing typed is lost.
    nurse.goto("/needs/new/")
    nurse.get_by_label("Search an item").fill("医用外科口罩")
    nurse.get_by_role("button", name="Search").click()
    nurse.get_by_label("What do you need?").select_option(str(mask.pk))
    nurse.get_by_role("button", name="Search").click()
    nurse.get_by_label("Counted in").select_option(label="box of 50")
    nurse.get_by_label("How much?").fill("1,000")
    nurse.get_by_label("How urgent is it?").select_option("emergency")
    nurse.get_by_role("button", name="Add another line").click()
    second = nurse.locator("#line-2")
    second.get_by_label("What do you need?").select_option(str(Item.objects.get(key="resp.medical").pk))
    nurse.get_by_role("button", name="Post: ask suppliers now").click()

    # A line without a quantity is mended with "not known yet".
    expect(nurse.get_by_text("Give a quantity, or say that it is not known yet.").first).to_be_visible()
    expect(nurse.locator("#line-1").get_by_label("How much?")).to_have_value("1,000")
    expect(nurse.get_by_label("How urgent is it?")).to_have_value("emergency")
    look(nurse, "30-two-lines-one-to-mend", again=False, scripts=False)
    second.get_by_label("This number is").select_option("unspecified")
    nurse.get_by_role("button", name="Post: ask suppliers now").click()

    # Respirators were posted a while ago; 50,000 masks are a hundred times what is usual.
    expect(nurse.get_by_text("Is this the same need as one you have posted already?")).to_be_visible()
    look(nurse, "31-posted-already", again=False, scripts=False)
    nurse.get_by_role("button", name="It is another need: post it").click()
    expect(nurse.get_by_text("50,000, not about 500?")).to_be_visible()
    look(nurse, "32-is-the-quantity-right", again=False, scripts=False)
    assert Demand.objects.count() == before
    nurse.get_by_role("button", name="Yes, it is right: post it").click()

    expect(nurse.get_by_text("Posted: 2 needs. We are asking suppliers right now.")).to_be_visible()
    masks, respirators = Demand.objects.order_by("-pk")[:2][::-1]
    assert (masks.quantity, masks.state, masks.urgency) == (50_000, "open", "emergency")
    assert (respirators.quantity, respirators.quantity_kind, respirators.reference) == (
        None,
        "unspecified",
        masks.reference,
    )


@pytest.mark.long
def test_a_supplier_mends_its_sheet_and_imports_it(log_in: LogIn) -> None:
    before = Offer.objects.count()
    maker = log_in("supplier", scripts=False)

    def upload(text: str) -> None:
        maker.goto("/supply/import/")
        file = {"name": "offers.csv", "mimeType": "text/csv", "buffer": text.encode()}
        maker.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]  # a FilePayload
        maker.get_by_role("button", name="Look at it").click()
        expect(maker.get_by_role("button", name="Cancel the import")).to_be_visible()
        work()

    upload("物资名称,数量,执行标准\n医用外科口罩,很多,YY 0469-2011\n独角兽,5,\n额温枪,300,\n")
    expect(maker.get_by_text("2 rows need correcting")).to_be_visible()
    look(maker, "33-rows-to-mend", again=False, scripts=False)
    upload("物资名称,数量,执行标准,颜色\n医用外科口罩,20000,YY 0469-2011,蓝\n额温枪,300,,\n")
    expect(maker.get_by_text("2 offers will be saved.")).to_be_visible()
    look(maker, "34-sheet-understood", again=False, scripts=False)
    assert Offer.objects.count() == before
    maker.get_by_role("button", name="Save them").click()
    expect(maker.get_by_role("button", name="Cancel the import")).to_be_visible()
    work()

    expect(maker.get_by_text("2 offers imported.")).to_be_visible()
    assert list(Offer.objects.order_by("pk").values_list("quantity", "state")[before:]) == [
        (20_000, "published"),
        (300, "published"),
    ]
