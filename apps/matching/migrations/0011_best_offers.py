# ruff: noqa: S608  our own names
"""What keeps the listings of offers: a view, triggers and functions.

docs/matching.md, "The best offers, exactly", says how it works; docs/decisions/0019-the-best-by-bounds.md why.
"""

from django.db import migrations

LISTABLE = """
-- One bit for each region, by its code; regions share bits, so a bit in common says "perhaps". -1: anywhere.
CREATE FUNCTION matching_areas(codes varchar[]) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(bit_or(1::bigint << (('x' || left(md5(code), 4))::bit(16)::integer & 63)), -1) FROM unnest(codes) code
$$;

-- What a listing must say of each published offer: its own facts as they are, the others as last taken.
CREATE VIEW matching_listable AS
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
LEFT JOIN matching_referenceprice price ON price.item_id = offer.item_id
WHERE offer.state = 'published';

-- The triggers write one row that is the offer's alone, and lock nothing that offers share.
CREATE FUNCTION matching_list_offer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR NEW.state <> 'published') THEN
        DELETE FROM matching_listing WHERE offer_id = OLD.id;
        RETURN NULL;
    END IF;
    INSERT INTO matching_listing (%(columns)s)
    SELECT %(columns)s FROM matching_listable WHERE offer_id = NEW.id
    ON CONFLICT (offer_id) DO UPDATE SET (%(columns)s, cell_id, steady, key) = (%(excluded)s, NULL, NULL, NULL);
    RETURN NULL;
END $$;

CREATE TRIGGER matching_listed_new AFTER INSERT ON supply_offer FOR EACH ROW
    WHEN (NEW.state = 'published') EXECUTE FUNCTION matching_list_offer();
CREATE TRIGGER matching_listed_changed AFTER UPDATE OF %(watched)s ON supply_offer FOR EACH ROW
    WHEN ('published' IN (OLD.state, NEW.state) AND (%(before)s) IS DISTINCT FROM (%(after)s))
    EXECUTE FUNCTION matching_list_offer();
CREATE TRIGGER matching_listed_gone AFTER DELETE ON supply_offer FOR EACH ROW
    WHEN (OLD.state = 'published') EXECUTE FUNCTION matching_list_offer();

-- A place that is found to lie elsewhere takes its offers with it.
CREATE FUNCTION matching_list_region() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE matching_listing listing
    SET (city, x, y, z, cell_id, steady, key) = (listable.city, listable.x, listable.y, listable.z, NULL, NULL, NULL)
    FROM matching_listable listable JOIN supply_offer offer ON offer.id = listable.offer_id
    WHERE listing.offer_id = listable.offer_id AND offer.origin_region_id = NEW.code;
    RETURN NULL;
END $$;

CREATE TRIGGER matching_listed_elsewhere AFTER UPDATE OF latitude, longitude, path ON catalogue_region FOR EACH ROW
    WHEN ((OLD.latitude, OLD.longitude, OLD.path) IS DISTINCT FROM (NEW.latitude, NEW.longitude, NEW.path))
    EXECUTE FUNCTION matching_list_region();

INSERT INTO matching_listing (%(columns)s) SELECT %(columns)s FROM matching_listable;
"""

UNLISTABLE = """
DROP TRIGGER matching_listed_elsewhere ON catalogue_region;
DROP TRIGGER matching_listed_gone ON supply_offer;
DROP TRIGGER matching_listed_changed ON supply_offer;
DROP TRIGGER matching_listed_new ON supply_offer;
DROP FUNCTION matching_list_region();
DROP FUNCTION matching_list_offer();
DROP VIEW matching_listable;
DROP FUNCTION matching_areas(varchar[]);
"""

COLUMNS = (
    "offer_id", "item_id", "organisation_id", "standard_id", "quantity", "minimum_order", "lead_time_days",
    "certificate_valid_until", "confirmed_at", "unit_price", "is_donation", "areas", "city", "x", "y", "z",
    "kept", "broken", "reference_price",
)  # fmt: skip
WATCHED = (
    "state", "item_id", "organisation_id", "standard_id", "quantity", "minimum_order", "lead_time_days",
    "certificate_valid_until", "confirmed_at", "unit_price", "is_donation", "ships_to", "origin_region_id",
)  # fmt: skip
NAMES = {
    "columns": ", ".join(COLUMNS),
    "excluded": ", ".join(f"excluded.{name}" for name in COLUMNS),
    "watched": ", ".join(WATCHED),
    "before": ", ".join(f"OLD.{name}" for name in WATCHED),
    "after": ", ".join(f"NEW.{name}" for name in WATCHED),
}


class Migration(migrations.Migration):
    dependencies = [
        ("matching", "0010_listings"),
        ("accounts", "0002_announced_state"),
        ("catalogue", "0003_search_without_pending_list"),
        ("supply", "0041_changes_by_hour"),
    ]

    operations = [migrations.RunSQL(LISTABLE % NAMES, UNLISTABLE)]
