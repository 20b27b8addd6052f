# ruff: noqa: S608  our own names
"""The best offers of an item, exactly, and what keeps their listings: views, triggers and functions.

docs/matching.md, "The best offers, exactly", says how it works; docs/decisions/0019-the-best-by-bounds.md why.
"""

from django.db import migrations

# --- Listings ---------------------------------------------------------------------------------------------------------

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

# --- Ranking ----------------------------------------------------------------------------------------------------------

# The pieces of the function. `threshold`, `seed` and so on are its steps, in their order; `listing` is what is looked at.
BOUND = "greatest({})".format(", ".join(f"cell.best_{place} + lead_{place}" for place in range(6)))
FIT = """coalesce(fits[array_position(standards, coalesce(listing.standard_id, 0))],
                     CASE WHEN NOT coalesce(listing.standard_id, 0) = ANY (standards) THEN other_fit END)"""
# What the index knows of the score: distance (along the globe, whose radius is 6371.0088 km), lead time and standard.
PLACED = f"""CASE WHEN place_x + listing.x IS NULL THEN w_distance / 2
            ELSE w_distance / (1 + 6371.0088 * acos(greatest(-1, least(1,
                listing.x * place_x + listing.y * place_y + listing.z * place_z))) / half_distance_km) END
            + lead[1 + least(listing.lead_time_days, array_length(lead, 1) - 1)] + {FIT}"""
LOOKED_AT = f"""listing.offer_id, listing.quantity, listing.lead_time_days, listing.x, listing.y, listing.z,
                    listing.key, listing.steady, {PLACED} AS placed"""
UPPER = "listing.key + base + listing.placed + w_coverage * least(1, listing.quantity / wanting)"
MAY_SERVE = """listing.organisation_id <> need_organisation AND listing.minimum_order <= wanting
            AND listing.quantity >= matters AND (listing.areas & areas_there) <> 0"""


def scored(looked_at: str) -> str:
    """What is left of these after the filters that need the offer itself, with their scores."""
    return f"""
        SELECT looked_at.offer_id,
            looked_at.placed + looked_at.steady
            + w_coverage * least(1, (offer.quantity - offer.quantity_reserved) / wanting)
            + w_freshness * greatest(0, least(1, (date_part('epoch', offer.confirmed_at) - stale_at) / fresh_seconds))
            AS score
        FROM {looked_at} looked_at
        JOIN supply_offer offer ON offer.id = looked_at.offer_id
        JOIN accounts_organisation organisation ON organisation.id = offer.organisation_id
        WHERE offer.state = 'published' AND organisation.state = 'verified' AND looked_at.placed IS NOT NULL
            AND (offer.ships_to = '{{}}' OR offer.ships_to && codes)
            AND NOT offer.id = ANY (excluded)
            -- Gifts wait for a need nearby; a little too far is for Python to say.
            AND (gift_reach_km IS NULL OR NOT offer.is_donation OR place_x + looked_at.x IS NULL
                OR 12742.0176 * asin(least(1, sqrt((looked_at.x - place_x) ^ 2 + (looked_at.y - place_y) ^ 2
                    + (looked_at.z - place_z) ^ 2) / 2)) <= 0.001 + gift_reach_km + gift_reach_km_per_day
                    * greatest(0, date_part('epoch', at) - date_part('epoch', offer.published_at)) / 86400)
            AND (offer.certificate_valid_until IS NULL OR offer.certificate_valid_until >= today)
            -- Stock counts what a higher tier could take over.
            AND (offer.quantity - offer.quantity_reserved >= greatest(matters, offer.minimum_order)
                OR offer.quantity - offer.quantity_reserved
                    + (SELECT coalesce(sum(held.quantity), 0) FROM matching_match held
                       WHERE held.offer_id = offer.id AND held.state = 'held')
                    >= greatest(matters, offer.minimum_order))"""


BEST = f"""
CREATE FUNCTION matching_best(
    k integer, few_cells integer, at timestamptz, version integer,
    need_item bigint, need_organisation bigint, wanting double precision, matters bigint,
    excluded bigint[], codes varchar[], areas_there bigint,
    place_x double precision, place_y double precision, place_z double precision,
    -- Terms that the need alone decides, weighted: lead time by days from 0, and standards (0: none stated).
    lead double precision[], standards bigint[], fits double precision[], other_fit double precision,
    best_fit double precision,
    w_coverage double precision, w_distance double precision, w_freshness double precision,
    w_record double precision, w_price double precision,
    half_distance_km double precision, fresh_seconds double precision,
    prior_matches double precision, prior_share double precision,
    gift_reach_km double precision, gift_reach_km_per_day double precision  -- null: gifts go anywhere
) RETURNS TABLE (offer_id bigint, score double precision)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan  -- planning takes longer than finding
SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    stale_at CONSTANT double precision := date_part('epoch', at) - fresh_seconds;
    base CONSTANT double precision := -w_freshness * stale_at / fresh_seconds;  -- turns a key into a score at this time
    today CONSTANT date := (at AT TIME ZONE 'UTC')::date;
    per_chord CONSTANT double precision := 6371.0088 / half_distance_km;
    {" ".join(f"lead_{place} CONSTANT double precision := lead[{1 + days}];" for place, days in enumerate((0, 1, 2, 4, 7, 14)))}
    soon double precision := lead_0 - 0.15 * lead_0;
    few CONSTANT boolean := few_cells > 0
        AND NOT EXISTS (SELECT FROM matching_cell cell WHERE cell.item_id = need_item OFFSET few_cells);
    effort integer;
BEGIN
    -- A few of the best cells first, more if they do not hold k that pass the filters, then all there is: at once where
    -- that is not much.
    FOREACH effort IN ARRAY CASE WHEN few THEN ARRAY[100] ELSE ARRAY[1, 3, 9, 30, 100] END LOOP
        RETURN QUERY
        WITH cell AS MATERIALIZED (
            SELECT id, rest, rest + best AS bound, unsound FROM (
                SELECT cell.id, cell.policy_version <> version OR cell.good_until < at AS unsound, {BOUND} AS best,
                    -- An arc is never shorter than its chord.
                    CASE WHEN place_x + cell.x IS NULL THEN w_distance / 2 ELSE w_distance / (1 + per_chord * greatest(0,
                        sqrt(greatest(0, 2 - 2 * (cell.x * place_x + cell.y * place_y + cell.z * place_z))) - cell.radius))
                    END
                    + w_coverage * least(1, cell.most / wanting) + base + best_fit AS rest
                FROM matching_cell cell WHERE cell.item_id = need_item OFFSET 0
            ) cell
        ),
        seed AS MATERIALIZED (
            SELECT listing.*
            FROM (SELECT id FROM cell WHERE effort < 100 ORDER BY bound DESC LIMIT 20 * effort) cell
            CROSS JOIN LATERAL (
                SELECT {LOOKED_AT} FROM matching_listing listing
                WHERE listing.cell_id = cell.id AND listing.lead_time_days < array_length(lead, 1)
                    AND lead[1 + listing.lead_time_days] >= soon AND {MAY_SERVE} AND {FIT} IS NOT NULL
                ORDER BY listing.key DESC LIMIT 10
            ) listing
            ORDER BY {UPPER} DESC LIMIT 2 * k * effort
        ),
        scored_seed AS MATERIALIZED ({scored("seed")}),
        -- The score of the k-th of them, less what rounding can make of it. None if there are too few, or if the bounds
        -- were made for other weights or another time.
        threshold AS MATERIALIZED (
            SELECT CASE WHEN effort = 100 THEN '-infinity' WHEN NOT EXISTS (SELECT FROM cell WHERE unsound)
                THEN (SELECT score - 1e-5 FROM scored_seed ORDER BY score DESC OFFSET k - 1 LIMIT 1) END AS least
        ),
        further AS MATERIALIZED (
            SELECT listing.* FROM threshold CROSS JOIN cell CROSS JOIN LATERAL (
                SELECT {LOOKED_AT} FROM matching_listing listing
                WHERE listing.cell_id = cell.id AND listing.key >= threshold.least - cell.rest - lead_0 AND {MAY_SERVE}
                OFFSET 0
            ) listing
            WHERE cell.bound >= threshold.least AND {UPPER} >= threshold.least
                AND listing.offer_id <> ALL (ARRAY(SELECT offer_id FROM seed))
            UNION ALL
            -- What stands on the counter has no bound yet.
            SELECT listing.offer_id, listing.quantity, listing.lead_time_days, listing.x, listing.y, listing.z, listing.key,
                w_record * (listing.kept + prior_share * prior_matches) / (listing.kept + listing.broken + prior_matches)
                + w_price * CASE WHEN listing.is_donation THEN 1
                    WHEN listing.unit_price IS NULL OR coalesce(listing.reference_price, 0) = 0 THEN 0.5
                    ELSE least(1, greatest(0, 1.5 - listing.unit_price / listing.reference_price)) END,
                {PLACED}
            FROM threshold CROSS JOIN matching_listing listing
            WHERE threshold.least IS NOT NULL AND listing.item_id = need_item AND listing.cell_id IS NULL AND {MAY_SERVE}
        )
        SELECT found.offer_id, found.score
        FROM (SELECT * FROM scored_seed UNION ALL {scored("further")}) found CROSS JOIN threshold
        WHERE found.score >= threshold.least
        ORDER BY found.score DESC, found.offer_id;
        EXIT WHEN FOUND;
        soon := 0;
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("matching", "0010_listings"),
        ("accounts", "0002_announced_state"),
        ("catalogue", "0003_search_without_pending_list"),
        ("supply", "0041_changes_by_hour"),
    ]

    operations = [
        migrations.RunSQL(LISTABLE % NAMES, UNLISTABLE),
        migrations.RunSQL(BEST, "DROP FUNCTION matching_best"),
        # Cells stay in the order of their items, and change in place.
        migrations.RunSQL(
            "ALTER TABLE matching_cell SET (fillfactor = 70); ALTER TABLE matching_listing SET (fillfactor = 85)",
            migrations.RunSQL.noop,
        ),
    ]
