# ruff: noqa: S608  our own names
"""The best offers of an item, exactly.

docs/matching.md, "The best offers, exactly", says how it works; docs/decisions/0019-the-best-by-bounds.md why.
"""

from importlib import import_module

from django.db import migrations, models

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

# What the function is told, in one value: writing and reading so many arguments costs more. `best.arguments` makes it.
ASKED = """
CREATE TYPE matching_asked AS (
    k integer, cells integer, at timestamptz, version integer,
    item bigint, organisation bigint, wanting bigint, matters bigint, excluded bigint[], path varchar, areas bigint,
    place_x double precision, place_y double precision, place_z double precision,
    -- Terms that the need alone decides, weighted. Lead time by days from 0 (longer ones: at most the last). Fits where no
    -- standard is stated, of the one that is asked for, of those that exceed it, and of any other; null does not fit.
    lead double precision[], standard bigint, exceeding bigint[],
    fit_unstated double precision, fit_asked double precision, fit_exceeding double precision, fit_other double precision,
    w_coverage double precision, w_distance double precision, w_freshness double precision,
    w_record double precision, w_price double precision,
    half_distance_km double precision, fresh_seconds double precision,
    prior_matches double precision, prior_share double precision,
    gift_reach_km double precision, gift_reach_km_per_day double precision  -- null: gifts go anywhere
)
"""

# The pieces of the function. Distances are chords of the unit sphere, null where a place has no coordinates. An arc is
# never shorter than its chord, so what is counted with the chord is never too low.
CHORD = "sqrt(abs(2 - ({0}.x * twice_x + {0}.y * twice_y + {0}.z * twice_z)))"
BEST_KEY = "greatest({})".format(", ".join(f"cell.best_{place} + lead_{place}" for place in range(6)))
TIMELY = "lead[least(1 + listing.lead_time_days, latest)]"
FIT = """CASE WHEN listing.standard_id IS NULL THEN asked.fit_unstated
                        WHEN listing.standard_id = asked.standard THEN asked.fit_asked
                        WHEN listing.standard_id = ANY (asked.exceeding) THEN asked.fit_exceeding ELSE asked.fit_other END"""
NEAR = "coalesce(near / (half + {}), near / half / 2)"
COVERED = "least(asked.w_coverage, {} * per_unit)"
FRESH = "asked.w_freshness * greatest(0, least(1, (date_part('epoch', {}) - stale_at) / asked.fresh_seconds))"
# "Told": whether the need told what its lead time is worth, and not only what it is worth at most.
FACTS = f"""listing.offer_id, listing.quantity, {CHORD.format("listing")} AS chord, {TIMELY} + {FIT} AS fitting,
                        listing.lead_time_days < latest AS told"""
# What these facts give at most, beside what does not depend on the need.
AT_MOST = f"""listing.fitting + {NEAR.format("listing.chord")} + {COVERED.format("listing.quantity")}"""
STEADY_NOW = """matching_steady(listing.kept, listing.broken, listing.is_donation, listing.unit_price,
                        listing.reference_price, asked.w_record, asked.w_price, asked.prior_matches, asked.prior_share)"""
# Few fail the other filters: those are for whoever reads the offer.
MAY_SERVE = "(listing.areas & asked.areas) <> 0 AND listing.minimum_order <= asked.wanting"
ARC = "2 * asin(pool.chord / greatest(2, pool.chord))"  # null where the chord is
LIKELY = "pool.at_most >= (SELECT bound FROM cut)"
KTH = "(SELECT score - rounding FROM {} WHERE told ORDER BY score DESC OFFSET asked.k - 1 LIMIT 1)"
AS_GOOD = f"""pool.at_most < (SELECT bound FROM cut)
                AND pool.at_most >= coalesce({KTH.format("likely")}, '-infinity')"""
# What is left of these after the filters that need the offer itself, with their scores.
READ = f"""SELECT pool.offer_id, pool.told,
                pool.fitting + pool.steady + {NEAR.format(ARC)}
                + {COVERED.format("(offer.quantity - offer.quantity_reserved)")}
                + {FRESH.format("offer.confirmed_at")} AS score
            FROM pool JOIN supply_offer offer ON offer.id = pool.offer_id
            WHERE {{}}
                AND offer.state = 'published' AND offer.organisation_id <> asked.organisation AND NOT EXISTS (
                    SELECT FROM accounts_organisation organisation
                    WHERE organisation.id = offer.organisation_id AND organisation.state <> 'verified'
                )
                AND (offer.ships_to = '{{{{}}}}' OR offer.ships_to && codes)
                AND NOT offer.id = ANY (asked.excluded) AND offer.minimum_order <= asked.wanting
                -- Gifts wait for a need nearby; a little too far is for Python to say.
                AND (asked.gift_reach_km IS NULL OR NOT offer.is_donation OR pool.chord IS NULL
                    OR 6371.0088 * {ARC} <= 0.001 + asked.gift_reach_km + asked.gift_reach_km_per_day
                        * greatest(0, date_part('epoch', asked.at) - date_part('epoch', offer.published_at)) / 86400)
                AND (offer.certificate_valid_until IS NULL OR offer.certificate_valid_until >= today)
                -- Stock counts what a higher tier could take over.
                AND (offer.quantity - offer.quantity_reserved >= greatest(asked.matters, offer.minimum_order)
                    OR offer.quantity - offer.quantity_reserved
                        + (SELECT coalesce(sum(held.quantity), 0) FROM matching_match held
                           WHERE held.offer_id = offer.id AND held.state = 'held')
                        >= greatest(asked.matters, offer.minimum_order))"""

BEST = f"""
CREATE FUNCTION matching_best(asked matching_asked) RETURNS TABLE (offer_id bigint, score double precision)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan  -- planning takes longer than finding
SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    codes CONSTANT varchar[] := string_to_array(asked.path, '/');
    twice_x CONSTANT double precision := 2 * asked.place_x;
    twice_y CONSTANT double precision := 2 * asked.place_y;
    twice_z CONSTANT double precision := 2 * asked.place_z;
    half CONSTANT double precision := asked.half_distance_km / 6371.0088;  -- the distance that is worth half
    near CONSTANT double precision := asked.w_distance * half;  -- over (half + chord): what a distance is worth
    per_unit CONSTANT double precision := asked.w_coverage / nullif(asked.wanting, 0);
    stale_at CONSTANT double precision := date_part('epoch', asked.at) - asked.fresh_seconds;
    today CONSTANT date := (asked.at AT TIME ZONE 'UTC')::date;
    -- Turns a key into a score at this time.
    base CONSTANT double precision := -asked.w_freshness * stale_at / asked.fresh_seconds;
    fitting CONSTANT double precision :=
        base + greatest(0, asked.fit_unstated, asked.fit_asked, asked.fit_exceeding, asked.fit_other);
    nearest CONSTANT double precision := CASE WHEN twice_x IS NULL THEN near / 2 ELSE near END;
    -- What rounding can make of a score, here and in Python. A chord is good to a third of a metre.
    rounding CONSTANT double precision := 1e-5 + 5e-8 * asked.w_distance / half;
    lead CONSTANT double precision[] := asked.lead;
    latest CONSTANT integer := cardinality(lead);
    {" ".join(f"lead_{place} CONSTANT double precision := lead[{1 + days}];" for place, days in enumerate((0, 1, 2, 4, 7, 14)))}
    soon double precision := 0.7 * lead_0;
    effort integer;
BEGIN
    -- A few of the best cells first; more where they do not hold k that pass the filters; in the end (100) all there is.
    FOREACH effort IN ARRAY ARRAY[1, 3, 9, 30, 100] LOOP
        RETURN QUERY
        -- The best cells, and the one that comes after them. Bounds that were made for other weights or another time say
        -- nothing: such cells come first.
        WITH cell AS MATERIALIZED (
            SELECT id, rest, CASE WHEN sound THEN rest + best_key ELSE 'infinity' END AS bound FROM (
                SELECT cell.id, cell.policy_version = asked.version AND cell.good_until >= asked.at AS sound,
                    {BEST_KEY} AS best_key,
                    nearest / greatest(half, half + {CHORD.format("cell")} - cell.radius)
                    + {COVERED.format("cell.most")} + fitting AS rest
                FROM matching_cell cell WHERE cell.item_id = asked.item OFFSET 0
            ) cell
            ORDER BY bound DESC LIMIT CASE WHEN effort < 100 THEN effort * asked.cells + 1 END
        ),
        -- A score that is worth looking for: what the cells that are left aside cannot reach, or what enough of the best
        -- offers of the very best cells may have, whichever is more. Null where bounds say nothing.
        worth AS MATERIALIZED (
            SELECT sound, CASE WHEN effort = 100 THEN '-infinity' WHEN sound THEN greatest(
                CASE WHEN looked_at > effort * asked.cells THEN lowest ELSE '-infinity' END,
                base + (
                    SELECT listing.key + {AT_MOST}
                    FROM (SELECT id FROM cell ORDER BY bound DESC LIMIT 16 * effort) cell CROSS JOIN LATERAL (
                        SELECT listing.key, {FACTS} FROM matching_listing listing
                        WHERE listing.cell_id = cell.id AND {MAY_SERVE} AND {TIMELY} >= soon AND {FIT} IS NOT NULL
                        ORDER BY listing.key DESC LIMIT 6
                    ) listing
                    ORDER BY 1 DESC OFFSET asked.k + 8 * effort LIMIT 1
                )) END AS score
            FROM (
                SELECT coalesce(max(bound) < 'infinity', true) AS sound, min(bound) AS lowest, count(*) AS looked_at
                FROM cell
            ) bounds
        ),
        -- Every listing that may have it.
        pool AS MATERIALIZED (
            SELECT * FROM (
                SELECT listing.offer_id, listing.chord, listing.fitting, listing.told, listing.steady,
                    listing.key + base + {AT_MOST} AS at_most
                FROM (
                    SELECT listing.* FROM worth CROSS JOIN cell CROSS JOIN LATERAL (
                        SELECT {FACTS}, listing.key, listing.steady FROM matching_listing listing
                        WHERE listing.cell_id = cell.id AND listing.key >= worth.score - cell.rest - lead_0
                            AND {MAY_SERVE} AND listing.key + {TIMELY} >= worth.score - cell.rest
                    ) listing
                    WHERE cell.bound >= worth.score
                    UNION ALL
                    -- On the counter there are neither cells nor keys.
                    SELECT {FACTS}, {STEADY_NOW} + {FRESH.format("listing.confirmed_at")} - base, {STEADY_NOW}
                    FROM matching_listing listing
                    WHERE listing.item_id = asked.item AND listing.cell_id IS NULL AND {MAY_SERVE}
                    OFFSET 0
                ) listing
                OFFSET 0
            ) listing
            WHERE at_most >= (SELECT score FROM worth)
        ),
        -- Offers are pages of their own: a few more than k are read first, then those that could still be better than
        -- the k-th of these. All of them where bounds say nothing.
        cut AS MATERIALIZED (
            SELECT coalesce(CASE WHEN sound THEN (
                    SELECT at_most FROM pool ORDER BY at_most DESC OFFSET asked.k + 3 LIMIT 1
                ) END, '-infinity') AS bound
            FROM worth
        ),
        likely AS MATERIALIZED (
            {READ.format(LIKELY)}
        ),
        found AS MATERIALIZED (
            SELECT * FROM likely UNION ALL
            {READ.format(AS_GOOD)}
        ),
        -- The score of the k-th of those that have it at least, where it was made with these weights.
        bar AS MATERIALIZED (
            SELECT score AS others, coalesce(CASE WHEN sound THEN {KTH.format("found")} END, '-infinity') AS height
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

BEFORE = "apps.matching.migrations.0011_best_offers"
OF_INDEX = ("offer", "quantity", "minimum_order", "areas", "lead_time_days", "steady", "x", "y", "z", "standard_id")


class Migration(migrations.Migration):
    dependencies = [("matching", "0011_best_offers"), ("accounts", "0003_who_is_not_verified")]

    operations = [
        migrations.RemoveIndex("listing", "listing_best_first"),
        migrations.AddIndex(
            "listing",
            models.Index(
                fields=["cell", "-key"],
                condition=models.Q(cell__isnull=False),
                include=OF_INDEX,
                name="listing_best_first",
            ),
        ),
        migrations.RunSQL(STEADY, "DROP FUNCTION matching_steady"),
        migrations.RunSQL("DROP FUNCTION matching_best", import_module(BEFORE).BEST),
        migrations.RunSQL(ASKED + ";" + BEST, "DROP FUNCTION matching_best; DROP TYPE matching_asked"),
        # Cells stay in the order of their items, and change in place: all cells of an item at once.
        migrations.RunSQL(
            "ALTER TABLE matching_cell SET (fillfactor = 50); ALTER TABLE matching_listing SET (fillfactor = 85)",
            migrations.RunSQL.noop,
        ),
    ]
