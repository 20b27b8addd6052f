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

# Record and price, weighted: what is the same for every need and at any time. Inlined where it is called.
STEADY = """
CREATE FUNCTION matching_steady(
    kept integer, broken integer, is_donation boolean, unit_price double precision, reference_price double precision,
    w_record double precision, w_price double precision,
    prior_matches double precision, prior_share double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT w_record * (kept + prior_share * prior_matches) / (kept + broken + prior_matches)
        + w_price * CASE WHEN is_donation THEN 1
            WHEN unit_price IS NULL OR coalesce(reference_price, 0) = 0 THEN 0.5
            ELSE least(1, greatest(0, 1.5 - unit_price / reference_price)) END
$$;
"""

# The pieces of the function. Distances are chords of the unit sphere, null where a place has no coordinates. An arc is
# never shorter than its chord, so what is counted with the chord is never too low.
CHORD = "sqrt(abs(2 - 2 * ({0}.x * place_x + {0}.y * place_y + {0}.z * place_z)))"
BEST_KEY = "greatest({})".format(", ".join(f"cell.best_{place} + lead_{place}" for place in range(6)))
TIMELY = "lead[least(1 + listing.lead_time_days, latest)]"
FIT = "fits[coalesce(array_position(standards, coalesce(listing.standard_id, 0)), other)]"
COVERED = "w_coverage * least(1, {} / wanting)"
FRESH = "w_freshness * greatest(0, least(1, (date_part('epoch', {}) - stale_at) / fresh_seconds))"
# "Told": whether the need told what its lead time is worth, and not only what it is worth at most.
FACTS = f"""listing.offer_id, listing.quantity, {CHORD.format("listing")} AS chord, {TIMELY} + {FIT} AS fitting,
                        listing.lead_time_days < latest AS told"""
# What these facts give at most, beside what does not depend on the need.
AT_MOST = f"""listing.fitting + coalesce(w_distance / (1 + per_chord * listing.chord), w_distance / 2)
                    + {COVERED.format("listing.quantity")}"""
MAY_SERVE = """listing.organisation_id <> need_organisation AND listing.minimum_order <= wanting
                        AND listing.quantity >= matters AND (listing.areas & areas_there) <> 0"""

BEST = f"""
CREATE FUNCTION matching_best(
    k integer, cells integer, at timestamptz, version integer,
    need_item bigint, need_organisation bigint, wanting double precision, matters bigint,
    excluded bigint[], codes varchar[], areas_there bigint,
    place_x double precision, place_y double precision, place_z double precision,
    -- Terms that the need alone decides, weighted: lead time by days from 0 (longer ones: at most the last); fits of
    -- these standards (0: none stated), and last that of any other. Null does not fit.
    lead double precision[], standards bigint[], fits double precision[], best_fit double precision,
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
    -- What rounding can make of a score, here and in Python. A chord is good to a third of a metre.
    rounding CONSTANT double precision := 1e-5 + 5e-8 * per_chord * w_distance;
    latest CONSTANT integer := cardinality(lead);
    other CONSTANT integer := cardinality(fits);
    {" ".join(f"lead_{place} CONSTANT double precision := lead[{1 + days}];" for place, days in enumerate((0, 1, 2, 4, 7, 14)))}
    soon double precision := 0.85 * lead_0;
    effort integer;
BEGIN
    -- A few of the best cells first; more where they do not hold k that pass the filters; in the end (100) all there is.
    FOREACH effort IN ARRAY ARRAY[1, 3, 9, 30, 100] LOOP
        RETURN QUERY
        -- The best cells, and the one that comes after them. Bounds that were made for other weights or another time say
        -- nothing: such cells come first.
        WITH cell AS MATERIALIZED (
            SELECT id, rest, CASE WHEN sound THEN rest + best_key ELSE 'infinity' END AS bound FROM (
                SELECT cell.id, cell.policy_version = version AND cell.good_until >= at AS sound, {BEST_KEY} AS best_key,
                    CASE WHEN place_x + cell.x IS NULL THEN w_distance / 2
                        ELSE w_distance / (1 + per_chord * greatest(0, {CHORD.format("cell")} - cell.radius)) END
                    + {COVERED.format("cell.most")} + base + best_fit AS rest
                FROM matching_cell cell WHERE cell.item_id = need_item OFFSET 0
            ) cell
            ORDER BY bound DESC LIMIT CASE WHEN effort < 100 THEN effort * cells + 1 END
        ),
        -- A score that is worth looking for: what the cells that are left aside cannot reach, or what enough of the best
        -- offers of the very best cells may have, whichever is more. Null where bounds say nothing.
        worth AS MATERIALIZED (
            SELECT CASE WHEN effort = 100 THEN '-infinity' WHEN coalesce(highest < 'infinity', true) THEN greatest(
                CASE WHEN looked_at > effort * cells THEN lowest ELSE '-infinity' END,
                base + (
                    SELECT listing.key + {AT_MOST}
                    FROM (SELECT id FROM cell ORDER BY bound DESC LIMIT 8 * effort) cell CROSS JOIN LATERAL (
                        SELECT listing.key, {FACTS} FROM matching_listing listing
                        WHERE listing.cell_id = cell.id AND {TIMELY} >= soon AND {MAY_SERVE} AND {FIT} IS NOT NULL
                        ORDER BY listing.key DESC LIMIT 6
                    ) listing
                    ORDER BY 1 DESC OFFSET (k + 4) * effort LIMIT 1
                )) END AS score
            FROM (SELECT max(bound) AS highest, min(bound) AS lowest, count(*) AS looked_at FROM cell) bounds
        ),
        -- Every listing that may have it, best first.
        pool AS MATERIALIZED (
            SELECT listing.*, row_number() OVER (ORDER BY listing.at_most DESC) AS place FROM (
                SELECT listing.offer_id, listing.chord, listing.fitting, listing.told, listing.steady,
                    listing.key + base + {AT_MOST} AS at_most
                FROM worth CROSS JOIN cell CROSS JOIN LATERAL (
                    SELECT {FACTS}, listing.key, listing.steady FROM matching_listing listing
                    WHERE listing.cell_id = cell.id AND listing.key >= worth.score - cell.rest - lead_0
                        AND listing.key + {TIMELY} >= worth.score - cell.rest AND {MAY_SERVE}
                    OFFSET 0
                ) listing
                WHERE cell.bound >= worth.score AND listing.key + base + {AT_MOST} >= worth.score
                UNION ALL
                -- On the counter there are neither cells nor keys.
                SELECT listing.offer_id, listing.chord, listing.fitting, listing.told, listing.steady,
                    listing.steady + listing.fresh + {AT_MOST}
                FROM worth CROSS JOIN LATERAL (
                    SELECT {FACTS}, {FRESH.format("listing.confirmed_at")} AS fresh,
                        matching_steady(listing.kept, listing.broken, listing.is_donation, listing.unit_price,
                            listing.reference_price, w_record, w_price, prior_matches, prior_share) AS steady
                    FROM matching_listing listing
                    WHERE listing.item_id = need_item AND listing.cell_id IS NULL AND {MAY_SERVE}
                    OFFSET 0
                ) listing
                WHERE listing.steady + listing.fresh + {AT_MOST} >= worth.score
            ) listing
        ),
        -- What is left of the first of them after the filters that need the offer itself, with their scores.
        found AS MATERIALIZED (
            SELECT pool.offer_id, pool.told,
                pool.fitting + pool.steady
                + CASE WHEN pool.chord IS NULL THEN w_distance / 2
                    ELSE w_distance / (1 + per_chord * 2 * asin(least(1, pool.chord / 2))) END
                + {COVERED.format("(offer.quantity - offer.quantity_reserved)")}
                + {FRESH.format("offer.confirmed_at")} AS score
            FROM (SELECT * FROM pool WHERE effort = 100 OR place <= k + 6 * effort) pool
            JOIN supply_offer offer ON offer.id = pool.offer_id
            JOIN accounts_organisation organisation ON organisation.id = offer.organisation_id
            WHERE offer.state = 'published' AND organisation.state = 'verified'
                AND (offer.ships_to = '{{}}' OR offer.ships_to && codes)
                AND NOT offer.id = ANY (excluded)
                -- Gifts wait for a need nearby; a little too far is for Python to say.
                AND (gift_reach_km IS NULL OR NOT offer.is_donation OR pool.chord IS NULL
                    OR 12742.0176 * asin(least(1, pool.chord / 2)) <= 0.001 + gift_reach_km + gift_reach_km_per_day
                        * greatest(0, date_part('epoch', at) - date_part('epoch', offer.published_at)) / 86400)
                AND (offer.certificate_valid_until IS NULL OR offer.certificate_valid_until >= today)
                -- Stock counts what a higher tier could take over.
                AND (offer.quantity - offer.quantity_reserved >= greatest(matters, offer.minimum_order)
                    OR offer.quantity - offer.quantity_reserved
                        + (SELECT coalesce(sum(held.quantity), 0) FROM matching_match held
                           WHERE held.offer_id = offer.id AND held.state = 'held')
                        >= greatest(matters, offer.minimum_order))
        ),
        -- The score of the k-th of those that have it at least, where it was made with these weights; and what no other
        -- can pass. (greatest() and least() ignore nulls.)
        bar AS MATERIALIZED (
            SELECT coalesce((
                    SELECT score - rounding FROM found WHERE told AND effort < 100 ORDER BY score DESC OFFSET k - 1 LIMIT 1
                ), '-infinity') AS height,
                greatest(worth.score, (SELECT at_most FROM pool WHERE effort < 100 AND place = k + 6 * effort + 1))
                    AS others
            FROM worth
        )
        SELECT found.offer_id, found.score FROM bar CROSS JOIN found
        WHERE bar.height >= bar.others AND found.score >= bar.height
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
        migrations.RunSQL(STEADY, "DROP FUNCTION matching_steady"),
        migrations.RunSQL(BEST, "DROP FUNCTION matching_best"),
        # Cells stay in the order of their items, and change in place: all cells of an item at once.
        migrations.RunSQL(
            "ALTER TABLE matching_cell SET (fillfactor = 50); ALTER TABLE matching_listing SET (fillfactor = 85)",
            migrations.RunSQL.noop,
        ),
    ]
