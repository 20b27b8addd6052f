"""A reference price is of one currency, that of most offers of its item; offers in another have none to compare with."""

from django.db import migrations, models

# As 0011 made it, but for the currency.
LISTABLE = """
CREATE OR REPLACE VIEW matching_listable AS
SELECT offer.id AS offer_id, offer.item_id, offer.organisation_id, offer.standard_id,
       offer.quantity, offer.minimum_order, offer.lead_time_days, offer.certificate_valid_until, offer.confirmed_at,
       offer.unit_price::double precision AS unit_price, offer.is_donation,
       matching_areas(offer.ships_to) AS areas,
       CASE WHEN region.latitude IS NULL THEN ''
            ELSE coalesce(nullif(split_part(region.path, '/', 3), ''), region.code) END AS city,
       cosd(region.latitude) * cosd(region.longitude) AS x,
       cosd(region.latitude) * sind(region.longitude) AS y,
       sind(region.latitude) AS z,
       coalesce(record.kept, 0) AS kept, coalesce(record.broken, 0) AS broken, price.price AS reference_price
FROM supply_offer offer
JOIN catalogue_region region ON region.code = offer.origin_region_id
LEFT JOIN matching_supplierrecord record ON record.organisation_id = offer.organisation_id
LEFT JOIN matching_referenceprice price ON price.item_id = offer.item_id {currency}
WHERE offer.state = 'published';
"""

# One more trigger, so that the first keeps its list of what it watches.
WATCH = """
CREATE TRIGGER matching_listed_in_another_currency AFTER UPDATE OF currency ON supply_offer FOR EACH ROW
    WHEN (OLD.state = 'published' AND NEW.state = 'published' AND OLD.currency <> NEW.currency)
    EXECUTE FUNCTION matching_list_offer();
"""


class Migration(migrations.Migration):
    dependencies = [("matching", "0060_escalations_by_run"), ("supply", "0051_counting_says_when")]

    operations = [
        # Nobody knows of which currency they are: they are taken anew within the hour.
        migrations.RunSQL("DELETE FROM matching_referenceprice", migrations.RunSQL.noop),
        migrations.AddField(
            "referenceprice",
            "currency",
            models.CharField(default="CNY", max_length=3, verbose_name="currency"),
        ),
        migrations.RunSQL(
            LISTABLE.format(currency="AND price.currency = offer.currency"), LISTABLE.format(currency="")
        ),
        migrations.RunSQL(WATCH, "DROP TRIGGER matching_listed_in_another_currency ON supply_offer"),
    ]
